// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the link promises to an edge.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_tensorcode::decoder;
use splitinfer_wire::{Content, Status, Wants};

use super::bench::{Edge, PATIENCE, Relay, Server, ready};
use super::hostile::Attacker;
use crate::net::client::{Body, ClientEvent, Failure};
use crate::net::identity::Identity;
use crate::net::trust::Trust;

fn body(event: ClientEvent) -> Option<(u64, Body)> {
    match event {
        ClientEvent::Result(reply) => Some((reply.number, reply.body)),
        ClientEvent::Failed { number, reason } => panic!("frame {number}: {reason}"),
        _ => None,
    }
}

fn failure(event: ClientEvent) -> Option<(u64, Failure)> {
    match event {
        ClientEvent::Failed { number, reason } => Some((number, reason)),
        ClientEvent::Result(reply) => panic!("frame {} has a result", reply.number),
        _ => None,
    }
}

fn disconnected(event: ClientEvent) -> Option<String> {
    match event {
        ClientEvent::Disconnected { reason } => Some(reason),
        _ => None,
    }
}

#[test]
fn results_are_those_of_the_whole_model_at_every_cut_and_for_the_picture() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model)).play();
    let link = edge.connect(&server.address(), Trust::default(), Wants::Tensors);
    link.connected();
    let whole = edge.split.whole(&edge.input).unwrap();
    let cuts = edge.split.candidates().len() as u16;
    let contents = (0..cuts).map(Content::Candidate).chain([Content::Picture]);
    for (number, content) in contents.enumerate() {
        assert!(link.client.send(edge.frame(number as u64, content)));
        let (answered, body) = link.wait(body);
        assert_eq!(answered, number as u64);
        let Body::Tensors(bytes) = body else {
            panic!("{body:?}");
        };
        let outputs = decoder().decode(&bytes, &Default::default()).unwrap();
        assert_eq!(outputs.len(), 1);
        for (a, b) in outputs[0].to_f32_vec().iter().zip(whole[0].1.to_f32_vec()) {
            assert!((a - b).abs() < 1e-5, "{content:?}: {a} for {b}");
        }
    }
    assert_eq!(server.stat("results"), u64::from(cuts) + 1);
    let stats = link.client.stats();
    assert!(stats.connected && stats.rtt.is_some() && stats.sent_bytes > 0 && stats.in_flight == 0);
}

#[test]
fn objects_come_in_pixels_of_the_frame() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model)).play();
    let link = edge.connect(&server.address(), Trust::default(), Wants::Objects);
    link.connected();
    let mut frame = edge.frame(0, Content::Candidate(1));
    // A frame ten times as large, which the picture shows whole.
    frame.placement = [0.1, 0.1, 0.0, 0.0, 160.0, 160.0];
    assert!(link.client.send(frame));
    let (_, Body::Objects(objects)) = link.wait(body) else {
        panic!("objects were asked for");
    };
    assert!(!objects.is_empty());
    for object in objects {
        assert_eq!(object.box_, [0.0, 0.0, 160.0, 160.0]);
    }
}

#[test]
fn a_wrong_token_is_refused_in_words_and_for_good() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model));
    server.element.set_property("auth-token", "right");
    let server = server.play();
    for token in [None, Some("wrong".to_owned())] {
        let trust = Trust {
            token,
            ..Trust::default()
        };
        let (text, fatal) = edge
            .connect(&server.address(), trust, Wants::Objects)
            .refused();
        assert!(fatal && text.contains("auth-token"), "{text}");
        assert!(text.contains(&server.address()), "{text}");
    }
    let trust = Trust {
        token: Some("right".into()),
        ..Trust::default()
    };
    edge.connect(&server.address(), trust, Wants::Objects)
        .connected();
}

#[test]
fn a_certificate_is_checked_against_fingerprint_and_authority() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model)).play();
    let port = server.port();
    let connect = |trust| edge.connect(&format!("localhost:{port}"), trust, Wants::Objects);
    let right: String = server.element.property("fingerprint");
    let pinned = |fingerprint: String| Trust {
        fingerprint: Some(fingerprint),
        ..Trust::default()
    };
    let (text, fatal) = connect(pinned("AB".repeat(32))).refused();
    assert!(
        fatal && text.contains(&right) && text.contains("AB:AB"),
        "{text}"
    );
    connect(pinned(right)).connected();

    let signed_by = |ca_file| Trust {
        ca_file: Some(ca_file),
        ..Trust::default()
    };
    connect(signed_by(server.pem())).connected();
    let other = tempfile::tempdir().unwrap();
    Identity::kept(Some(other.path())).unwrap();
    let (text, fatal) = connect(signed_by(other.path().join("server.pem"))).refused();
    assert!(fatal && text.contains("ca-file"), "{text}");
}

