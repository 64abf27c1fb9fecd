// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A server that has more work than it can do sends frames back, and their edge completes them at once.

use std::process::Stdio;
use std::time::Duration;

use gst::prelude::*;
use splitinfer_tests::numbered;
use splitinfer_tests::pipeline::{FPS, Numbered, assert_complete, by_server};
use splitinfer_tests::process::{Server, gst_launch};

/// Edges that have no other way to a result, and so wait for one.
const OTHERS: usize = 5;

/// Edges that send as many pictures for a large model as the server takes, until this is dropped.
struct Others(Vec<std::process::Child>);

impl Others {
    fn start(server: &Server, model: &str) -> Self {
        let others = (0..OTHERS).map(|_| {
            gst_launch()
                .args(["-q", "videotestsrc", "pattern=ball", "!"])
                .args([
                    "video/x-raw,format=RGB,width=320,height=180,framerate=30/1",
                    "!",
                ])
                .args(["splitinfer-edge", "remote-only=true", "latency-budget=5000"])
                .args([
                    &format!("model={model}"),
                    &format!("server={}", server.address()),
                ])
                .args(["!", "fakesink"])
                .stdout(Stdio::null())
                .spawn()
                .expect("gst-launch-1.0 starts")
        });
        Self(others.collect())
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn stat(stream: &Numbered, name: &str) -> u64 {
    let stats: gst::Structure = stream.edge.property("stats");
    stats.get(name).unwrap()
}

#[test]
fn frames_that_come_back_are_completed_here_at_once_and_later_ones_go_there_again() {
    splitinfer_tests::init();
    let large = splitinfer_tests::repository().join("models/walker-teacher.onnx");
    let large = large.to_str().expect("the path is text");
    let folder = tempfile::tempdir().unwrap();
    let small = numbered::write_model(folder.path()).unwrap();
    let server = Server::listening(&[&format!("model={small},{large}"), "max-batch=1"]);
    let stream = Numbered::start(true, |edge| {
        edge.set_property("model", &small);
        edge.set_property("server", server.address());
        edge.set_property("split", "server");
        // Less than one frame of each of the others takes.
        edge.set_property("latency-budget", 10u32);
    });
    stream.wait_until_connected();
    let mut others = Some(Others::start(&server, large));
    let mut number = 0;
    let mut push = |until: &dyn Fn(&Numbered) -> bool| {
        let first = number;
        while !until(&stream) {
            stream.push(number);
            number += 1;
            std::thread::sleep(Duration::from_millis(1000 / FPS));
            assert!(number - first < 3000, "it does not come true");
        }
    };
    push(&|stream| stat(stream, "refused-frames") >= 10);
    drop(others.take());
    let before = stat(&stream, "completed-server");
    push(&|stream| stat(stream, "completed-server") >= before + 10);
    let received = stream.finish();
    assert_complete(&received, number);
    assert!(by_server(&received) >= 10);
}
