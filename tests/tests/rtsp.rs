// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A real RTSP server, H.264 over UDP and over TCP, in the pipeline that users type.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gst::prelude::*;
use splitinfer_meta::Completed;
use splitinfer_tests::numbered;

const FRAMES: usize = 50;
const PATIENCE: Duration = Duration::from_secs(60);

/// gst-rtsp-server in a process of its own.
struct Camera {
    child: Child,
    address: String,
}

impl Camera {
    fn start() -> Self {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "/usr/bin/python3".into());
        let mut child = Command::new(python)
            .arg(splitinfer_tests::repository().join("tests/rtsp_server.py"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut address = String::new();
        let output = child.stdout.take().expect("its output is ours");
        BufReader::new(output)
            .read_line(&mut address)
            .expect("the server says where it is");
        let address = address.trim().to_owned();
        assert!(address.starts_with("rtsp://"), "no RTSP server: {address}");
        Self { child, address }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn every_frame_has_its_result_over(protocol: &str) {
    splitinfer_tests::init();
    let camera = Camera::start();
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let pipeline = gst::parse::launch(&format!(
        "rtspsrc location={} latency=100 protocols={protocol} ! decodebin ! videoconvert \
         ! splitinfer-edge model=\"{model}\" latency-budget=500 ! appsink name=sink sync=false",
        camera.address
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let sink = pipeline.by_name("sink").unwrap();
    let sink = sink.downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();

    let mut last_pts = None;
    for number in 0..FRAMES {
        let patience = gst::ClockTime::try_from(PATIENCE).ok();
        let sample = sink
            .try_pull_sample(patience)
            .unwrap_or_else(|| panic!("frame {number} over {protocol}: {}", trouble(&pipeline)));
        let buffer = sample.buffer().unwrap();
        let result = splitinfer_meta::read(buffer).expect("each frame has a result");
        assert_eq!(result.frame, number as u64);
        assert_eq!(result.completed, Completed::Edge);
        assert!(buffer.pts() > last_pts, "time goes on");
        last_pts = buffer.pts();
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

fn trouble(pipeline: &gst::Pipeline) -> String {
    let bus = pipeline.bus().unwrap();
    match bus.pop_filtered(&[gst::MessageType::Error]) {
        Some(message) => format!("{message:?}"),
        None => "nothing came, and no error either".into(),
    }
}

#[test]
fn every_frame_of_a_udp_camera_has_its_result() {
    every_frame_has_its_result_over("udp");
}

#[test]
fn every_frame_of_a_tcp_camera_has_its_result() {
    every_frame_has_its_result_over("tcp");
}
