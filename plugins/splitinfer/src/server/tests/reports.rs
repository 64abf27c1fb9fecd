// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Edges that tell of their frames, and what the pipeline behind their pad sees of it.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use gst::prelude::*;
use splitinfer_tensorcode::picture;
use splitinfer_wire::{Content, SendFrames, Wants};

use super::bench::{Edge, Link, PATIENCE, Server, ready};
use crate::net::client::{ClientEvent, FrameRequest};

/// A server whose pads give to sinks that take `caps`.
struct Watched {
    edge: Edge,
    server: Server,
    pipeline: gst::Pipeline,
    buffers: Receiver<gst::Buffer>,
    sinks: Receiver<gst::Pad>,
}

impl Watched {
    fn new(caps: &'static str) -> Self {
        Self::linking(caps, Duration::ZERO, |_| {})
    }

    /// As [`new`](Self::new), and each pad is linked so long after it has appeared, to what `prepare` has seen.
    fn linking(caps: &'static str, after: Duration, prepare: fn(&gst::Pad)) -> Self {
        let edge = Edge::new(1);
        let server = Server::new(Some(&edge.model));
        let pipeline = gst::Pipeline::new();
        pipeline.add(&server.element).unwrap();
        let (seen, buffers) = channel();
        let (linked, sinks) = channel();
        server.element.connect_pad_added({
            let pipeline = pipeline.downgrade();
            move |_, pad| {
                let pipeline = pipeline.upgrade().unwrap();
                let make = gst::ElementFactory::make;
                let filter = make("capsfilter").property_from_str("caps", caps);
                let filter = filter.build().unwrap();
                let sink = make("fakesink")
                    .property("sync", false)
                    .property("async", false)
                    .property("signal-handoffs", true)
                    .build()
                    .unwrap();
                let seen = seen.clone();
                sink.connect("handoff", false, move |values| {
                    seen.send(values[1].get().unwrap()).unwrap();
                    None
                });
                pipeline.add_many([&filter, &sink]).unwrap();
                filter.link(&sink).unwrap();
                for element in [&sink, &filter] {
                    element.sync_state_with_parent().unwrap();
                }
                let into = filter.static_pad("sink").unwrap();
                prepare(&into);
                std::thread::sleep(after);
                pad.link(&into).unwrap();
                linked.send(into).unwrap();
            }
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        Self {
            edge,
            server,
            pipeline,
            buffers,
            sinks,
        }
    }

    fn connect(&self, send_frames: SendFrames) -> Link {
        let hello = splitinfer_wire::Hello {
            send_frames,
            ..self.edge.hello(Wants::Objects)
        };
        let link = self.edge.connect_as(hello, &self.server.address());
        link.connected();
        link
    }

    /// A report of a frame; its picture is as wide as the frame's number says.
    fn report(&self, frame: u64, pictured: bool) -> FrameRequest {
        let (width, height) = (16 + frame as u32, 8);
        let rgb = vec![90; (width * height * 3) as usize];
        FrameRequest {
            attachment: match pictured {
                true => picture::encode_jpeg(&rgb, width, height, 90).unwrap(),
                false => Vec::new(),
            },
            ..self.edge.frame(frame, Content::Report)
        }
    }

    fn next(&self) -> gst::Buffer {
        self.buffers.recv_timeout(PATIENCE).expect("a buffer")
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn answered(link: &Link) {
    link.wait(|e| match e {
        ClientEvent::Result(_) => Some(()),
        ClientEvent::Failed { reason, .. } => panic!("{reason}"),
        _ => None,
    });
}

/// Of every how many frames the server asks for a picture.
fn pictures_wanted(link: &Link) -> u32 {
    link.wait(|e| match e {
        ClientEvent::PicturesWanted { every } => Some(every),
        _ => None,
    })
}

fn is_gap(buffer: &gst::Buffer) -> bool {
    buffer.flags().contains(gst::BufferFlags::GAP)
}

#[test]
fn pictures_carry_the_results_of_their_frames_and_gaps_those_without_one() {
    if !ready() {
        return;
    }
    let watched = Watched::new("video/x-raw");
    let link = watched.connect(SendFrames::Always);
    // What is answered to a frame is not shown: the edge tells what became of it.
    assert!(link.client.send(watched.edge.frame(0, Content::Picture)));
    answered(&link);
    for (frame, pictured) in [(0, false), (1, true), (2, false), (3, true)] {
        assert!(link.client.send(watched.report(frame, pictured)));
        answered(&link);
    }
    let sink = watched.sinks.recv_timeout(PATIENCE).unwrap();
    // There is nothing to show yet for frame 0.
    for (frame, gap) in [(1, false), (2, true), (3, false)] {
        let buffer = watched.next();
        let result = splitinfer_meta::read(&buffer).expect("a result");
        assert_eq!((result.frame, is_gap(&buffer)), (frame, gap));
        assert_eq!(result.completed, splitinfer_meta::Completed::Edge);
        assert!(buffer.pts().is_some());
    }
    let caps = sink.current_caps().unwrap();
    assert_eq!(caps.structure(0).unwrap().get::<i32>("width"), Ok(19));
}

#[test]
fn who_takes_only_pictures_has_them_asked_for_and_can_change_how_many() {
    if !ready() {
        return;
    }
    let watched = Watched::new("video/x-raw");
    let link = watched.connect(SendFrames::OnRequest);
    assert!(link.client.send(watched.report(0, false)));
    assert_eq!(pictures_wanted(&link), 1);
    let sink = watched.sinks.recv_timeout(PATIENCE).unwrap();
    assert!(sink.push_event(splitinfer_meta::pictures_event(7)));
    assert!(link.client.send(watched.report(1, true)));
    assert_eq!(pictures_wanted(&link), 7);
    // The next edge is asked for as many.
    assert_eq!(splitinfer_meta::read(&watched.next()).unwrap().frame, 1);
    drop(link);
    let link = watched.connect(SendFrames::OnRequest);
    assert!(link.client.send(watched.report(0, false)));
    assert_eq!(pictures_wanted(&link), 7);
}

/// Asks for pictures at the beginning of each stream, as `svdgate` does.
fn asks_for_pictures(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |pad, info| {
        if info.event().map(|e| e.type_()) == Some(gst::EventType::StreamStart) {
            assert!(pad.push_event(splitinfer_meta::pictures_event(5)));
        }
        gst::PadProbeReturn::Ok
    });
}

#[test]
fn who_takes_anything_and_is_linked_late_is_asked_before_the_first_frame() {
    if !ready() {
        return;
    }
    let watched = Watched::linking(
        "video/x-raw;application/x-json",
        Duration::from_millis(300),
        asks_for_pictures,
    );
    let link = watched.connect(SendFrames::OnRequest);
    assert!(link.client.send(watched.report(0, false)));
    assert_eq!(pictures_wanted(&link), 5);
    assert!(link.client.send(watched.report(1, true)));
    let result = splitinfer_meta::read(&watched.next()).expect("a picture, and no line of JSON");
    assert_eq!(result.frame, 1);
}

#[test]
fn who_takes_lines_gets_what_the_edge_tells() {
    if !ready() {
        return;
    }
    let watched = Watched::new("application/x-json");
    let link = watched.connect(SendFrames::OnRequest);
    for frame in 0..3 {
        assert!(link.client.send(watched.report(frame, false)));
        let buffer = watched.next();
        let line = String::from_utf8(buffer.map_readable().unwrap().to_vec()).unwrap();
        let (result, _) = splitinfer_meta::from_json(&line).unwrap();
        assert_eq!(result.frame, frame);
        assert!(line.ends_with('\n') && !line.trim_end().contains('\n'));
    }
}

#[test]
fn what_an_edge_tells_wrongly_is_left_out_and_nothing_else() {
    if !ready() {
        return;
    }
    let watched = Watched::new("video/x-raw");
    let link = watched.connect(SendFrames::Always);
    let wrong = [
        FrameRequest {
            payload: b"no result".to_vec(),
            ..watched.report(0, true)
        },
        // The result of another frame.
        FrameRequest {
            payload: watched.report(7, true).payload,
            ..watched.report(1, true)
        },
        FrameRequest {
            attachment: b"no picture".to_vec(),
            ..watched.report(2, true)
        },
    ];
    for report in wrong {
        assert!(link.client.send(report));
        answered(&link);
    }
    assert!(link.client.send(watched.report(3, true)));
    let result = splitinfer_meta::read(&watched.next()).unwrap();
    assert_eq!(result.frame, 3);
}

#[test]
fn an_edge_that_sends_no_pictures_where_they_are_needed_is_named() {
    if !ready() {
        return;
    }
    let watched = Watched::new("video/x-raw");
    let link = watched.connect(SendFrames::Never);
    assert!(link.client.send(watched.edge.frame(0, Content::Picture)));
    answered(&link);
    let bus = watched.pipeline.bus().unwrap();
    let patience = gst::ClockTime::try_from(PATIENCE).unwrap();
    let warning = bus
        .timed_pop_filtered(patience, &[gst::MessageType::Warning])
        .expect("a warning");
    let gst::MessageView::Warning(warning) = warning.view() else {
        unreachable!();
    };
    let text = warning.error().to_string();
    assert!(
        text.contains("send-frames=on-request") && text.contains("127.0.0.1"),
        "{text}"
    );
}

#[test]
fn an_edge_that_tells_nothing_is_shown_by_its_answers() {
    if !ready() {
        return;
    }
    let watched = Watched::new("application/x-json");
    let link = watched.connect(SendFrames::Never);
    assert!(
        link.client
            .send(watched.edge.frame(4, Content::Candidate(0)))
    );
    let line = watched.next().map_readable().unwrap().to_vec();
    let line = String::from_utf8(line).unwrap();
    let (result, _) = splitinfer_meta::from_json(&line).unwrap();
    assert_eq!((result.frame, result.completed.as_str()), (4, "server"));
}