#[test]
fn a_server_with_client_ca_takes_only_edges_with_a_certificate() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let folder = tempfile::tempdir().unwrap();
    Identity::kept(Some(folder.path())).unwrap();
    let own = folder.path().join("server.pem");
    let server = Server::new(Some(&edge.model));
    server.element.set_property("client-ca-file", own.to_str());
    let server = server.play();
    let (text, fatal) = edge
        .connect(&server.address(), Trust::default(), Wants::Objects)
        .refused();
    assert!(fatal && text.contains("certificate-file"), "{text}");
    let trust = Trust {
        certificate_file: Some(own.clone()),
        private_key_file: Some(own),
        ..Trust::default()
    };
    edge.connect(&server.address(), trust, Wants::Objects)
        .connected();
}

#[test]
fn an_unknown_model_is_uploaded_where_that_is_allowed_and_refused_elsewhere() {
    if !ready() {
        return;
    }
    let (known, unknown) = (Edge::new(1), Edge::new(2));
    let strict = Server::new(Some(&known.model)).play();
    let (text, fatal) = unknown
        .connect(&strict.address(), Trust::default(), Wants::Objects)
        .refused();
    assert!(fatal && text.contains("accept-models"), "{text}");

    let open = Server::new(None).play();
    for _ in 0..2 {
        let link = unknown.connect(&open.address(), Trust::default(), Wants::Objects);
        link.connected();
        assert!(link.client.send(unknown.frame(0, Content::Candidate(0))));
        assert_eq!(link.wait(body).0, 0);
    }
    assert_eq!(unknown.uploads(), 1, "the second time the server has it");
    // Without any setting, as only this machine can connect: else it could serve nobody.
    open.element.set_state(gst::State::Null).unwrap();
    open.element.set_property("accept-models", false);
    open.element.set_state(gst::State::Playing).unwrap();
    let link = unknown.connect(&open.address(), Trust::default(), Wants::Objects);
    link.connected();
}

#[test]
fn candidates_that_are_no_cuts_are_refused() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model)).play();
    let mut hello = edge.hello(Wants::Objects);
    hello.candidates = vec![vec!["nonsense".into()]];
    let (text, fatal) = edge.connect_as(hello, &server.address()).refused();
    assert!(fatal && text.contains("nonsense"), "{text}");
}

#[test]
fn a_frame_past_its_deadline_or_cancelled_fails_alone() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model)).play();
    let link = edge.connect(&server.address(), Trust::default(), Wants::Objects);
    link.connected();
    let mut late = edge.frame(0, Content::Picture);
    late.deadline = Instant::now();
    assert!(link.client.send(late));
    assert_eq!(link.wait(failure), (0, Failure::Deadline));
    let mut bad = edge.frame(1, Content::Candidate(0));
    bad.payload.truncate(10);
    assert!(link.client.send(bad));
    let (number, reason) = link.wait(failure);
    assert!(
        matches!(
            reason,
            Failure::Server {
                status: Status::BadInput,
                ..
            }
        ),
        "{reason}"
    );
    assert_eq!(number, 1);
    let mut other = edge.frame(2, Content::Candidate(0));
    other.model_version = 7;
    assert!(link.client.send(other));
    let (_, reason) = link.wait(failure);
    assert!(
        matches!(
            reason,
            Failure::Server {
                status: Status::WrongModel,
                ..
            }
        ),
        "{reason}"
    );
    assert!(link.client.send(edge.frame(3, Content::Candidate(0))));
    assert_eq!(link.wait(body).0, 3);
}

#[test]
fn every_frame_has_exactly_one_event_when_the_server_freezes_and_the_client_recovers() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model)).play();
    let relay = Relay::to(server.port());
    let address = format!("127.0.0.1:{}", relay.port);
    let link = edge.connect(&address, Trust::default(), Wants::Objects);
    link.connected();
    relay.frozen.store(true, Ordering::Relaxed);
    let mut frame = edge.frame(0, Content::Candidate(0));
    frame.deadline = Instant::now() + Duration::from_millis(100);
    assert!(link.client.send(frame));
    assert!(link.client.send(edge.frame(1, Content::Candidate(0))));
    let again = edge.frame(1, Content::Candidate(0));
    assert!(!link.client.send(again), "this number is under way");
    assert_eq!(link.wait(failure), (0, Failure::Deadline));
    assert_eq!(link.wait(failure), (1, Failure::Disconnected));
    link.wait(disconnected);
    assert!(!link.client.send(edge.frame(2, Content::Candidate(0))));
    relay.frozen.store(false, Ordering::Relaxed);
    link.wait(|e| matches!(e, ClientEvent::Connected { .. }).then_some(()));
    assert!(link.client.send(edge.frame(3, Content::Candidate(0))));
    assert_eq!(link.wait(body).0, 3);
    assert_eq!(link.client.stats().reconnects, 1);
}

