// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames and their results: each result goes to its frame, in time, within the window.

mod pair;

use bytes::Bytes;
use pair::{MS, Pair, edge_config, model, object, server_config};
use splitinfer_wire::{
    Answer, AnswerBody, Content, EdgeEvent, EdgeState, Failure, FrameHeader, OpenError, REPORT_BIT,
    Rejection, ResultBody, ResultHeader, SendFrames, ServerEvent, Status, Wants,
};

fn number_and_class(event: &EdgeEvent) -> (u64, u32) {
    match event {
        EdgeEvent::Result {
            number,
            body: ResultBody::Objects(objects),
            ..
        } => (*number, objects[0].class),
        other => panic!("{other:?}"),
    }
}

#[test]
fn results_in_any_order_find_their_frames() {
    let mut pair = Pair::ready();
    for number in 1..=4 {
        pair.send_frame(number, MS(1000));
    }
    let replies: Vec<_> = [3, 1, 4, 2].map(|n| (n, pair.answer(n).unwrap())).to_vec();
    for (number, reply) in &replies {
        pair.receive(*number, reply);
    }
    let events = pair.take_edge_events();
    let got: Vec<_> = events.iter().map(number_and_class).collect();
    assert_eq!(got, [(3, 3), (1, 1), (4, 4), (2, 2)]);
    assert_eq!((pair.edge.in_flight(), pair.server.in_flight()), (0, 0));
}

