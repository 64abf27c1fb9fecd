// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How sessions begin and end.

mod pair;

use bytes::Bytes;
use pair::{MS, Pair, edge_config, hello, model, server_config};
use splitinfer_wire::message::NeedModel;
use splitinfer_wire::{
    ByeReason, CloseReason, EdgeEvent, EdgeSession, EdgeState, Failure, Load, Message,
    MessageReader, Refuse, RefuseCode, SendFrames, ServerEvent, ServerPhase, ServerSession,
    ServerState, Token, Version,
};

fn messages(bytes: impl Iterator<Item = Bytes>) -> Vec<Message> {
    let mut reader = MessageReader::default();
    for bytes in bytes {
        reader.push(&bytes);
    }
    std::iter::from_fn(|| reader.next_message().unwrap()).collect()
}

fn said(server: &mut ServerSession) -> Vec<Message> {
    messages(std::iter::from_fn(|| server.poll_transmit()))
}

fn refusal(pair: &mut Pair) -> Refuse {
    let events = pair.take_edge_events();
    let [.., EdgeEvent::Refused(refuse), EdgeEvent::Closed(closed)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(*closed, CloseReason::Refused(refuse.clone()));
    refuse.clone()
}

#[test]
fn a_known_model_opens_the_session_at_once() {
    let mut pair = Pair::new(edge_config(&model()), server_config());
    pair.piece = 1;
    pair.run(MS(15));
    assert_eq!(pair.edge.state(), EdgeState::HelloSent);
    let events = pair.take_server_events();
    assert_eq!(events, [ServerEvent::Hello(Box::new(hello(&model())))]);
    pair.server.accept(pair.now, 42);
    pair.run(MS(15));
    let events = pair.take_edge_events();
    let [EdgeEvent::Connected(welcome)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(welcome.session_id, 42);
    assert_eq!(welcome.server, "test-server 1");
    assert_eq!(welcome.max_frame_bytes, 100_000);
    assert_eq!(pair.edge.window(), 4);
}

#[test]
fn an_unknown_model_is_uploaded() {
    let mut pair = Pair::new(edge_config(&model()), server_config());
    pair.piece = 1000;
    pair.run(MS(15));
    pair.server.need_model(pair.now);
    pair.run(MS(15));
    let need = EdgeEvent::ModelNeeded {
        max_bytes: 10_000_000,
    };
    assert_eq!(pair.take_edge_events(), [need]);
    pair.edge.provide_model(pair.now, model());
    pair.run(MS(500));
    let total = model().len() as u64;
    let progress = pair.take_edge_events();
    let done = EdgeEvent::UploadProgress {
        received: total,
        total,
    };
    assert_eq!(progress.last(), Some(&done));
    let events = pair.take_server_events();
    assert_eq!(events.last(), Some(&ServerEvent::ModelUploaded(model())));
    pair.server.accept(pair.now, 1);
    pair.run(MS(15));
    assert_eq!(pair.edge.state(), EdgeState::Ready);
}

#[test]
fn a_server_that_prepares_for_long_says_so_and_is_waited_for() {
    let mut pair = Pair::new(edge_config(&model()), server_config());
    pair.run(MS(30_000));
    let events = pair.take_edge_events();
    assert!(events.len() >= 25, "{events:?}");
    for event in events {
        let EdgeEvent::Status(status) = event else {
            panic!("{event:?}");
        };
        assert_eq!(status.phase, ServerPhase::Preparing);
    }
    pair.server.accept(pair.now, 1);
    pair.run(MS(15));
    assert_eq!(pair.edge.state(), EdgeState::Ready);
}

#[test]
fn preparing_for_ever_is_given_up() {
    let mut pair = Pair::new(edge_config(&model()), server_config());
    pair.run(MS(301_000));
    let events = pair.take_edge_events();
    let Some(EdgeEvent::Closed(CloseReason::TimedOut(what))) = events.last() else {
        panic!("{events:?}");
    };
    assert!(what.contains("preparing"));
    assert_eq!(pair.server.state(), ServerState::Closed);
}

#[test]
fn a_wrong_token_is_refused_before_the_driver_hears_of_it() {
    for token in ["", "open sesamE", "open"] {
        let mut config = edge_config(&model());
        config.hello.token = Token::from(token);
        let mut pair = Pair::new(config, server_config());
        pair.run(MS(50));
        assert_eq!(refusal(&mut pair).code, RefuseCode::Auth);
        let events = pair.take_server_events();
        assert!(
            matches!(&events[..], [ServerEvent::Closed(CloseReason::Refused(_))]),
            "{events:?}"
        );
        assert!(pair.server.hello().is_none());
    }
}

#[test]
fn every_refusal_reaches_the_edge_with_its_text() {
    for code in 1..=10 {
        let code = RefuseCode::from_code(code);
        let mut pair = Pair::new(edge_config(&model()), server_config());
        pair.run(MS(15));
        pair.server.refuse(code, "because");
        pair.run(MS(15));
        let text = "because".into();
        assert_eq!(refusal(&mut pair), Refuse { code, text });
    }
}

#[test]
fn a_model_beyond_the_limit_is_refused_before_any_byte_of_it() {
    let mut config = server_config();
    config.max_model_bytes = 1000;
    let mut pair = Pair::new(edge_config(&model()), config);
    pair.run(MS(15));
    pair.server.need_model(pair.now);
    pair.run(MS(15));
    let refuse = refusal(&mut pair);
    assert_eq!(refuse.code, RefuseCode::ModelTooLarge);
    assert!(refuse.text.contains("3000000") && refuse.text.contains("1000"));
}

#[test]
fn a_model_with_another_hash_is_refused() {
    let mut config = edge_config(&model());
    config.hello.model_hash = [7; 32];
    let mut pair = Pair::new(config, server_config());
    pair.run(MS(15));
    pair.server.need_model(pair.now);
    pair.run(MS(15));
    pair.edge.provide_model(pair.now, model());
    pair.run(MS(500));
    assert_eq!(refusal(&mut pair).code, RefuseCode::ModelInvalid);
}

#[test]
fn another_major_version_is_refused_by_name() {
    let now = std::time::Instant::now();
    let mut server = ServerSession::new(now, server_config()).unwrap();
    // Length 6, type Hello, version 9.1, and a body of which nothing is known.
    server.handle_control(now, &[0, 0, 0, 6, 0, 1, 0, 9, 0, 1, 0xaa, 0xbb]);
    let said = said(&mut server);
    let [Message::Refuse(refuse)] = &said[..] else {
        panic!("{said:?}");
    };
    assert_eq!(refuse.code, RefuseCode::Version);
    let ours = Version::OURS.to_string();
    assert!(refuse.text.contains("9.1") && refuse.text.contains(&ours));
}

#[test]
fn a_later_minor_version_gets_a_session_of_ours() {
    let now = std::time::Instant::now();
    let mut server = ServerSession::new(now, server_config()).unwrap();
    let mut later = hello(&model());
    later.version = Version { major: 1, minor: 9 };
    let bytes = Message::Hello(Box::new(later)).encode().unwrap();
    server.handle_control(now, &bytes);
    server.accept(now, 1);
    let said = said(&mut server);
    let [Message::Welcome(welcome)] = &said[..] else {
        panic!("{said:?}");
    };
    assert_eq!(welcome.version, Version::OURS);
}

#[test]
fn the_port_of_the_monitor_is_told_to_whom_knows_it() {
    let now = std::time::Instant::now();
    let welcome_to = |minor| {
        let mut server = ServerSession::new(now, server_config()).unwrap();
        let mut hello = hello(&model());
        hello.version = Version { major: 1, minor };
        let hello = Message::Hello(Box::new(hello)).encode().unwrap();
        server.handle_control(now, &hello);
        server.accept(now, 1);
        server.poll_transmit().unwrap()
    };
    let (old, new) = (welcome_to(1), welcome_to(2));
    let port = |bytes: &Bytes| match &messages([bytes.clone()].into_iter())[..] {
        [Message::Welcome(welcome)] => welcome.monitor_port,
        other => panic!("{other:?}"),
    };
    assert_eq!((port(&old), port(&new)), (0, 5051));
    // To a reader of 1.1 the message is what it was, byte for byte.
    assert_eq!(old.len(), 6 + 2 + 2 + 4 + "test-server 1".len() + 8 + 4 + 4);
    assert_eq!(new.len(), old.len() + 2);
    assert_eq!(new[10..old.len()], old[10..]);
    // And a server of 1.1 has no monitor for an edge of ours.
    let mut edge = EdgeSession::new(edge_config(&model())).unwrap();
    edge.start(now);
    edge.handle_control(now, &old);
    assert_eq!(edge.state(), EdgeState::Ready);
    assert_eq!(edge.welcome().unwrap().monitor_port, 0);
}

#[test]
fn nothing_but_hello_may_come_first() {
    let now = std::time::Instant::now();
    for message in [Message::Ping { id: 1 }, Message::UploadDone] {
        let mut server = ServerSession::new(now, server_config()).unwrap();
        server.handle_control(now, &message.encode().unwrap());
        let said = said(&mut server);
        let [Message::Refuse(refuse)] = &said[..] else {
            panic!("{said:?}");
        };
        assert_eq!(refuse.code, RefuseCode::Protocol);
        assert_eq!(server.state(), ServerState::Closed);
    }
}

#[test]
fn a_client_that_says_nothing_hears_nothing_and_is_dropped() {
    let mut pair = Pair::new(edge_config(&model()), server_config());
    pair.down = true;
    pair.run(MS(4_999));
    assert_eq!(pair.server.state(), ServerState::AwaitHello);
    pair.run(MS(1));
    assert_eq!(pair.server.state(), ServerState::Closed);
    assert_eq!(pair.server.poll_transmit(), None);
    assert_eq!(pair.edge.state(), EdgeState::Closed);
}

#[test]
fn dripping_bytes_gain_no_time_before_hello() {
    let start = std::time::Instant::now();
    let mut server = ServerSession::new(start, server_config()).unwrap();
    let bytes = Message::Hello(Box::new(hello(&model()))).encode().unwrap();
    for (i, byte) in bytes.iter().take(60).enumerate() {
        let now = start + MS(100) * i as u32;
        server.handle_timeout(now);
        server.handle_control(now, &[*byte]);
    }
    assert_eq!(server.state(), ServerState::Closed);
}

#[test]
fn an_upload_that_stalls_is_dropped() {
    let mut pair = Pair::new(edge_config(&model()), server_config());
    pair.run(MS(15));
    pair.server.need_model(pair.now);
    pair.run(MS(15));
    pair.down = true;
    pair.run(MS(15_000));
    let events = pair.take_server_events();
    let Some(ServerEvent::Closed(CloseReason::TimedOut(what))) = events.last() else {
        panic!("{events:?}");
    };
    assert!(what.contains("stalled"));
}

#[test]
fn pings_measure_the_round_trip_and_bring_the_load() {
    let mut pair = Pair::ready();
    let load = Load {
        queue: 3,
        utilisation_permille: 750,
        whole_us: 30_000,
        tail_us: vec![20_000, 10_000],
    };
    pair.server.set_load(load.clone());
    pair.run(MS(5000));
    let rtt = pair.edge.rtt().unwrap();
    assert_eq!((rtt.smoothed(), rtt.least()), (MS(20), MS(20)));
    assert_eq!(pair.edge.load(), Some(&load));
    pair.delay = MS(50);
    pair.run(MS(20_000));
    let rtt = pair.edge.rtt().unwrap();
    assert!(rtt.smoothed() > MS(95), "{rtt:?}");
    assert_eq!((rtt.latest(), rtt.least()), (MS(100), MS(20)));
}

#[test]
fn a_steady_session_lasts() {
    let mut pair = Pair::ready();
    pair.run(MS(3_600_000));
    assert_eq!(pair.edge.state(), EdgeState::Ready);
    assert_eq!(pair.server.state(), ServerState::Ready);
}

#[test]
fn silence_is_noticed_by_both_sides_and_frees_the_frames() {
    let mut pair = Pair::ready();
    pair.send_frame(1, MS(60_000));
    pair.down = true;
    pair.run(MS(3_500));
    let why = Failure::SessionEnded;
    let expected = [
        EdgeEvent::Failed { number: 1, why },
        EdgeEvent::Closed(CloseReason::TimedOut("nothing heard from the server")),
    ];
    assert_eq!(pair.take_edge_events(), expected);
    assert_eq!(pair.edge.poll_timeout(), None);
    pair.run(MS(10_000));
    let closed = CloseReason::TimedOut("nothing heard from the edge");
    assert_eq!(pair.take_server_events(), [ServerEvent::Closed(closed)]);
}

#[test]
fn results_are_signs_of_life() {
    let mut pair = Pair::ready();
    pair.send_frame(1, MS(60_000));
    pair.down = true;
    pair.run(MS(2_500));
    let reply = pair.answer(1).unwrap();
    pair.receive(1, &reply);
    pair.run(MS(2_500));
    assert_eq!(pair.edge.state(), EdgeState::Ready);
}

#[test]
fn a_lost_connection_ends_the_session_once() {
    let mut pair = Pair::ready();
    pair.send_frame(5, MS(100));
    pair.edge.connection_lost("reset by peer");
    pair.edge.connection_lost("again");
    pair.edge.close(ByeReason::Done, "");
    let why = Failure::SessionEnded;
    let expected = [
        EdgeEvent::Failed { number: 5, why },
        EdgeEvent::Closed(CloseReason::Lost("reset by peer".into())),
    ];
    assert_eq!(pair.take_edge_events(), expected);
    pair.server.connection_lost("reset by peer");
    assert_eq!(pair.server.in_flight(), 0);
    assert!(pair.answer(5).is_none());
}

#[test]
fn bye_ends_the_other_side() {
    let mut pair = Pair::ready();
    pair.edge.close(ByeReason::Done, "end of stream");
    pair.run(MS(15));
    let closed = CloseReason::Peer {
        reason: ByeReason::Done,
        text: "end of stream".into(),
    };
    assert_eq!(pair.take_server_events(), [ServerEvent::Closed(closed)]);

    let mut pair = Pair::ready();
    pair.server.close(ByeReason::Shutdown, "maintenance");
    pair.run(MS(15));
    let closed = CloseReason::Peer {
        reason: ByeReason::Shutdown,
        text: "maintenance".into(),
    };
    assert_eq!(pair.take_edge_events(), [EdgeEvent::Closed(closed)]);
}

#[test]
fn a_draining_server_gets_no_more_frames_but_answers_those_it_has() {
    let mut pair = Pair::ready();
    pair.send_frame(1, MS(1000));
    pair.server.drain("shutting down");
    pair.run(MS(15));
    assert!(pair.edge.is_draining());
    let opening = pair.opening(2, MS(1000));
    assert!(pair.edge.open_frame(pair.now, &opening).is_err());
    let reply = pair.answer(1).unwrap();
    pair.receive(1, &reply);
    let events = pair.take_edge_events();
    assert!(matches!(events.last(), Some(EdgeEvent::Result { .. })));
}

#[test]
fn garbage_on_the_control_stream_ends_the_session_with_a_reason() {
    let mut pair = Pair::ready();
    pair.server.handle_control(pair.now, &[0xff; 64]);
    pair.run(MS(15));
    let events = pair.take_edge_events();
    let [EdgeEvent::Closed(CloseReason::Peer { reason, text })] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(*reason, ByeReason::Protocol);
    assert!(text.contains("message length"), "{text}");

    let mut pair = Pair::ready();
    let bytes = Message::NeedModel(NeedModel { max_bytes: 1 });
    pair.edge.handle_control(pair.now, &bytes.encode().unwrap());
    let events = pair.take_edge_events();
    let [EdgeEvent::Closed(CloseReason::Protocol(text))] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(text.contains("NeedModel") && text.contains("Ready"));
}

#[test]
fn answers_nobody_reads_do_not_pile_up() {
    let mut pair = Pair::ready();
    let ping = Message::Ping { id: 1 }.encode().unwrap();
    for _ in 0..1000 {
        pair.server.handle_control(pair.now, &ping);
    }
    assert_eq!(pair.server.state(), ServerState::Closed);
    assert!(said(&mut pair.server).len() < 10);
}

#[test]
fn decisions_at_the_wrong_time_change_nothing() {
    let mut pair = Pair::ready();
    pair.server.accept(pair.now, 2);
    pair.server.need_model(pair.now);
    pair.server.refuse(RefuseCode::Busy, "too late");
    pair.edge.provide_model(pair.now, model());
    pair.edge.start(pair.now);
    assert_eq!(pair.server.poll_transmit(), None);
    assert_eq!(pair.edge.poll_transmit(), None);
    assert_eq!(pair.server.state(), ServerState::Ready);
}

#[test]
fn a_model_that_is_not_the_announced_one_is_not_sent() {
    let mut pair = Pair::new(edge_config(&model()), server_config());
    pair.run(MS(15));
    pair.server.need_model(pair.now);
    pair.run(MS(15));
    pair.edge
        .provide_model(pair.now, Bytes::from_static(b"short"));
    pair.run(MS(15));
    let events = pair.take_edge_events();
    let Some(EdgeEvent::Closed(CloseReason::Local { text, .. })) = events.last() else {
        panic!("{events:?}");
    };
    assert!(text.contains("5 bytes"));
    assert_eq!(pair.server.state(), ServerState::Closed);
}

#[test]
fn what_the_protocol_cannot_carry_is_found_before_anything_is_sent() {
    let mut config = edge_config(&model());
    config.hello.sidecar = "x".repeat(600 << 10);
    let error = EdgeSession::new(config).unwrap_err();
    assert!(error.to_string().contains("Hello.sidecar"));

    let mut config = server_config();
    config.token = Some(Token::default());
    assert!(ServerSession::new(std::time::Instant::now(), config).is_err());
}

#[test]
fn pictures_are_sent_only_where_both_sides_want_them() {
    let mut pair = Pair::ready();
    let mut opening = pair.opening(1, MS(1000));
    opening.attachment_len = 100;
    assert!(pair.edge.open_frame(pair.now, &opening).is_err());
    assert!(pair.server.request_frames(10));
    pair.run(MS(15));
    assert_eq!(
        pair.take_edge_events(),
        [EdgeEvent::FramesWanted { every: 10 }]
    );
    assert_eq!(pair.edge.pictures_every(), 10);
    pair.edge.open_frame(pair.now, &opening).unwrap();

    let mut config = edge_config(&model());
    config.hello.send_frames = SendFrames::Never;
    let mut pair = Pair::ready_with(config, server_config());
    assert!(!pair.server.request_frames(1));
    let every = Message::RequestFrames { every: 1 }.encode().unwrap();
    pair.edge.handle_control(pair.now, &every);
    assert_eq!(pair.edge.pictures_every(), 0);
    assert_eq!(pair.take_edge_events(), []);
}

#[test]
fn frames_are_told_of_by_edges_that_can_and_want_to() {
    let mut hello = edge_config(&model()).hello;
    hello.version = Version::OURS;
    for (send_frames, told) in [
        (SendFrames::Never, false),
        (SendFrames::OnRequest, true),
        (SendFrames::Always, true),
    ] {
        hello.send_frames = send_frames;
        assert_eq!(hello.has_reports(), told);
    }
    hello.version.minor = 3;
    assert!(!hello.has_reports(), "before version 1.4 there were none");
}
