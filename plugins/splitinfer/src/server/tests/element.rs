// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the element promises to a pipeline.

use std::sync::mpsc::channel;
use std::time::Duration;

use gst::prelude::*;
use splitinfer_wire::{Content, Wants};

use super::bench::{Edge, PATIENCE, Server, ready};
use crate::net::client::ClientEvent;
use crate::net::trust::Trust;

/// The text of the error a state change posts.
fn error(server: &Server) -> String {
    let bus = gst::Bus::new();
    server.element.set_bus(Some(&bus));
    assert!(server.element.set_state(gst::State::Playing).is_err());
    let message = bus
        .timed_pop_filtered(clock_time(PATIENCE), &[gst::MessageType::Error])
        .expect("an error message");
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!();
    };
    error.error().to_string()
}

fn clock_time(duration: Duration) -> gst::ClockTime {
    gst::ClockTime::try_from(duration).unwrap()
}

#[test]
fn a_port_that_is_taken_is_named() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let server = Server::new(Some(&edge.model));
    server.element.set_property("port", u32::from(port));
    let text = error(&server);
    assert!(
        text.contains(&format!("127.0.0.1:{port}")) && text.contains("another"),
        "{text}"
    );
}

#[test]
fn other_machines_are_served_only_if_edges_can_be_told_apart() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model));
    server.element.set_property("address", "0.0.0.0");
    let text = error(&server);
    assert!(
        text.contains("auth-token") && text.contains("client-ca-file"),
        "{text}"
    );
    server.element.set_property("auth-token", "");
    assert!(error(&server).contains("auth-token"));
    server.element.set_property("auth-token", "secret");
    server.element.set_state(gst::State::Playing).unwrap();
    assert_ne!(server.port(), 0);
}

#[test]
fn what_cannot_be_served_is_named() {
    if !ready() {
        return;
    }
    let server = Server::new(None);
    let file = server.folder.path().join("broken.onnx");
    std::fs::write(&file, "this is no model").unwrap();
    server.element.set_property("model", file.to_str());
    assert!(error(&server).contains("broken.onnx"));
    server.element.set_property("model", "/does/not/exist.onnx");
    assert!(error(&server).contains("/does/not/exist.onnx"));
    server.element.set_property("model", None::<String>);
    server.element.set_property("accept-models", false);
    server.element.set_property("address", "0.0.0.0");
    server.element.set_property("auth-token", "secret");
    let text = error(&server);
    assert!(
        text.contains("accept-models") && text.contains("model"),
        "{text}"
    );
}

#[test]
fn results_go_out_as_json_lines_with_the_frame_they_belong_to() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model));
    let pipeline = gst::Pipeline::new();
    pipeline.add(&server.element).unwrap();
    let (lines_in, lines) = channel();
    server.element.connect_pad_added({
        let pipeline = pipeline.downgrade();
        move |_, pad| {
            let pipeline = pipeline.upgrade().unwrap();
            let sink = gst::ElementFactory::make("fakesink")
                .property("sync", false)
                .property("async", false)
                .property("signal-handoffs", true)
                .build()
                .unwrap();
            let lines_in = lines_in.clone();
            sink.connect("handoff", false, move |values| {
                let buffer: gst::Buffer = values[1].get().unwrap();
                let text = buffer.map_readable().unwrap().to_vec();
                lines_in
                    .send((String::from_utf8(text).unwrap(), buffer.pts()))
                    .unwrap();
                None
            });
            pipeline.add(&sink).unwrap();
            sink.sync_state_with_parent().unwrap();
            pad.link(&sink.static_pad("sink").unwrap()).unwrap();
        }
    });
    assert_eq!(
        pipeline.set_state(gst::State::Paused).unwrap(),
        gst::StateChangeSuccess::NoPreroll,
        "a live source"
    );
    pipeline.set_state(gst::State::Playing).unwrap();
    let serve = |from: u64| {
        let link = edge.connect(&server.address(), Trust::default(), Wants::Objects);
        link.connected();
        for number in from..from + 6 {
            // Pictures take longer than cuts, but do not come out later.
            let content = match number % 2 {
                0 => Content::Picture,
                _ => Content::Candidate(1),
            };
            assert!(link.client.send(edge.frame(number, content)));
        }
        for number in from..from + 6 {
            link.wait(|e| matches!(e, ClientEvent::Result(_)).then_some(()));
            let (line, pts) = lines.recv_timeout(PATIENCE).unwrap();
            assert!(line.ends_with('\n') && pts.is_some());
            let (result, edge_pts) = splitinfer_meta::from_json(&line).unwrap();
            assert_eq!(result.frame, number);
            assert_eq!(result.completed, splitinfer_meta::Completed::Server);
            let split = match number % 2 {
                0 => "server",
                _ => &edge.split.candidates()[1].name,
            };
            assert_eq!(result.split, split);
            assert_eq!(edge_pts, Some(gst::ClockTime::from_mseconds(number)));
            assert!(!result.objects.is_empty());
        }
    };
    serve(0);
    // The pad outlives its edge, so that what is behind it serves the next one.
    serve(10);
    assert_eq!(server.element.pads().len(), 1);

    let bus = pipeline.bus().unwrap();
    assert!(pipeline.send_event(gst::event::Eos::new()));
    let ended = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus
        .timed_pop_filtered(clock_time(PATIENCE), &ended)
        .unwrap();
    assert_eq!(message.type_(), gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(server.element.pads().is_empty());
}

#[test]
fn a_server_with_nothing_behind_it_ends_at_eos() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model));
    let pipeline = gst::Pipeline::new();
    pipeline.add(&server.element).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    assert!(pipeline.send_event(gst::event::Eos::new()));
    let message = pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(clock_time(PATIENCE), &[gst::MessageType::Eos]);
    assert!(message.is_some());
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn clients_are_told_on_the_bus() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model));
    let bus = gst::Bus::new();
    server.element.set_bus(Some(&bus));
    let server = server.play();
    let event = || {
        let message = bus
            .timed_pop_filtered(clock_time(PATIENCE), &[gst::MessageType::Element])
            .expect("a message");
        message.structure().unwrap().to_owned()
    };
    let link = edge.connect(&server.address(), Trust::default(), Wants::Objects);
    link.connected();
    let told = event();
    assert_eq!(told.name(), "splitinfer-client");
    assert_eq!(told.get::<String>("event").unwrap(), "connected");
    assert_eq!(told.get::<String>("agent").unwrap(), "test");
    assert_eq!(told.get::<String>("model").unwrap(), "model.onnx");
    assert_eq!(told.get::<String>("pad").unwrap(), "src_0");
    drop(link);
    let told = event();
    assert_eq!(told.get::<String>("event").unwrap(), "disconnected");
}

#[test]
fn starting_and_stopping_again_and_again_leaves_nothing_behind() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model));
    for round in 0..20 {
        server.element.set_state(gst::State::Playing).unwrap();
        let link = (round % 4 == 0)
            .then(|| edge.connect(&server.address(), Trust::default(), Wants::Objects));
        if let Some(link) = &link {
            link.connected();
            assert!(link.client.send(edge.frame(round, Content::Picture)));
        }
        let state = if round % 2 == 0 {
            gst::State::Null
        } else {
            gst::State::Ready
        };
        server.element.set_state(state).unwrap();
        assert_eq!(server.port(), 0);
        assert!(server.element.pads().is_empty());
    }
}
