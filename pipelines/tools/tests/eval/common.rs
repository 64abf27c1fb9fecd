// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The program, its report, and files to give it.

use splitinfer_runtime::load_library;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub fn runtime() -> bool {
    load_library(None)
        .inspect_err(|e| println!("skipped: {e}"))
        .is_ok()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn shipped(name: &str) -> String {
    let path = repository().join("models").join(name);
    path.to_str().unwrap().to_owned()
}

/// A file of the project's test data, if it is here.
pub fn data(file: &str) -> Option<String> {
    let data = std::env::var_os("SPLITINFER_DATA")
        .map_or_else(|| repository().join("../shared/data"), PathBuf::from);
    let path = data.join(file);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path.to_str().unwrap().to_owned())
}

pub fn eval(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_splitinfer-eval"))
        .args(arguments)
        .output()
        .unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What it printed, and the JSON that it wrote.
pub fn report(arguments: &[&str], folder: &Path) -> (String, serde_json::Value) {
    let json = folder.join("report.json");
    let output = eval(&[arguments, &["--json", json.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let text = std::fs::read_to_string(json).unwrap();
    (
        String::from_utf8(output.stdout).unwrap(),
        serde_json::from_str(&text).unwrap(),
    )
}

/// That it failed with one line that says all of `parts`.
#[track_caller]
pub fn assert_one_line(arguments: &[&str], parts: &[&str]) {
    let output = eval(arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

/// The number at a path of names.
#[track_caller]
pub fn number(value: &serde_json::Value, path: &str) -> f64 {
    let found = value
        .pointer(path)
        .unwrap_or_else(|| panic!("no {path} in {value}"));
    found
        .as_f64()
        .unwrap_or_else(|| panic!("{path} is {found}"))
}

/// Files of a test.
pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Three frames: a hit that is 4 pixels off to the right, a hit beside a false alarm, a miss.
    pub fn results(&self) -> String {
        let line = |frame: u32, objects: &str| {
            format!(r#"{{"frame":{frame},"pts":null,"completed":"edge","objects":[{objects}]}}"#)
        };
        let car = |x: u32, score: f64| {
            format!(r#"{{"label":"car","score":{score},"box":[{x},10,40,20],"track":7}}"#)
        };
        let lines = [
            line(0, &car(14, 0.75)),
            line(1, &format!("{},{}", car(300, 0.25), car(20, 0.5))),
            line(2, ""),
        ];
        self.file("results.jsonl", &(lines.join("\n") + "\n"))
    }

    pub fn scene(&self) -> String {
        let line = |frame: u32, x: u32| {
            format!(
                r#"{{"frame":{frame},"time":0.0,"domain":"day","objects":[{{"label":"car","track":1,"box":[{x},10,40,20],"visible":1.0,"moving":true}}]}}"#
            )
        };
        let lines = [line(0, 10), line(1, 20), line(2, 30)];
        self.file("truth.jsonl", &lines.join("\n"))
    }

    pub fn mot(&self) -> String {
        self.file(
            "gt.txt",
            "1,1,10,10,40,20,1,3,1\n2,1,20,10,40,20,1,3,1\n3,1,30,10,40,20,1,3,1\n",
        )
    }

    pub fn coco(&self) -> String {
        let each = |f: &dyn Fn(u32) -> String| (0..3).map(f).collect::<Vec<_>>().join(",");
        let images = each(&|i| format!(r#"{{"id":{i},"width":640,"height":360}}"#));
        let annotations = each(&|i| {
            let x = 10 + 10 * i;
            format!(
                r#"{{"id":{},"image_id":{i},"category_id":3,"bbox":[{x},10,40,20],"area":800,"iscrowd":0,"track_id":1}}"#,
                i + 1
            )
        });
        let categories = r#"{"id":3,"name":"car"}"#;
        self.file(
            "truth.json",
            &format!(r#"{{"images":[{images}],"annotations":[{annotations}],"categories":[{categories}]}}"#),
        )
    }
}
