// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `pipelines/play.py`, which the scripts there start: what it leaves, and how it ends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use splitinfer_meta::Completed;
use splitinfer_tests::process::Server;
use splitinfer_tests::{numbered, plugins, process, repository};

const FRAMES: usize = 90;
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder with a model and a video of three seconds.
struct Stage {
    folder: tempfile::TempDir,
    model: String,
    video: PathBuf,
}

impl Stage {
    fn set() -> Self {
        splitinfer_tests::init();
        let folder = tempfile::tempdir().unwrap();
        let model = numbered::write_model(folder.path()).unwrap();
        let video = folder.path().join("a video.mkv");
        let made = process::gst_launch()
            .args(["-q", "videotestsrc", &format!("num-buffers={FRAMES}")])
            .args(["!", "video/x-raw,width=160,height=120,framerate=30/1"])
            .args(["!", "jpegenc", "!", "matroskamux", "!", "filesink"])
            .arg(format!("location={}", video.display()))
            .status()
            .unwrap();
        assert!(made.success());
        Self {
            folder,
            model,
            video,
        }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn play(&self, arguments: &[&str]) -> Child {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "/usr/bin/python3".into());
        plugins::provide(&mut Command::new(python))
            .arg(repository().join("pipelines/play.py"))
            .args(["--video".as_ref(), self.video.as_os_str()])
            .args(["--model", &self.model])
            .args(["--out".as_ref(), self.out().as_os_str()])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Python starts")
    }

    fn results(&self) -> Vec<splitinfer_meta::FrameResult> {
        let lines = std::fs::read_to_string(self.out().join("results.jsonl")).unwrap();
        let read = |line: &str| splitinfer_meta::from_json(line).unwrap().0;
        lines.lines().map(read).collect()
    }
}

/// What the program said, once it has ended.
fn wait(mut child: Child) -> Output {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("it did not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// Frames that a player finds in the file.
fn frames(video: &Path) -> usize {
    let output = process::gst_launch()
        .args(["-v", "filesrc", &format!("location={}", video.display())])
        .args(["!", "decodebin", "!", "fakesink", "silent=false"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    text.matches("last-message = chain").count()
}

#[test]
fn every_frame_is_in_the_video_and_has_its_line() {
    let stage = Stage::set();
    let output = wait(stage.play(&["--fast"]));
    assert!(output.status.success(), "{output:?}");
    let results = stage.results();
    assert_eq!(results.len(), FRAMES);
    for (number, result) in results.iter().enumerate() {
        assert_eq!(result.frame, number as u64);
        assert_eq!(result.completed, Completed::Edge);
    }
    assert_eq!(frames(&stage.out().join("annotated.mp4")), FRAMES);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in ["frames ", "latency p50 / p99", "100% / 0%", "annotated.mp4"] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
}

#[test]
fn with_a_server_both_sides_work() {
    let stage = Stage::set();
    let server = Server::start(&["accept-models=true"]);
    let output = wait(stage.play(&["--server", &server.address(), "--split", "0"]));
    assert!(output.status.success(), "{output:?}");
    let by_server = stage
        .results()
        .iter()
        .filter(|r| r.completed == Completed::Server)
        .count();
    assert!(by_server > FRAMES / 2, "{by_server} by the server");
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("work at the edge / server"), "{table}");
}

#[test]
fn ctrl_c_leaves_a_video_that_plays() {
    let stage = Stage::set();
    let child = stage.play(&[]);
    let lines = stage.out().join("results.jsonl");
    let begun = Instant::now();
    while std::fs::metadata(&lines).map_or(0, |m| m.len()) < 1000 {
        assert!(begun.elapsed() < PATIENCE, "no results");
        std::thread::sleep(Duration::from_millis(20));
    }
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let output = wait(child);
    assert!(output.status.success(), "{output:?}");
    let seen = stage.results().len();
    assert!(seen < FRAMES, "it did not end early");
    assert_eq!(frames(&stage.out().join("annotated.mp4")), seen);
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let stage = Stage::set();
    let none = stage.folder.path().join("none.onnx");
    let none = none.to_str().unwrap();
    for (arguments, reason) in [
        (["--video", "/does/not/exist.mp4"], "/does/not/exist.mp4"),
        (["--model", none], none),
        (["--set", "nonsense=1"], "nonsense"),
        (["--split", "no-such-tensor"], "no-such-tensor"),
    ] {
        let output = wait(stage.play(&arguments));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().last().unwrap_or_default();
        assert!(
            line.starts_with("error: ") && line.contains(reason),
            "{text}"
        );
        assert!(!text.contains("Traceback"), "{text}");
    }
}