#[test]
fn a_client_of_a_frozen_server_ends_in_bounded_time() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model)).play();
    let relay = Relay::to(server.port());
    let address = format!("127.0.0.1:{}", relay.port);
    let mut link = edge.connect(&address, Trust::default(), Wants::Objects);
    link.connected();
    relay.frozen.store(true, Ordering::Relaxed);
    assert!(link.client.send(edge.frame(0, Content::Candidate(0))));
    let before = Instant::now();
    link.client.close();
    assert!(before.elapsed() < PATIENCE / 6, "{:?}", before.elapsed());
    assert!(link.events.try_iter().all(|e| failure(e).is_none()));
}

#[test]
fn a_client_comes_back_after_the_server_was_restarted() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model)).play();
    let port = server.port();
    let link = edge.connect(&server.address(), Trust::default(), Wants::Objects);
    link.connected();
    server.element.set_state(gst::State::Ready).unwrap();
    let reason = link.wait(disconnected);
    assert!(reason.contains("shutting down"), "{reason}");
    server.element.set_property("port", u32::from(port));
    server.element.set_state(gst::State::Playing).unwrap();
    link.wait(|e| matches!(e, ClientEvent::Connected { .. }).then_some(()));
    assert!(link.client.send(edge.frame(0, Content::Candidate(0))));
    assert_eq!(link.wait(body).0, 0);
}

#[test]
fn a_server_that_was_killed_says_so_to_its_edges_once_it_runs_again() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model)).play();
    let port = server.port();
    let relay = Relay::to(port);
    let address = format!("127.0.0.1:{}", relay.port);
    let link = edge.connect(&address, Trust::default(), Wants::Objects);
    link.connected();
    // Its good-bye does not reach the edge.
    relay.frozen.store(true, Ordering::Relaxed);
    server.element.set_state(gst::State::Ready).unwrap();
    server.element.set_property("port", u32::from(port));
    server.element.set_state(gst::State::Playing).unwrap();
    relay.frozen.store(false, Ordering::Relaxed);
    assert!(link.client.send(edge.frame(0, Content::Candidate(0))));
    let reason = link.wait(disconnected);
    assert!(reason.contains("reset by peer"), "{reason}");
    link.wait(|e| matches!(e, ClientEvent::Connected { .. }).then_some(()));
    assert!(link.client.send(edge.frame(1, Content::Candidate(0))));
    assert_eq!(link.wait(body).0, 1);
}

#[test]
fn the_first_server_that_answers_is_used() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model)).play();
    let deaf = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let list = format!(
        "no-such-host.invalid:1,{},{}",
        deaf.local_addr().unwrap(),
        server.address()
    );
    let link = edge.connect(&list, Trust::default(), Wants::Objects);
    let used = link.wait(|e| match e {
        ClientEvent::Connected { server, .. } => Some(server.to_string()),
        _ => None,
    });
    assert_eq!(used, server.address());
}

#[test]
fn a_server_that_is_full_is_tried_again() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model));
    server.element.set_property("max-clients", 1u32);
    let server = server.play();
    let first = edge.connect(&server.address(), Trust::default(), Wants::Objects);
    first.connected();
    let second = edge.connect(&server.address(), Trust::default(), Wants::Objects);
    let (text, fatal) = second.refused();
    assert!(!fatal && text.contains("max-clients"), "{text}");
    drop(first);
    second.connected();
}

#[test]
fn each_side_asks_the_other_for_early_acknowledgements() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model)).play();
    let client = Attacker::like(&edge, &server);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let (connection, _send, _recv) = client.session().await;
        // Quinn asks a peer only where that says that it can do it.
        let asked = || {
            let stats = connection.stats();
            stats.frame_tx.ack_frequency > 0 && stats.frame_rx.ack_frequency > 0
        };
        let until = Instant::now() + PATIENCE;
        while !asked() {
            assert!(Instant::now() < until, "{:?}", connection.stats());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}
