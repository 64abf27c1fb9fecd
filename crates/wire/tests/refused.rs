// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames that a server sends back because it has too much to do.

mod pair;

use pair::{MS, Pair};
use splitinfer_wire::{Answer, AnswerBody, EdgeEvent, Failure, FrameHeader, Status};

fn overloaded(queue: u64) -> Answer<'static> {
    Answer {
        model_version: 0,
        queue: MS(queue),
        decode: MS(0),
        compute: MS(0),
        body: AnswerBody::Failure(Status::Overloaded, "too much"),
        missing: 0,
    }
}

/// What becomes of a frame that is answered so, 20 ms after it was sent.
fn failure(queue: u64) -> Failure {
    let mut pair = Pair::ready();
    pair.send_frame(1, MS(1000));
    pair.now += MS(20);
    let answer = overloaded(queue);
    let reply = pair.server.finish_frame(pair.now, 1, answer).unwrap();
    pair.receive(1, &reply);
    match pair.take_edge_events().pop() {
        Some(EdgeEvent::Failed { number: 1, why }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_server_learns_the_longest_that_it_may_take() {
    let mut pair = Pair::ready();
    let mut opening = pair.opening(1, MS(100));
    for (longest, told) in [
        (Some(MS(45)), Some(45_000)),
        (Some(MS(0)), Some(1)),
        (None, None),
    ] {
        opening.longest = longest;
        let bytes = pair.edge.open_frame(pair.now, &opening).unwrap();
        let (header, _) = FrameHeader::decode(&bytes).unwrap().unwrap();
        assert_eq!((header.longest_us, header.patience), (told, None));
        opening.number += 1;
    }
}

#[test]
fn the_edge_learns_how_long_it_would_have_waited_and_how_long_that_took() {
    let (queue, took) = (MS(70), MS(20));
    assert_eq!(failure(70), Failure::Refused { queue, took });
}

#[test]
fn overloaded_without_a_wait_is_any_other_failure() {
    let status = Status::Overloaded;
    let text = "too much".to_owned();
    assert_eq!(failure(0), Failure::Server { status, text });
}
