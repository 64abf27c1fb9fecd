// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The truth agrees with the pixels: a scene with one object against the same scene without it.

use splitinfer_scene::{Kind, Scene, SceneConfig, TruthObject};

const SIZE: (u32, u32) = (640, 360);

fn scene(kind: Kind, seed: u64, density: f32) -> Scene {
    let domain = format!("day noise=0 shadows=0 backdrop=2 density={density}");
    let schedule = domain.parse().unwrap();
    Scene::new(SceneConfig {
        width: SIZE.0,
        height: SIZE.1,
        seed,
        schedule,
        ..SceneConfig::new(kind)
    })
    .unwrap()
}

/// x, y, width and height of the pixels that differ clearly: more than by the shine of a brake light.
fn difference(a: &[u8], b: &[u8]) -> Option<[f32; 4]> {
    let (mut low, mut high) = ([u32::MAX; 2], [0; 2]);
    for (i, (a, b)) in a.chunks_exact(4).zip(b.chunks_exact(4)).enumerate() {
        if a.iter().zip(b).any(|(a, b)| a.abs_diff(*b) > 8) {
            let at = [i as u32 % SIZE.0, i as u32 / SIZE.0];
            for axis in 0..2 {
                low[axis] = low[axis].min(at[axis]);
                high[axis] = high[axis].max(at[axis] + 1);
            }
        }
    }
    (low[0] < high[0]).then(|| {
        [
            low[0] as f32,
            low[1] as f32,
            (high[0] - low[0]) as f32,
            (high[1] - low[1]) as f32,
        ]
    })
}

/// How far the edges of the pixels lie inside (positive) or outside the box of the truth, for each of `wanted`
/// frames with one object, in pixels: largest of the four edges each.
fn compare(kind: Kind, density: f32, wanted: usize) -> Vec<[f32; 2]> {
    let mut compared = Vec::new();
    for seed in 0..40 {
        let (mut with, mut without) = (scene(kind, seed, density), scene(kind, seed, 0.0));
        without.render(0);
        for frame in (0..600).step_by(50) {
            let truth = with.render(frame);
            let [object] = truth.objects.as_slice() else {
                continue;
            };
            // A lamp post in front would take pixels away, and far vehicles melt into the background.
            if object.visible == 1.0 && object.box_[3] >= 20.0 {
                compared.push(inside_and_outside(object, with.rgba(), without.rgba()));
            }
            if compared.len() == wanted {
                return compared;
            }
        }
    }
    panic!("only {} frames with one object", compared.len());
}

fn inside_and_outside(object: &TruthObject, with: &[u8], without: &[u8]) -> [f32; 2] {
    let [x, y, w, h] = object.box_;
    let [sx, sy, sw, sh] = difference(with, without).expect("nothing was drawn");
    let gaps = [sx - x, sy - y, x + w - sx - sw, y + h - sy - sh];
    [
        gaps.into_iter().fold(0.0, f32::max),
        gaps.into_iter().fold(0.0, |a, b| a.max(-b)),
    ]
}

fn check(compared: &[[f32; 2]]) {
    let outside = compared.iter().map(|c| c[1]).fold(0.0, f32::max);
    assert!(outside <= 1.5, "pixels up to {outside} outside the box");
    // Something thin may hide an edge in a frame and still leave nearly all of the object visible.
    let tight = compared.iter().filter(|c| c[0] <= 1.5).count();
    assert!(tight + 1 >= compared.len(), "{compared:?}");
}

#[test]
fn a_vehicles_box_is_where_its_pixels_are() {
    check(&compare(Kind::Traffic, 0.02, 16));
}

#[test]
fn a_persons_box_is_where_its_pixels_are() {
    check(&compare(Kind::Walker, 0.3, 16));
}

#[test]
fn joints_lie_on_the_person() {
    let (mut with, mut without) = (scene(Kind::Walker, 3, 0.3), scene(Kind::Walker, 3, 0.0));
    without.render(0);
    let (mut on, mut all) = (0, 0);
    for frame in (0..900).step_by(10) {
        let truth = with.render(frame);
        for joint in truth
            .objects
            .iter()
            .flat_map(|o| &o.keypoints)
            .filter(|k| k.visibility == 2)
        {
            let at = ((joint.y as u32 * SIZE.0 + joint.x as u32) * 4) as usize;
            let differs = |i: usize| with.rgba()[i].abs_diff(without.rgba()[i]) > 2;
            on += usize::from((at..at + 3).any(differs));
            all += 1;
        }
    }
    // A shirt may have the colour of what is behind it.
    assert!(all > 300 && on * 100 >= all * 97, "{on} of {all}");
}

#[test]
fn an_occluded_joint_is_not_called_visible() {
    // Someone in profile hides the far hip and shoulder behind the trunk.
    let mut scene = scene(Kind::Walker, 3, 0.3);
    let hidden = (0..900).step_by(10).filter(|&frame| {
        let truth = scene.render(frame);
        truth.objects.iter().any(|o| {
            let hips = [o.keypoints[11].visibility, o.keypoints[12].visibility];
            hips == [1, 2] || hips == [2, 1]
        })
    });
    assert!(hidden.count() > 20);
}
