// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What goes wrong is said in one clear line, and nothing crashes.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use splitinfer_tests::numbered;
use splitinfer_tests::process::{Server, gst_launch};

/// Runs a pipeline that must fail, and gives its error lines.
fn fails(elements: &str) -> String {
    let mut child = gst_launch()
        .arg("-q")
        .args(elements.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(30) {
            let _ = child.kill();
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            panic!("`{elements}` went on as if nothing were wrong; it said: {said}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "`{elements}` succeeded: {text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

fn edge(properties: &str) -> String {
    fails(&format!(
        "videotestsrc is-live=true ! video/x-raw,width=64,height=48 ! splitinfer-edge {properties} ! fakesink"
    ))
}

fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "expected '{word}' in: {text}");
    }
}

#[test]
fn a_missing_model_is_named() {
    assert_says(&edge(""), &["model", "ONNX"]);
    assert_says(&edge("model=/nowhere/m.onnx"), &["/nowhere/m.onnx"]);
}

#[test]
fn a_file_that_is_no_model_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "These are notes, not a network.").unwrap();
    assert_says(
        &edge(&format!("model={}", file.display())),
        &["notes.txt", "not an ONNX"],
    );
}

#[test]
fn a_sidecar_with_a_mistake_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let sidecar = format!("{model}.modelinfo");
    let text = std::fs::read_to_string(&sidecar)
        .unwrap()
        .replace("resize=stretch", "resize=squash");
    std::fs::write(&sidecar, text).unwrap();
    assert_says(
        &edge(&format!("model={model}")),
        &["numbers.onnx.modelinfo", "resize", "squash"],
    );
}

#[test]
fn a_missing_onnx_runtime_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let mut command = gst_launch();
    command.env("ORT_DYLIB_PATH", folder.path().join("libonnxruntime.so"));
    let output = command
        .args([
            "-q",
            "videotestsrc",
            "num-buffers=1",
            "!",
            "splitinfer-edge",
            &format!("model={model}"),
            "!",
            "fakesink",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && !text.contains("panicked"),
        "{text}"
    );
    assert_says(&text, &["ONNX Runtime", "ORT_DYLIB_PATH"]);
}

#[test]
fn an_unknown_split_lists_the_candidates() {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let text = edge(&format!("model={model} server=127.0.0.1:9 split=layer99"));
    assert_says(&text, &["layer99", "pool1"]);
}

#[test]
fn a_server_address_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    assert_says(
        &edge(&format!("model={model} server=nowhere")),
        &["nowhere", "host:port"],
    );
}

#[test]
fn a_server_elsewhere_needs_a_reason_to_be_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let text = edge(&format!("model={model} server=192.0.2.7:5050"));
    assert_says(&text, &["192.0.2.7", "server-fingerprint", "ca-file"]);
}

#[test]
fn a_wrong_fingerprint_is_refused() {
    let (model, server, _folder) = with_server(&[]);
    let print = "00".repeat(32);
    let text = edge(&format!(
        "model={model} server={} split=pool1 server-fingerprint={print}",
        server.address()
    ));
    assert_says(&text, &[&server.address(), "fingerprint"]);
}

#[test]
fn a_wrong_token_is_refused() {
    let (model, server, _folder) = with_server(&["auth-token=sesame"]);
    let text = edge(&format!(
        "model={model} server={} split=pool1 auth-token=guess",
        server.address()
    ));
    assert_says(&text, &[&server.address(), "token"]);
}

#[test]
fn a_model_the_server_does_not_have_is_refused() {
    let (_, server, folder) = with_server(&[]);
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let other = other_model(&other);
    let text = edge(&format!(
        "model={other} server={} split=pool1",
        server.address()
    ));
    assert_says(&text, &[&server.address(), "model"]);
}

#[test]
fn a_server_off_loopback_without_a_token_says_why_not() {
    let text = fails("splitinfer-server accept-models=true address=0.0.0.0 port=0");
    assert_says(&text, &["0.0.0.0", "auth-token", "client-ca-file"]);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    assert_says(
        &fails(&format!("splitinfer-server accept-models=true port={port}")),
        &[&port.to_string()],
    );
}

fn with_server(arguments: &[&str]) -> (String, Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let property = format!("model={model}");
    let server = Server::start(&[&[property.as_str()], arguments].concat());
    (model, server, folder)
}

/// The same model but for one byte of its name.
fn other_model(folder: &Path) -> String {
    let path = numbered::write_model(folder).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes
        .windows(5)
        .position(|w| w == b"graph")
        .expect("the graph has a name");
    bytes[at] = b'G';
    std::fs::write(&path, bytes).unwrap();
    path
}
