// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Updates of the weights between the two sides of a session.

mod pair;

use std::time::Duration;

use bytes::Bytes;
use pair::{MS, Pair};
use proptest::prelude::*;
use splitinfer_wire::limits::WEIGHTS_EXTRA_BYTES;
use splitinfer_wire::message::{WeightsData, WeightsOffer};
use splitinfer_wire::{
    CloseReason, EdgeEvent, Message, ServerEvent, ServerState, WeightsCode, WeightsEvent,
    WeightsRefuse,
};

fn update(bytes: usize) -> Bytes {
    (0..bytes).map(|i| (i % 253) as u8).collect()
}

fn received(version: u64, update: Bytes) -> WeightsEvent {
    WeightsEvent::Received { version, update }
}

#[test]
fn an_update_goes_to_the_server_and_is_answered() {
    let mut pair = Pair::ready();
    let bytes = update(100_000);
    assert!(pair.edge.offer_weights(pair.now, 1, bytes.clone(), 0));
    pair.run(MS(1000));
    let events = pair.take_server_events();
    assert_eq!(events, [ServerEvent::Weights(received(1, bytes))]);
    pair.server.weights_ready(1);
    pair.run(MS(50));
    let ready = EdgeEvent::Weights(WeightsEvent::Ready { version: 1 });
    assert_eq!(pair.take_edge_events(), [ready]);
    pair.edge.retire_weights(1);
    pair.run(MS(50));
    let retired = ServerEvent::WeightsRetired { below: 1 };
    assert_eq!(pair.take_server_events(), [retired]);
}

#[test]
fn an_update_from_the_server_that_the_edge_offers_back_does_not_travel_twice() {
    let mut pair = Pair::ready();
    let bytes = update(50_000);
    assert!(pair.server.offer_weights(pair.now, 1, bytes.clone(), 0));
    pair.run(MS(1000));
    let there = EdgeEvent::Weights(received(1, bytes.clone()));
    assert_eq!(pair.take_edge_events(), [there]);
    pair.edge.weights_ready(1);
    assert!(pair.edge.offer_weights(pair.now, 1, bytes.clone(), 0));
    pair.run(MS(25));
    let events = pair.take_server_events();
    assert_eq!(
        events,
        [
            ServerEvent::Weights(WeightsEvent::Ready { version: 1 }),
            ServerEvent::Weights(received(1, bytes))
        ]
    );
}

#[test]
fn updates_leave_room_for_frames() {
    let mut pair = Pair::ready();
    let rate = 300_000 / 8;
    pair.edge.offer_weights(pair.now, 1, update(75_000), rate);
    pair.run(MS(1700));
    assert_eq!(pair.take_server_events(), [], "two seconds at that rate");
    pair.run(MS(400));
    assert_eq!(pair.take_server_events().len(), 1);
}

#[test]
fn a_newer_offer_replaces_one_under_way() {
    let mut pair = Pair::ready();
    pair.edge
        .offer_weights(pair.now, 1, update(400_000), 100_000);
    pair.run(MS(500));
    pair.edge.offer_weights(pair.now, 2, update(5000), 0);
    pair.run(MS(500));
    let events = pair.take_server_events();
    assert_eq!(events, [ServerEvent::Weights(received(2, update(5000)))]);
}

