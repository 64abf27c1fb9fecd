// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is wrong is said in one line.

use std::time::Duration;

use gst::prelude::*;
use splitinfer_tests::labelling::{LIVE, Labelling, TEACHER, model};
use splitinfer_tests::process::Server;

/// Says one error, and no more.
fn says(settings: &str, words: &[&str]) {
    let labelling = Labelling::make(LIVE, settings);
    let error = labelling.error();
    for word in words {
        assert!(error.contains(word), "expected '{word}' in: {error}");
    }
    let bus = labelling.pipeline.bus().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let more: Vec<gst::Message> =
        std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Error]))
            // A source says that it has stopped when what comes after it has.
            .filter(|m| m.src().is_none_or(|s| !s.name().starts_with("scenesrc")))
            .collect();
    assert!(more.is_empty(), "{more:?}");
}

#[test]
fn bad_values_are_named() {
    says("server=nowhere", &["nowhere", "host:port"]);
    says(
        "server=192.0.2.7:5050",
        &["192.0.2.7", "server-fingerprint", "ca-file"],
    );
    says(
        "server=127.0.0.1:9 model=/nowhere/teacher.onnx",
        &["/nowhere/teacher.onnx"],
    );
    says(
        "server=127.0.0.1:9 ca-file=/nowhere/ca.pem",
        &["/nowhere/ca.pem"],
    );
}

#[test]
fn a_wrong_fingerprint_or_token_is_refused() {
    let server = Server::listening(&[&format!("model={}", model(TEACHER)), "auth-token=sesame"]);
    let print = "00".repeat(32);
    says(
        &format!("server={} server-fingerprint={print}", server.address()),
        &[&server.address(), "fingerprint"],
    );
    says(
        &format!("server={} auth-token=guess", server.address()),
        &[&server.address(), "token"],
    );
}

#[test]
fn a_server_that_does_not_have_the_teacher_refuses_it() {
    let server = Server::listening(&[&format!("model={}", model("traffic-student.onnx"))]);
    says(
        &format!("server={}", server.address()),
        &[&server.address(), "model"],
    );
}

#[test]
fn a_missing_plugin_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = "libgstadapt.so";
    let of_build = splitinfer_tests::build_folder().join(plugin);
    std::os::unix::fs::symlink(of_build, folder.path().join(plugin)).unwrap();
    let output = std::process::Command::new("gst-launch-1.0")
        .env("GST_PLUGIN_PATH", folder.path())
        .env("GST_REGISTRY", folder.path().join("registry.bin"))
        .args(["-q", "videotestsrc", "!", "teacherlabel"])
        .args([
            format!("model={}", model(TEACHER)),
            "server=127.0.0.1:9".into(),
        ])
        .args(["!", "fakesink"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && !said.contains("panicked"),
        "{said}"
    );
    for word in ["splitinfer-edge", "install the plugin splitinfer"] {
        assert!(said.contains(word), "expected '{word}' in: {said}");
    }
}
