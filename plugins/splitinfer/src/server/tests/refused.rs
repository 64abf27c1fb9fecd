// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A server that has too much to do says so at once, to those who have another way to a result.

use std::time::{Duration, Instant};

use splitinfer_wire::{Content, Wants};

use super::batch::wide;
use super::bench::{Edge, Link, PATIENCE, Server, ready};
use crate::net::client::{ClientEvent, Failure};
use crate::net::trust::Trust;

/// So many frames of an edge are under way at most.
const BURST: u64 = 8;
/// No frame is done in this time.
const NO_TIME: Option<Duration> = Some(Duration::from_micros(1));

fn ended(event: ClientEvent) -> Option<(u64, Option<Failure>)> {
    match event {
        ClientEvent::Result(reply) => Some((reply.number, None)),
        ClientEvent::Failed { number, reason } => Some((number, Some(reason))),
        _ => None,
    }
}

fn connected(edge: &Edge, server: &Server) -> Link {
    let link = edge.connect(&server.address(), Trust::default(), Wants::Tensors);
    link.connected();
    link
}

#[test]
fn a_frame_comes_back_at_once_where_others_are_in_its_way_and_only_there() {
    if !ready() {
        return;
    }
    let edge = Edge::of(wide(), 1);
    let server = Server::new(Some(&edge.model));
    gst::prelude::ObjectExt::set_property(&server.element, "max-batch", 1u32);
    let server = server.play();
    let (others, link) = (connected(&edge, &server), connected(&edge, &server));
    let until = Instant::now() + PATIENCE;
    let (mut refused, mut number) = (None, 0);
    while refused.is_none() && Instant::now() < until {
        for i in 0..BURST {
            let patient = edge.frame(number + i, Content::Picture);
            assert!(others.client.send(patient));
        }
        let mut hurried = edge.frame(number, Content::Picture);
        hurried.longest = NO_TIME;
        assert!(link.client.send(hurried));
        refused = link.wait(ended).1;
        // Who has set no limit has waited, and has a result.
        for _ in 0..BURST {
            assert_eq!(others.wait(ended).1, None);
        }
        number += BURST;
    }
    match refused {
        Some(Failure::Refused { queue, round }) => assert!(!queue.is_zero() && !round.is_zero()),
        other => panic!("{other:?}"),
    }
    assert_eq!((server.stat("refused"), server.stat("failures")), (1, 0));
    // Nothing is before it now, so it is taken, however long it will take.
    let mut alone = edge.frame(number, Content::Picture);
    alone.longest = NO_TIME;
    assert!(link.client.send(alone));
    assert_eq!(link.wait(ended), (number, None));
}
