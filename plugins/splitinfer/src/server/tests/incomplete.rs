// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames of which a part never comes, from a client that says how long to wait for it.

use std::time::{Duration, Instant};

use quinn::{Connection, RecvStream, SendStream};
use splitinfer_runtime::random_tensor;
use splitinfer_tensor::DType;
use splitinfer_tensorcode::{Encode, Predictive};
use splitinfer_wire::close::stream_code;
use splitinfer_wire::{Content, FrameHeader, Patience, ResultHeader, Status};

use super::bench::{Edge, Server, ready};
use super::hostile::Attacker;

const WAIT: Duration = Duration::from_millis(40);

/// A session whose frames are streams in the hands of the test.
struct Session {
    connection: Connection,
    _control: (SendStream, RecvStream),
    edge: Edge,
    encoder: Predictive,
    _server: Server,
}

impl Session {
    async fn open() -> Self {
        let edge = Edge::new(1);
        let server = Server::new(Some(&edge.model)).play();
        let client = Attacker::like(&edge, &server);
        let (connection, send, recv) = client.session().await;
        Self {
            connection,
            _control: (send, recv),
            edge,
            encoder: Predictive::default(),
            _server: server,
        }
    }

    fn payload(&mut self, number: u64) -> Vec<u8> {
        // Each its own, so that there is something to send.
        let input = random_tensor(DType::F32, self.edge.input.shape(), 1.0, number);
        let tensors = self.edge.split.head(0, &input).unwrap();
        self.encoder.encode(number, &tensors, 8).unwrap()
    }

    /// Sends the first bytes of a payload and no more, and waits for what the server says.
    async fn answer(
        &self,
        number: u64,
        payload: &[u8],
        first: usize,
        least_permille: u16,
    ) -> Result<ResultHeader, quinn::ReadError> {
        let header = FrameHeader {
            number,
            content: Content::Candidate(0),
            model_version: 0,
            pts_ns: None,
            budget_us: 400_000,
            placement: [1.0, 1.0, 0.0, 0.0, 16.0, 16.0],
            picture_size: (16, 16),
            payload_len: payload.len() as u32,
            attachment_len: 0,
            patience: Some(Patience {
                wait_us: WAIT.as_micros() as u32,
                least_permille,
            }),
            longest_us: None,
        };
        let (mut send, mut recv) = self.connection.open_bi().await.unwrap();
        send.write_all(&header.encode().unwrap()).await.unwrap();
        send.write_all(&payload[..first]).await.unwrap();
        let mut bytes = Vec::new();
        loop {
            if let Some((header, _)) = ResultHeader::decode(&bytes).unwrap() {
                return Ok(header);
            }
            match recv.read_chunk(1 << 16, true).await? {
                Some(chunk) => bytes.extend_from_slice(&chunk.bytes),
                None => panic!("the stream ended after {} bytes", bytes.len()),
            }
        }
    }
}

/// Runs a session in a runtime of its own.
fn in_session(test: impl AsyncFnOnce(Session)) {
    if !ready() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let test = async { test(Session::open().await).await };
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, test).await.expect("it ends");
    });
}

#[test]
fn what_has_come_is_completed_when_the_time_is_over_and_is_no_reference() {
    in_session(async |mut session| {
        let payload = session.payload(1);
        let whole = session.answer(1, &payload, payload.len(), 500).await;
        let whole = whole.unwrap();
        assert_eq!((whole.status, whole.missing), (Status::Ok, 0));

        session.encoder.acknowledge(1);
        let payload = session.payload(2);
        let begun = Instant::now();
        let part = session.answer(2, &payload, payload.len() - 3, 500).await;
        let part = part.unwrap();
        assert_eq!((part.status, part.missing), (Status::Ok, 3));
        assert!(begun.elapsed() >= WAIT, "{:?}", begun.elapsed());

        // An edge that took the part for the whole would be told; one that did not goes on from what was whole.
        let payload = session.payload(3);
        let next = session.answer(3, &payload, payload.len(), 500).await;
        assert_eq!(next.unwrap().status, Status::Ok);
        session.encoder.acknowledge(2);
        let payload = session.payload(4);
        let lost = session.answer(4, &payload, payload.len(), 500).await;
        assert_eq!(lost.unwrap().status, Status::NoReference);
    });
}

#[test]
fn too_little_is_waited_on_until_the_budget_ends() {
    in_session(async |mut session| {
        let payload = session.payload(1);
        let first = payload.len() / 2;
        let reset = session.answer(1, &payload, first, 900).await;
        let code = stream_code::DEADLINE.into();
        assert_eq!(reset.unwrap_err(), quinn::ReadError::Reset(code));
    });
}

#[test]
fn a_part_without_what_the_rest_needs_is_said_to_be_incomplete() {
    in_session(async |mut session| {
        let payload = session.payload(1);
        let answer = session.answer(1, &payload, 5, 1).await.unwrap();
        assert_eq!(answer.status, Status::Incomplete);
        // It has done nothing to the others.
        let payload = session.payload(2);
        let whole = session.answer(2, &payload, payload.len(), 500).await;
        assert_eq!(whole.unwrap().status, Status::Ok);
    });
}
