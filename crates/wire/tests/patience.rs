// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Answers to a part of a payload: asked for, given, and told apart, in sessions that know of them and in those that do not.

mod pair;

use pair::{MS, Pair, edge_config, hello, model, object, server_config};
use splitinfer_wire::{
    Answer, AnswerBody, Content, EdgeEvent, EdgeSession, FrameHeader, Message, Patience,
    ResultHeader, ServerSession, Version, Welcome,
};

const PATIENCE: Patience = Patience {
    wait_us: 20_000,
    least_permille: 501,
};

fn without_all(objects: &[splitinfer_wire::WireObject]) -> Answer<'_> {
    Answer {
        model_version: 0,
        queue: MS(0),
        decode: MS(0),
        compute: MS(0),
        body: AnswerBody::Objects(objects),
        missing: 300,
    }
}

/// Of a frame that the edge opens with [`PATIENCE`].
fn header(edge: &mut EdgeSession, pair: &Pair, content: Content) -> (FrameHeader, usize) {
    let mut opening = pair.opening(1, MS(100));
    opening.patience = Some(PATIENCE);
    opening.content = content;
    let bytes = edge.open_frame(pair.now, &opening).unwrap();
    FrameHeader::decode(&bytes).unwrap().unwrap()
}

#[test]
fn the_server_learns_how_long_to_wait_and_tells_what_it_did_without() {
    let mut pair = Pair::ready();
    let mut opening = pair.opening(1, MS(100));
    opening.patience = Some(PATIENCE);
    let bytes = pair.edge.open_frame(pair.now, &opening).unwrap();
    let (header, len) = FrameHeader::decode(&bytes).unwrap().unwrap();
    assert_eq!((header.patience, len), (Some(PATIENCE), 74));
    let admitted = pair.server.admit_frame(pair.now, &header).unwrap();
    assert_eq!(admitted.enough, Some((pair.now + MS(20), 501)));
    let objects = [object(1)];
    let answer = without_all(&objects);
    let reply = pair.server.finish_frame(pair.now, 1, answer).unwrap();
    pair.receive(1, &reply);
    let events = pair.take_edge_events();
    let [EdgeEvent::Result { header, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(header.missing, 300);
}

#[test]
fn only_tensors_are_answered_in_part() {
    for content in [Content::Picture, Content::Video] {
        let mut pair = Pair::ready();
        let mut other = Pair::ready();
        let (header, _) = header(&mut other.edge, &pair, content);
        let admitted = pair.server.admit_frame(pair.now, &header).unwrap();
        assert_eq!(admitted.enough, None, "{content:?}");
    }
}

#[test]
fn an_earlier_server_is_not_asked() {
    let pair = Pair::ready();
    let mut edge = EdgeSession::new(edge_config(&model())).unwrap();
    edge.start(pair.now);
    let welcome = Welcome {
        version: Version { major: 1, minor: 4 },
        server: "earlier".into(),
        session_id: 1,
        max_frame_bytes: 100_000,
        max_in_flight: 4,
        monitor_port: 0,
        video: false,
    };
    let welcome = Message::Welcome(welcome).encode().unwrap();
    edge.handle_control(pair.now, &welcome);
    let (header, len) = header(&mut edge, &pair, Content::Candidate(1));
    assert_eq!((header.patience, len), (None, 68));
}

#[test]
fn an_earlier_edge_is_told_nothing_and_waited_for() {
    let mut pair = Pair::ready();
    let (header, _) = header(&mut pair.edge, &Pair::ready(), Content::Candidate(1));
    let mut server = ServerSession::new(pair.now, server_config()).unwrap();
    let mut hello = hello(&model());
    hello.version = Version { major: 1, minor: 4 };
    let hello = Message::Hello(Box::new(hello)).encode().unwrap();
    server.handle_control(pair.now, &hello);
    server.accept(pair.now, 1);
    let admitted = server.admit_frame(pair.now, &header).unwrap();
    assert_eq!(admitted.enough, None);
    let objects = [object(1)];
    let reply = server.finish_frame(pair.now, 1, without_all(&objects));
    let (header, len) = ResultHeader::decode(&reply.unwrap().header)
        .unwrap()
        .unwrap();
    assert_eq!((header.missing, len), (0, 36));
}

#[test]
fn what_is_no_share_is_refused_and_no_wait_is_none() {
    let mut pair = Pair::ready();
    let mut opening = pair.opening(1, MS(100));
    opening.patience = Some(PATIENCE);
    let bytes = pair.edge.open_frame(pair.now, &opening).unwrap();
    let mut bytes = bytes.to_vec();
    bytes[72..].copy_from_slice(&1001u16.to_be_bytes());
    assert!(FrameHeader::decode(&bytes).is_err());
    bytes[68..].copy_from_slice(&[0; 6]);
    let (header, len) = FrameHeader::decode(&bytes).unwrap().unwrap();
    assert_eq!((header.patience, len), (None, 74));
}