#[test]
fn what_is_too_large_or_refused_is_said_why() {
    let mut pair = Pair::ready();
    let most = 2 * pair::model().len() + WEIGHTS_EXTRA_BYTES as usize;
    pair.edge.offer_weights(pair.now, 1, update(most + 1), 0);
    pair.run(MS(100));
    let events = pair.take_edge_events();
    let [EdgeEvent::Weights(WeightsEvent::Refused(refuse))] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(refuse.code, WeightsCode::TooLarge);
    assert_eq!(pair.take_server_events(), []);

    pair.edge.offer_weights(pair.now, 2, update(10), 0);
    pair.run(MS(100));
    pair.server
        .refuse_weights(2, WeightsCode::Missing, "no version 1");
    pair.run(MS(100));
    let refuse = WeightsRefuse {
        version: 2,
        code: WeightsCode::Missing,
        text: "no version 1".into(),
    };
    let refused = EdgeEvent::Weights(WeightsEvent::Refused(refuse));
    assert_eq!(pair.take_edge_events(), [refused]);
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for_for_ever() {
    let mut pair = Pair::ready();
    pair.edge.offer_weights(pair.now, 1, update(10), 0);
    pair.run(Duration::from_secs(59));
    assert_eq!(pair.take_edge_events(), []);
    pair.run(Duration::from_secs(2));
    let unanswered = EdgeEvent::Weights(WeightsEvent::Unanswered { version: 1 });
    assert_eq!(pair.take_edge_events(), [unanswered]);
    pair.server.weights_ready(1);
    pair.run(MS(100));
    assert_eq!(pair.take_edge_events(), [], "too late");
}

#[test]
fn pieces_that_were_not_asked_for_end_the_session() {
    let offer = Message::WeightsOffer(WeightsOffer {
        version: 1,
        size: 8,
        hash: [0; 32],
    });
    let data = |version, offset, chunk: &'static [u8]| {
        Message::WeightsData(WeightsData {
            version,
            offset,
            chunk: Bytes::from_static(chunk),
        })
    };
    let ack = Message::WeightsAck {
        version: 3,
        received: 77,
    };
    for (said, sound) in [
        (vec![data(1, 0, b"x")], false),
        (vec![offer.clone(), data(2, 0, b"x")], false),
        (vec![offer.clone(), data(1, 1, b"x")], false),
        (vec![offer.clone(), data(1, 0, b"")], false),
        (vec![offer.clone(), data(1, 0, b"ninebytes")], false),
        (
            vec![offer.clone(), data(1, 0, b"four"), data(1, 4, b"more")],
            true,
        ),
        (vec![ack], true),
    ] {
        let mut pair = Pair::ready();
        for message in &said {
            pair.server
                .handle_control(pair.now, &message.encode().unwrap());
        }
        assert_eq!(pair.server.state() == ServerState::Ready, sound, "{said:?}");
        let events = pair.take_server_events();
        let ended = matches!(events[..], [ServerEvent::Closed(CloseReason::Protocol(_))]);
        assert_eq!(ended, !sound, "{events:?}");
    }
}

#[test]
fn a_hash_that_is_not_that_of_the_bytes_is_refused() {
    let mut pair = Pair::ready();
    pair.edge.offer_weights(pair.now, 1, update(10), 0);
    let offer = Message::WeightsOffer(WeightsOffer {
        version: 1,
        size: 2,
        hash: [0; 32],
    });
    pair.edge.handle_control(pair.now, &offer.encode().unwrap());
    let data = Message::WeightsData(WeightsData {
        version: 1,
        offset: 0,
        chunk: Bytes::from_static(b"ab"),
    });
    pair.edge.handle_control(pair.now, &data.encode().unwrap());
    assert_eq!(pair.take_edge_events(), []);
    pair.run(MS(50));
    let events = pair.take_server_events();
    // The server never offered anything, so that it pays no heed to the refusal.
    assert_eq!(events, [ServerEvent::Weights(received(1, update(10)))]);
}

#[test]
fn a_peer_of_an_earlier_minor_version_is_sent_none() {
    use splitinfer_wire::{EdgeSession, Version, Welcome};
    let config = pair::edge_config(&pair::model());
    let mut edge = EdgeSession::new(config).unwrap();
    let now = std::time::Instant::now();
    edge.start(now);
    let welcome = Message::Welcome(Welcome {
        version: Version { major: 1, minor: 0 },
        server: "old".into(),
        session_id: 1,
        max_frame_bytes: 1000,
        max_in_flight: 1,
        monitor_port: 0,
        video: false,
    });
    edge.handle_control(now, &welcome.encode().unwrap());
    assert!(edge.welcome().is_some());
    assert!(!edge.takes_weights() && !edge.offer_weights(now, 1, update(3), 0));
}

proptest! {
    #[test]
    fn any_update_arrives_whatever_the_network_does_to_its_bytes(
        size in 1usize..60_000,
        piece in 1usize..5000,
        delay in 0u64..200,
        rate in prop_oneof![Just(0u64), 20_000u64..1_000_000],
    ) {
        let mut pair = Pair::ready();
        (pair.piece, pair.delay) = (piece, MS(delay));
        pair.edge.offer_weights(pair.now, 9, update(size), rate);
        pair.run(Duration::from_secs(20));
        prop_assert_eq!(pair.take_server_events(), [ServerEvent::Weights(received(9, update(size)))]);
    }
}