#[test]
fn a_result_tells_the_servers_times_and_its_own() {
    let mut pair = Pair::ready();
    pair.send_frame(9, MS(1000));
    pair.run(MS(70));
    let reply = pair.answer(9).unwrap();
    pair.receive(9, &reply);
    let events = pair.take_edge_events();
    let [EdgeEvent::Result { header, took, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(*took, MS(70));
    let times = (header.queue_us, header.decode_us, header.compute_us);
    assert_eq!(times, (1000, 2000, 3000));
    assert_eq!(header.model_version, 3);
}

#[test]
fn the_window_is_the_smaller_of_both_sides() {
    let mut pair = Pair::ready();
    for number in 1..=4 {
        pair.send_frame(number, MS(1000));
    }
    let opening = pair.opening(5, MS(1000));
    let full = pair.edge.open_frame(pair.now, &opening);
    assert_eq!(full, Err(OpenError::WindowFull(4)));
    let reply = pair.answer(2).unwrap();
    pair.receive(2, &reply);
    pair.send_frame(5, MS(1000));
    pair.edge.set_max_in_flight(2);
    pair.edge.cancel_frame(1);
    let opening = pair.opening(6, MS(1000));
    let full = pair.edge.open_frame(pair.now, &opening);
    assert_eq!(full, Err(OpenError::WindowFull(2)));
}

#[test]
fn a_passed_deadline_is_told_once_and_the_late_result_refused() {
    let mut pair = Pair::ready();
    pair.send_frame(1, MS(100));
    pair.send_frame(2, MS(300));
    let reply = pair.answer(1).unwrap();
    pair.run(MS(100));
    assert_eq!(pair.take_edge_events(), [EdgeEvent::Expired { number: 1 }]);
    pair.receive(1, &reply);
    let why = Rejection::Late;
    assert_eq!(
        pair.take_edge_events(),
        [EdgeEvent::Rejected { number: 1, why }]
    );
    assert_eq!(pair.edge.in_flight(), 1);
}

#[test]
fn a_result_after_the_deadline_is_late_even_before_the_timer_fires() {
    let mut pair = Pair::ready();
    pair.send_frame(1, MS(100));
    let reply = pair.answer(1).unwrap();
    pair.now += MS(101);
    pair.receive(1, &reply);
    let why = Rejection::Late;
    let expected = [
        EdgeEvent::Expired { number: 1 },
        EdgeEvent::Rejected { number: 1, why },
    ];
    assert_eq!(pair.take_edge_events(), expected);
}

#[test]
fn duplicates_inventions_and_cancelled_frames_are_refused() {
    let mut pair = Pair::ready();
    for number in 1..=2 {
        pair.send_frame(number, MS(1000));
    }
    let first = pair.answer(1).unwrap();
    let second = pair.answer(2).unwrap();
    pair.receive(1, &first);
    pair.take_edge_events();
    assert!(pair.edge.cancel_frame(2));
    assert!(!pair.edge.cancel_frame(2));
    for (number, reply, why) in [
        (1, &first, Rejection::Duplicate),
        (2, &second, Rejection::Cancelled),
        (3, &second, Rejection::Unknown),
    ] {
        pair.receive(number, reply);
        let expected = [EdgeEvent::Rejected { number, why }];
        assert_eq!(pair.take_edge_events(), expected);
    }
}

#[test]
fn a_result_of_another_frame_is_never_taken() {
    let mut pair = Pair::ready();
    pair.send_frame(1, MS(1000));
    pair.send_frame(2, MS(1000));
    let second = pair.answer(2).unwrap();
    pair.receive(1, &second);
    let why = Failure::WrongNumber(2);
    assert_eq!(
        pair.take_edge_events(),
        [EdgeEvent::Failed { number: 1, why }]
    );
    // Frame 2 has not been harmed by it.
    pair.receive(2, &second);
    assert_eq!(number_and_class(&pair.take_edge_events()[0]), (2, 2));
}

#[test]
fn failures_carry_the_servers_words() {
    let mut pair = Pair::ready();
    pair.send_frame(1, MS(1000));
    let answer = Answer {
        model_version: 3,
        queue: MS(0),
        decode: MS(0),
        compute: MS(0),
        body: AnswerBody::Failure(Status::BadInput, "tensor 1: channel range is NaN"),
        missing: 0,
    };
    let reply = pair.server.finish_frame(pair.now, 1, answer).unwrap();
    pair.receive(1, &reply);
    let why = Failure::Server {
        status: Status::BadInput,
        text: "tensor 1: channel range is NaN".into(),
    };
    assert_eq!(
        pair.take_edge_events(),
        [EdgeEvent::Failed { number: 1, why }]
    );
}

#[test]
fn unreadable_or_unwanted_bodies_fail_their_frame_only() {
    let header = |body, body_len| ResultHeader {
        number: 1,
        status: Status::Ok,
        body,
        model_version: 0,
        queue_us: 0,
        decode_us: 0,
        compute_us: 0,
        body_len,
        missing: 0,
    };
    use splitinfer_wire::BodyKind::{None, Objects, Tensors};
    for (header, body) in [
        (header(Objects, 3), &b"abc"[..]),
        (header(Objects, 4), b"abc"),
        (header(Tensors, 3), b"abc"),
        (header(None, 0), b""),
        (header(Objects, 10_001), b""),
    ] {
        let mut pair = Pair::ready();
        pair.send_frame(1, MS(1000));
        pair.edge
            .handle_result(pair.now, 1, header, Bytes::copy_from_slice(body));
        let events = pair.take_edge_events();
        assert!(
            matches!(events[..], [EdgeEvent::Failed { number: 1, .. }]),
            "{events:?}"
        );
        assert_eq!(pair.edge.state(), EdgeState::Ready);
    }
}

#[test]
fn a_reset_stream_fails_its_frame() {
    let mut pair = Pair::ready();
    pair.send_frame(1, MS(1000));
    pair.edge.stream_failed(1, "reset with code 0x12");
    pair.edge.stream_failed(1, "again");
    let events = pair.take_edge_events();
    assert!(matches!(events[..], [EdgeEvent::Failed { number: 1, .. }]));
}

#[test]
fn raw_tensors_pass_untouched() {
    let mut config = edge_config(&model());
    config.hello.wants = Wants::Tensors;
    let mut pair = Pair::ready_with(config, server_config());
    pair.send_frame(1, MS(1000));
    let tensors = Bytes::from_static(b"coded tensors");
    let answer = Answer {
        model_version: 0,
        queue: MS(0),
        decode: MS(0),
        compute: MS(0),
        body: AnswerBody::Tensors(tensors.clone()),
        missing: 0,
    };
    let reply = pair.server.finish_frame(pair.now, 1, answer).unwrap();
    pair.receive(1, &reply);
    let events = pair.take_edge_events();
    let [EdgeEvent::Result { body, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(*body, ResultBody::Tensors(tensors));
}

#[test]
fn answers_the_edge_would_not_take_become_failures() {
    let mut broken = object(1);
    broken.score = f32::NAN;
    let many = vec![object(1); 1000];
    for body in [
        AnswerBody::Tensors(Bytes::from_static(b"x")),
        AnswerBody::Objects(&[broken]),
        AnswerBody::Objects(&many),
    ] {
        let mut pair = Pair::ready();
        pair.send_frame(1, MS(1000));
        let answer = Answer {
            model_version: 0,
            queue: MS(0),
            decode: MS(0),
            compute: MS(0),
            body,
            missing: 0,
        };
        let reply = pair.server.finish_frame(pair.now, 1, answer).unwrap();
        let (header, _) = ResultHeader::decode(&reply.header).unwrap().unwrap();
        assert_eq!(header.status, Status::Internal);
        assert_eq!(header.body_len as usize, reply.body.len());
    }
}

/// What comes of an answer without a body to a frame of this content.
fn answered_without_body(content: Content) -> EdgeEvent {
    let mut pair = Pair::ready();
    let number = match content {
        Content::Report => 1 | REPORT_BIT,
        _ => 1,
    };
    let mut opening = pair.opening(number, MS(1000));
    opening.content = content;
    let bytes = pair.edge.open_frame(pair.now, &opening).unwrap();
    let (header, _) = FrameHeader::decode(&bytes).unwrap().unwrap();
    pair.server.admit_frame(pair.now, &header).unwrap();
    let answer = Answer {
        model_version: 0,
        queue: MS(0),
        decode: MS(0),
        compute: MS(0),
        body: AnswerBody::None,
        missing: 0,
    };
    let reply = pair.server.finish_frame(pair.now, number, answer);
    pair.receive(number, &reply.unwrap());
    pair.take_edge_events().remove(0)
}

#[test]
fn reports_and_pictures_of_a_video_may_be_acknowledged_without_a_body() {
    for content in [Content::Report, Content::Video] {
        let event = answered_without_body(content);
        let body = ResultBody::None;
        assert!(
            matches!(&event, EdgeEvent::Result { body: b, .. } if *b == body),
            "{event:?}"
        );
    }
    let event = answered_without_body(Content::Picture);
    assert!(
        matches!(
            &event,
            EdgeEvent::Failed {
                why: Failure::WrongBody(_),
                ..
            }
        ),
        "{event:?}"
    );
}

#[test]
fn video_is_sent_only_to_a_server_that_takes_it() {
    let mut config = server_config();
    config.video = false;
    let mut pair = Pair::ready_with(edge_config(&model()), config);
    let mut opening = pair.opening(1, MS(1000));
    opening.content = Content::Video;
    let refused = pair.edge.open_frame(pair.now, &opening);
    assert_eq!(refused, Err(OpenError::NoVideo));
    // An edge that sends it all the same is told so, and goes on.
    opening.content = Content::Picture;
    let bytes = pair.edge.open_frame(pair.now, &opening).unwrap();
    let (mut header, _) = FrameHeader::decode(&bytes).unwrap().unwrap();
    header.content = Content::Video;
    let reply = pair
        .server
        .admit_frame(pair.now, &header)
        .unwrap_err()
        .unwrap();
    assert!(String::from_utf8_lossy(&reply.body).contains("takes no video"));
    pair.send_frame(2, MS(1000));
    assert!(pair.answer(2).is_some());
}

#[test]
fn frames_the_edge_may_not_send_are_not_opened() {
    let mut pair = Pair::ready();
    let good = pair.opening(1, MS(1000));
    let with = |change: &dyn Fn(&mut _)| {
        let mut opening = good.clone();
        change(&mut opening);
        opening
    };
    type O = splitinfer_wire::FrameOpening;
    for opening in [
        with(&|o: &mut O| o.content = Content::Candidate(2)),
        with(&|o: &mut O| o.payload_len = 100_001),
        with(&|o: &mut O| o.deadline = pair.now),
        with(&|o: &mut O| o.attachment_len = 1),
        with(&|o: &mut O| o.content = Content::Report),
        with(&|o: &mut O| o.number |= REPORT_BIT),
        with(&|o: &mut O| o.placement[0] = 0.0),
        with(&|o: &mut O| o.placement[3] = f32::NAN),
    ] {
        let refused = pair.edge.open_frame(pair.now, &opening);
        assert!(refused.is_err(), "{opening:?}");
        assert_eq!(pair.edge.in_flight(), 0);
    }
    pair.edge.open_frame(pair.now, &good).unwrap();
    let again = pair.edge.open_frame(pair.now, &good);
    assert_eq!(again, Err(OpenError::NumberUsed(1)));
}

#[test]
fn the_server_refuses_what_breaks_its_bounds() {
    let mut config = edge_config(&model());
    config.hello.send_frames = SendFrames::Never;
    let mut pair = Pair::ready_with(config, server_config());
    let good = FrameHeader {
        number: 1,
        content: Content::Candidate(0),
        model_version: 0,
        pts_ns: None,
        budget_us: 100_000,
        placement: [1.0, 1.0, 0.0, 0.0, 10.0, 10.0],
        picture_size: (10, 10),
        payload_len: 10,
        attachment_len: 0,
        patience: None,
        longest_us: None,
    };
    type H = FrameHeader;
    type Change<'a> = &'a dyn Fn(&mut H);
    let changes: [(Change, Status); 8] = [
        (&|h: &mut H| h.payload_len = u32::MAX, Status::BadInput),
        (
            &|h: &mut H| h.content = Content::Candidate(2),
            Status::BadInput,
        ),
        (&|h: &mut H| h.attachment_len = 1, Status::BadInput),
        (&|h: &mut H| h.number |= REPORT_BIT, Status::BadInput),
        (&|h: &mut H| h.content = Content::Report, Status::BadInput),
        // As this edge sends no frames.
        (
            &|h: &mut H| {
                h.content = Content::Report;
                h.number |= REPORT_BIT;
            },
            Status::BadInput,
        ),
        (&|h: &mut H| h.budget_us = 0, Status::Dropped),
        (&|_| (), Status::Ok),
    ];
    for (change, expected) in changes {
        let mut header = good.clone();
        change(&mut header);
        let status = match pair.server.admit_frame(pair.now, &header) {
            Ok(_) => Status::Ok,
            Err(reply) => {
                let reply = reply.unwrap();
                let (header, _) = ResultHeader::decode(&reply.header).unwrap().unwrap();
                header.status
            }
        };
        assert_eq!(status, expected);
    }
    // Frame 1 is in flight now; three more fill the window.
    assert!(pair.server.admit_frame(pair.now, &good).is_err());
    for number in 2..=5 {
        let header = FrameHeader {
            number,
            ..good.clone()
        };
        let admitted = pair.server.admit_frame(pair.now, &header);
        assert_eq!(admitted.is_ok(), number < 5);
    }
}

#[test]
fn no_frame_is_taken_before_welcome() {
    let mut pair = Pair::new(edge_config(&model()), server_config());
    pair.run(MS(50));
    let opening = pair.opening(1, MS(1000));
    let refused = pair.edge.open_frame(pair.now, &opening);
    assert_eq!(refused, Err(OpenError::NotReady(EdgeState::HelloSent)));
    let mut other = Pair::ready();
    let bytes = other.edge.open_frame(other.now, &opening).unwrap();
    let (header, _) = FrameHeader::decode(&bytes).unwrap().unwrap();
    assert_eq!(pair.server.admit_frame(pair.now, &header), Err(None));
}

#[test]
fn the_server_drops_work_whose_budget_is_used_up() {
    let mut pair = Pair::ready();
    pair.send_frame(1, MS(100));
    pair.send_frame(2, MS(200));
    pair.run(MS(150));
    assert_eq!(
        pair.take_server_events(),
        [ServerEvent::FrameExpired { number: 1 }]
    );
    assert!(pair.answer(1).is_none());
    assert!(pair.answer(2).is_some());
}

#[test]
fn an_abandoned_frame_frees_its_place() {
    let mut pair = Pair::ready();
    for number in 1..=4 {
        pair.send_frame(number, MS(1000));
    }
    assert!(pair.edge.cancel_frame(3));
    assert!(pair.server.abandon_frame(3));
    assert!(!pair.server.abandon_frame(3));
    pair.send_frame(5, MS(1000));
    assert!(pair.answer(3).is_none());
}
