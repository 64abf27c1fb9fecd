// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Same seed, same bytes: in this process in any order, and in another process.

use splitinfer_scene::{Kind, Scene, SceneConfig};
use std::process::Command;

const CHILD: &str = "SPLITINFER_SCENE_CHILD";
const FRAMES: [u64; 3] = [250, 0, 61];

fn scene(kind: Kind, seed: u64) -> Scene {
    let schedule = "day; 2~3 night rain=0.7 blur=1 compression=60; loop 12"
        .parse()
        .unwrap();
    let config = SceneConfig {
        width: 240,
        height: 136,
        seed,
        schedule,
        ..SceneConfig::new(kind)
    };
    Scene::new(config).unwrap()
}

/// FNV-1a over pictures and truths.
fn fingerprint(kind: Kind, seed: u64, frames: &[u64]) -> u64 {
    let mut scene = scene(kind, seed);
    let mut prints: Vec<(u64, u64)> = frames
        .iter()
        .map(|&frame| {
            let truth = scene.render(frame).to_json();
            let bytes = scene.rgba().iter().chain(truth.as_bytes());
            let print = bytes.fold(0xCBF2_9CE4_8422_2325u64, |h, b| {
                (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01B3)
            });
            (frame, print)
        })
        .collect();
    prints.sort_unstable();
    prints
        .iter()
        .fold(0, |all, (_, print)| all.rotate_left(7) ^ print)
}

fn both() -> String {
    format!(
        "{:016x}{:016x}",
        fingerprint(Kind::Walker, 7, &FRAMES),
        fingerprint(Kind::Traffic, 7, &FRAMES)
    )
}

#[test]
fn another_process_draws_the_same() {
    if std::env::var_os(CHILD).is_some() {
        println!("print={}", both());
        return;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "another_process_draws_the_same", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(output.contains(&format!("print={}", both())), "{output}");
}

#[test]
fn the_order_of_frames_does_not_matter_and_the_seed_does() {
    let mut sorted = FRAMES;
    sorted.sort_unstable();
    for kind in [Kind::Walker, Kind::Traffic] {
        assert_eq!(fingerprint(kind, 7, &FRAMES), fingerprint(kind, 7, &sorted));
        assert_ne!(fingerprint(kind, 7, &FRAMES), fingerprint(kind, 8, &FRAMES));
    }
}
