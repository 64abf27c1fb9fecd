// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the pipeline behind a server sees of an edge that shows its frames, and a student that is trained there.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_meta::{Completed, FrameResult};
use splitinfer_tests::numbered;
use splitinfer_tests::pipeline::{Numbered, PATIENCE};

/// What a training may take before a test calls it a hang.
const TRAINING: Duration = Duration::from_secs(180);

/// A frame as it came out of the server's pad.
struct Shown {
    result: FrameResult,
    /// Whether the picture is the frame's own.
    pictured: bool,
    pixels: Vec<u8>,
}

/// A server in this process, with what is behind its pad.
struct Server {
    pipeline: gst::Pipeline,
    element: gst::Element,
    frames: Receiver<Shown>,
}

impl Server {
    /// `behind`: elements after `srv.`, with an appsink named `out`.
    fn start(behind: &str) -> Self {
        splitinfer_tests::init();
        let launch = format!("splitinfer-server name=srv port=0 srv. ! {behind}");
        let pipeline = gst::parse::launch(&launch).unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        let (sender, frames) = channel();
        let sink = pipeline.by_name("out").unwrap();
        let sink = sink.downcast::<gst_app::AppSink>().unwrap();
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let buffer = sample.buffer().ok_or(gst::FlowError::Error)?;
            let result = splitinfer_meta::read(buffer).ok_or(gst::FlowError::Error)?;
            let _ = sender.send(Shown {
                result,
                pictured: !buffer.flags().contains(gst::BufferFlags::GAP),
                pixels: buffer.map_readable().unwrap().to_vec(),
            });
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_callbacks(callbacks.build());
        pipeline.set_state(gst::State::Playing).unwrap();
        Self {
            element: pipeline.by_name("srv").unwrap(),
            pipeline,
            frames,
        }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.element.property::<u32>("current-port"))
    }

    fn next(&self) -> Shown {
        self.frames.recv_timeout(PATIENCE).expect("a frame")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

const SINK: &str = "appsink name=out sync=false async=false";

/// Frames of an edge with this `split`, one by one as the server's pipeline shows them.
fn every_frame_is_shown(split: &str, completed: Completed) {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let server = Server::start(SINK);
    let stream = Numbered::start(false, |edge| {
        edge.set_property("model", &model);
        edge.set_property("server", server.address());
        edge.set_property("split", split);
        edge.set_property("latency-budget", 2000u32);
        edge.set_property_from_str("send-frames", "always");
    });
    stream.wait_until_connected();
    let mut pictures = 0u64;
    for number in 0..100 {
        stream.push(number);
        let sent = stream.next();
        let shown = server.next();
        assert_eq!(shown.result.frame, number);
        // Two may be under way; on a busy machine the word that they have come may be late, and the next is left out.
        if shown.pictured {
            pictures += 1;
            assert_eq!(numbered::shown(&shown.pixels), number, "its own picture");
        }
        assert_eq!(
            numbered::read(&shown.result),
            Some(number),
            "its own result"
        );
        assert_eq!(shown.result.completed, completed);
        let mut sent = sent.result.unwrap();
        // JSON has microseconds.
        sent.latency = gst::ClockTime::from_useconds(sent.latency.useconds());
        assert_eq!(shown.result, sent, "as the edge has it");
    }
    assert!(pictures > 50, "{pictures} pictures of 100");
    stream.wait_for("all to be counted", |stats| {
        stats.get("reports") == Ok(100u64) && stats.get("reported-pictures") == Ok(pictures)
    });
    assert!(stream.notices().is_empty());
}

#[test]
fn a_server_shows_what_it_has_completed() {
    every_frame_is_shown("pool1", Completed::Server);
}

#[test]
fn a_server_shows_what_the_edge_has_completed() {
    every_frame_is_shown("edge", Completed::Edge);
}

#[test]
fn pictures_come_as_often_as_they_are_asked_for_and_results_of_every_frame() {
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let server = Server::start(&format!("video/x-raw ! {SINK}"));
    let sink = server.pipeline.by_name("out").unwrap();
    let stream = Numbered::start(false, |edge| {
        edge.set_property("model", &model);
        edge.set_property("server", server.address());
        edge.set_property("split", "edge");
        edge.set_property_from_str("send-frames", "on-request");
    });
    stream.wait_until_connected();
    // Until the request for the first picture has come there is nothing to show.
    let mut number = 0;
    let mut push = || {
        stream.push(number);
        stream.next();
        number += 1;
        std::thread::sleep(Duration::from_millis(20));
    };
    let begun = Instant::now();
    let mut last = loop {
        push();
        if let Ok(shown) = server.frames.try_recv() {
            break shown.result.frame;
        }
        assert!(begun.elapsed() < PATIENCE, "no picture was asked for");
    };
    assert!(sink.send_event(splitinfer_meta::pictures_event(5)));
    let mut seldom = 0;
    while seldom < 40 {
        push();
        while let Ok(shown) = server.frames.try_recv() {
            assert_eq!(shown.result.frame, last + 1, "every result, in order");
            last += 1;
            // The request may be on its way for some frames yet.
            let as_asked = shown.pictured == last.is_multiple_of(5);
            seldom = if as_asked { seldom + 1 } else { 0 };
            if shown.pictured {
                assert_eq!(numbered::shown(&shown.pixels), last);
            }
        }
        assert!(begun.elapsed() < PATIENCE, "pictures are not as asked for");
    }
}

/// A street by night, which the student was not trained on, on an edge whose server has teacher and trainer.
#[test]
fn a_student_is_trained_behind_the_server_with_few_of_its_pictures() {
    splitinfer_tests::init();
    let model = |name| splitinfer_tests::repository().join("models").join(name);
    let student = model("traffic-student.onnx").display().to_string();
    let teacher = model("traffic-teacher.onnx").display().to_string();
    let server = Server::start(&format!(
        "svdgate name=gate cooldown=10 window=10 ! {SINK} gate.adapt ! queue leaky=downstream \
         ! teacherlabel name=teacher model={teacher} \
         ! finetune model={student} new-frames=6 max-steps=12 batch-size=4 cpu-share=1 learning-rate=0.001 \
           trainable=after:features4"
    ));
    let edge = gst::parse::launch(&format!(
        "scenesrc scene=traffic domain=night scenario=repetitive is-live=true \
         ! video/x-raw,width=320,height=176,framerate=10/1 \
         ! splitinfer-edge name=edge model={student} server={} split=features5 mirror-check=2 latency-budget=1000 \
           send-frames=on-request ! fakesink",
        server.address()
    ))
    .unwrap();
    let edge = edge.downcast::<gst::Pipeline>().unwrap();
    edge.set_state(gst::State::Playing).unwrap();
    let element = edge.by_name("edge").unwrap();
    let stats = || element.property::<gst::Structure>("stats");
    let begun = Instant::now();
    let mut next = None;
    loop {
        let shown = server.next();
        if let Some(next) = next {
            assert_eq!(shown.result.frame, next, "a frame was lost");
        }
        next = Some(shown.result.frame + 1);
        if shown.result.model_version > 0 && shown.result.completed == Completed::Server {
            break;
        }
        assert!(
            begun.elapsed() < TRAINING,
            "{} {}",
            stats(),
            trained(&server)
        );
    }
    let stats = stats();
    let get = |name| stats.get::<u64>(name).unwrap();
    assert_eq!(get("reports-lost"), 0, "{stats}");
    assert!(get("reported-pictures") > 0, "{stats}");
    assert!(get("reported-pictures") < get("reports"), "{stats}");
    edge.set_state(gst::State::Null).unwrap();
    started_anew(&edge, &server);
}

/// An edge that is started anew has the student's file, and gets what was learnt without another training.
fn started_anew(edge: &gst::Pipeline, server: &Server) {
    let bus = server.pipeline.bus().unwrap();
    while bus.pop().is_some() {}
    edge.set_state(gst::State::Playing).unwrap();
    let begun = Instant::now();
    let again = loop {
        let wait = gst::ClockTime::from_mseconds(100);
        let message = bus.timed_pop_filtered(wait, &[gst::MessageType::Element]);
        let structure = message.as_ref().and_then(|m| m.structure());
        let told = structure.filter(|s| s.get::<&str>("outcome") == Ok("again"));
        if let Some(told) = told {
            break told.to_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "nothing was sent again");
    };
    assert_eq!(again.get("taken"), Ok(true), "{again}");
    let version: u64 = again.get("model-version").unwrap();
    let element = edge.by_name("edge").unwrap();
    while element
        .property::<gst::Structure>("stats")
        .get::<u64>("model-version")
        .unwrap()
        < version
    {
        assert!(
            begun.elapsed() < PATIENCE,
            "the edge has the file's weights"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    edge.set_state(gst::State::Null).unwrap();
}

/// What the teacher has done so far, for a message.
fn trained(server: &Server) -> gst::Structure {
    server
        .pipeline
        .by_name("teacher")
        .unwrap()
        .property("stats")
}
