// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The two example applications, run as a user runs them.

use std::process::Command;

use splitinfer_tests::process::Server;
use splitinfer_tests::{build_folder, plugins, repository};

/// Runs an application on the synthetic street through a server, and checks that it printed objects, changed the split
/// while it played, and saw every frame.
fn runs(mut application: Command) {
    splitinfer_tests::init();
    let model = repository().join("models/traffic-student.onnx");
    let server = Server::start(&[&format!("model={}", model.display())]);
    let output = plugins::provide(&mut application)
        .arg("--model")
        .arg(&model)
        .args([
            "--server",
            &server.address(),
            "--frames",
            "90",
            "--change-after",
            "40",
            "--then-split",
            "server",
        ])
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{err}");
    assert!(out.contains("car"), "{out}\n{err}");
    let last = out.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("90 frames") && last.contains("fps"),
        "{last}\n{err}"
    );
    assert!(err.contains("splitinfer-plan"), "{err}");
}

#[test]
fn the_rust_application() {
    runs(Command::new(build_folder().join("splitinfer-embed-rust")));
}

#[test]
fn the_python_application() {
    let application = repository().join("pipelines/embed_python.py");
    let mut python = Command::new(plugins::system_python());
    python.arg(application);
    runs(python);
}
