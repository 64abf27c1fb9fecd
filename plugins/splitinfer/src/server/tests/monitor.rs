// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The UDP monitor between the real element and a client.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_wire::monitor::{MAX_DATAGRAM_BYTES, Reachability, Report};
use splitinfer_wire::{Content, Wants};

use super::bench::{Edge, Link, PATIENCE, Server, ready};
use crate::net::client::ClientEvent;
use crate::net::trust::Trust;

/// Waits until the monitor of the link's session says so.
fn report(link: &Link, what: &str, reached: impl Fn(Option<&Report>) -> bool) -> Option<Report> {
    let begun = Instant::now();
    loop {
        let report = link.client.stats().monitor;
        if reached(report.as_ref()) {
            return report;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {report:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is(report: Option<&Report>, state: Reachability) -> bool {
    report.is_some_and(|r| r.reachability == state)
}

fn connect(edge: &Edge, server: &Server) -> Link {
    let link = edge.connect(&server.address(), Trust::default(), Wants::Objects);
    link.connected();
    link
}

fn answered(link: &Link, edge: &Edge, number: u64, content: Content) {
    assert!(link.client.send(edge.frame(number, content)));
    link.wait(|e| match e {
        ClientEvent::Result(reply) => (reply.number == number).then_some(()),
        ClientEvent::Failed { reason, .. } => panic!("{reason}"),
        _ => None,
    });
}

#[test]
fn path_and_load_are_known_and_every_session_has_its_own() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model)).play();
    let links = [connect(&edge, &server), connect(&edge, &server)];
    for link in &links {
        answered(link, &edge, 0, Content::Candidate(1));
        let told = |r: Option<&Report>| {
            r.and_then(|r| r.load.as_ref())
                .is_some_and(|load| load.tail_us.get(1).is_some_and(|us| *us > 0))
        };
        let report = report(link, "times of tails", told).unwrap();
        assert_eq!(report.reachability, Reachability::Reachable);
        assert!(report.rtt.is_some() && report.sent_bytes > 0 && report.received_bytes > 0);
        assert_eq!(
            report.load.unwrap().tail_us.len(),
            edge.split.candidates().len()
        );
    }
    assert_eq!(server.stat("monitor-sessions"), 2);
    assert!(server.stat("monitor-replies") <= server.stat("monitor-datagrams"));
    drop(links);
    let begun = Instant::now();
    while server.stat("monitor-sessions") > 0 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn strangers_get_no_answer() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model)).play();
    let link = connect(&edge, &server);
    report(&link, "the monitor", |r| is(r, Reachability::Reachable));
    let stats: gst::Structure = server.element.property("stats");
    let port = stats.get::<u32>("monitor-port").unwrap() as u16;
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.connect(("127.0.0.1", port)).unwrap();
    let before = server.stat("monitor-datagrams");
    for n in 0..2000usize {
        let bytes = vec![n as u8 & 3; n % (MAX_DATAGRAM_BYTES + 200)];
        let _ = stranger.send(&bytes);
    }
    stranger
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut buffer = [0; 2000];
    assert!(stranger.recv(&mut buffer).is_err(), "an answer");
    assert!(server.stat("monitor-datagrams") > before);
    answered(&link, &edge, 0, Content::Picture);
    let heard = link.client.stats().monitor.unwrap().received_bytes;
    report(&link, "further answers", |r| {
        r.is_some_and(|r| r.received_bytes > heard)
    });
}

#[test]
fn a_server_without_a_monitor_serves_all_the_same() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = i32::from(holder.local_addr().unwrap().port());
    for (port, warned) in [(-1, false), (taken, true)] {
        let server = Server::new(Some(&edge.model));
        let bus = gst::Bus::new();
        server.element.set_bus(Some(&bus));
        server.element.set_property("monitor-port", port);
        let server = server.play();
        let link = connect(&edge, &server);
        answered(&link, &edge, 0, Content::Picture);
        assert!(link.client.stats().monitor.is_none());
        let warnings: Vec<_> = bus
            .iter()
            .filter_map(|m| match m.view() {
                gst::MessageView::Warning(w) => Some(w.error().to_string()),
                _ => None,
            })
            .collect();
        assert_eq!(warnings.len(), usize::from(warned), "{warnings:?}");
        assert!(
            warnings
                .iter()
                .all(|w| w.contains("monitor-port") && w.contains(&taken.to_string()))
        );
    }
}

#[test]
fn the_port_can_be_chosen() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = u32::from(free.local_addr().unwrap().port());
    drop(free);
    let server = Server::new(Some(&edge.model));
    server.element.set_property("monitor-port", port as i32);
    let server = server.play();
    let stats: gst::Structure = server.element.property("stats");
    assert_eq!(stats.get("monitor-port"), Ok(port));
    let link = connect(&edge, &server);
    report(&link, "the monitor", |r| is(r, Reachability::Reachable));
}
