// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Both state machines against a peer that sends what it likes. The first byte of the input says how long
//! the pieces are in which the rest arrives; time passes with every piece.

#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use splitinfer_wire::{
    EdgeConfig, EdgeSession, EdgeTiming, Hello, SendFrames, ServerConfig, ServerSession,
    ServerState, ServerTiming, Token, Version, Wants,
};

fn edge() -> EdgeSession {
    let hello = Hello {
        version: Version::OURS,
        agent: "fuzz".into(),
        token: Token::default(),
        model_hash: [0; 32],
        model_size: 3,
        sidecar: String::new(),
        input_name: "x".into(),
        input_shape: vec![1],
        candidates: vec![vec!["t".into()]],
        wants: Wants::Objects,
        send_frames: SendFrames::OnRequest,
        max_result_bytes: 1000,
    };
    let config = EdgeConfig {
        hello,
        max_in_flight: 4,
        timing: EdgeTiming::default(),
    };
    EdgeSession::new(config).expect("a valid configuration")
}

fn server(now: Instant) -> ServerSession {
    let config = ServerConfig {
        name: "fuzz".into(),
        token: None,
        max_frame_bytes: 1000,
        max_in_flight: 4,
        max_model_bytes: 1000,
        monitor_port: 5051,
        video: true,
        timing: ServerTiming::default(),
    };
    ServerSession::new(now, config).expect("a valid configuration")
}

fuzz_target!(|data: &[u8]| {
    let Some((&piece, data)) = data.split_first() else {
        return;
    };
    let mut now = Instant::now();
    let (mut edge, mut server) = (edge(), server(now));
    edge.start(now);
    for piece in data.chunks(usize::from(piece) + 1) {
        now += Duration::from_millis(100);
        edge.handle_control(now, piece);
        edge.provide_model(now, (&b"abc"[..]).into());
        edge.offer_weights(now, u64::from(data[0]), (&b"update"[..]).into(), 100);
        edge.handle_timeout(now);
        server.handle_control(now, piece);
        server.offer_weights(now, u64::from(data[0]), (&b"update"[..]).into(), 0);
        server.handle_timeout(now);
        if server.state() == ServerState::Deciding {
            // Both ways through the handshake are to be seen.
            if data[0].is_multiple_of(2) {
                server.accept(now, 1);
            } else {
                server.need_model(now);
            }
        }
        while edge.poll_transmit().is_some() || edge.poll_event().is_some() {}
        while server.poll_transmit().is_some() || server.poll_event().is_some() {}
    }
});
