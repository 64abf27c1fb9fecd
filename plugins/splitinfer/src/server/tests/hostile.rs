// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What one misbehaving client can do to the others: nothing.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, Endpoint, VarInt};
use splitinfer_wire::limits::MAX_CONTROL_BYTES;
use splitinfer_wire::{Content, FrameHeader, Message, Patience, Wants};

use super::bench::{Edge, Server, ready};
use crate::net::client::ClientEvent;
use crate::net::transport;
use crate::net::trust::Trust;

/// Sees to it that frames go through, before, while and after `attack` runs.
fn serves_others_during(attack: impl AsyncFnOnce(Attacker) + Send + 'static) {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model)).play();
    let link = edge.connect(&server.address(), Trust::default(), Wants::Objects);
    link.connected();
    let mut number = 0;
    let mut exchange = || {
        assert!(link.client.send(edge.frame(number, Content::Candidate(0))));
        link.wait(|e| match e {
            ClientEvent::Result(reply) => (reply.number == number).then_some(()),
            ClientEvent::Failed { reason, .. } => panic!("{reason}"),
            ClientEvent::Disconnected { reason } => panic!("{reason}"),
            _ => None,
        });
        number += 1;
    };
    exchange();
    let port = server.port();
    let attacker = std::thread::spawn({
        let hello = edge.hello(Wants::Objects);
        move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(async {
                    tokio::time::timeout(Duration::from_secs(20), async {
                        let hello = Message::Hello(Box::new(hello)).encode().unwrap();
                        attack(Attacker { port, hello }).await;
                    })
                    .await
                    .expect("the attack ends");
                });
        }
    });
    while !attacker.is_finished() {
        exchange();
    }
    attacker.join().unwrap();
    exchange();
    // And newcomers are let in as before.
    edge.connect(&server.address(), Trust::default(), Wants::Objects)
        .connected();
}

/// A client in the hands of a test.
pub struct Attacker {
    pub port: u16,
    /// What an edge would say.
    pub hello: Vec<u8>,
}

impl Attacker {
    /// One that says what this edge would.
    pub fn like(edge: &Edge, server: &Server) -> Self {
        let hello = Message::Hello(Box::new(edge.hello(Wants::Objects)));
        Self {
            port: server.port(),
            hello: hello.encode().unwrap(),
        }
    }

    async fn connect(&self) -> Connection {
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let trust = Trust::default().prepare().unwrap();
        let (config, _) = trust.client_config(transport::of_edge()).unwrap();
        let address = ([127, 0, 0, 1], self.port).into();
        endpoint
            .connect_with(config, address, "localhost")
            .unwrap()
            .await
            .unwrap()
    }

    /// A connection with an open session.
    pub async fn session(&self) -> (Connection, quinn::SendStream, quinn::RecvStream) {
        let connection = self.connect().await;
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&self.hello).await.unwrap();
        let mut prefix = [0; 6];
        recv.read_exact(&mut prefix).await.unwrap();
        assert_eq!(prefix[4..], [0, 2], "Welcome");
        (connection, send, recv)
    }
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut x = seed | 1;
    (0..len)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x as u8
        })
        .collect()
}

fn header(number: u64, content: Content, payload_len: u32) -> Vec<u8> {
    header_of(number, content, payload_len, None)
}

fn header_of(
    number: u64,
    content: Content,
    payload_len: u32,
    patience: Option<Patience>,
) -> Vec<u8> {
    FrameHeader {
        number,
        content,
        model_version: 0,
        pts_ns: None,
        budget_us: 1_000_000,
        placement: [1.0, 1.0, 0.0, 0.0, 16.0, 16.0],
        picture_size: (16, 16),
        payload_len,
        attachment_len: 0,
        patience,
        longest_us: None,
    }
    .encode()
    .unwrap()
}

#[test]
fn packets_that_are_no_quic() {
    serves_others_during(async |attacker| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for i in 0..2000u64 {
            let mut packet = noise(1 + (i as usize * 37) % 1400, i);
            if i % 3 == 0 {
                // Looks like the beginning of a QUIC version 1 connection.
                packet[0] |= 0xc0;
                packet.splice(1..1, [0, 0, 0, 1]);
                packet.resize(1200, 7);
            }
            let _ = socket.send_to(&packet, ("127.0.0.1", attacker.port));
        }
    });
}

#[test]
fn connections_that_say_nothing() {
    serves_others_during(async |attacker| {
        let attacker = Arc::new(attacker);
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let (config, _) = Trust::default()
            .prepare()
            .unwrap()
            .client_config(transport::of_edge())
            .unwrap();
        let address = ([127, 0, 0, 1], attacker.port).into();
        let all: Vec<_> = (0..100)
            .map(|_| {
                endpoint
                    .connect_with(config.clone(), address, "localhost")
                    .unwrap()
            })
            .collect();
        let mut refused = 0;
        let mut open = Vec::new();
        for connecting in all {
            match connecting.await {
                Ok(connection) => open.push(connection),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 0, "not all of them get a place");
        for connection in open {
            connection.closed().await;
        }
    });
}

#[test]
fn noise_on_the_control_stream() {
    serves_others_during(async |attacker| {
        for seed in 0..20 {
            let connection = attacker.connect().await;
            let (mut send, _recv) = connection.open_bi().await.unwrap();
            let _ = send.write_all(&noise(1000, seed)).await;
            connection.closed().await;
        }
    });
}

#[test]
fn a_control_message_that_is_announced_larger_than_any() {
    serves_others_during(async |attacker| {
        let connection = attacker.connect().await;
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        let mut prefix = (MAX_CONTROL_BYTES as u32 + 1).to_be_bytes().to_vec();
        prefix.extend([0, 1]);
        send.write_all(&prefix).await.unwrap();
        connection.closed().await;
    });
}

#[test]
fn frames_of_noise_too_large_or_never_finished() {
    serves_others_during(async |attacker| {
        let (connection, _send, _recv) = attacker.session().await;
        for number in 0..200 {
            let Ok((mut send, mut recv)) = connection.open_bi().await else {
                break;
            };
            let bytes = noise(500, number);
            let impatient = Some(Patience {
                wait_us: 1,
                least_permille: 100,
            });
            let _ = match number % 6 {
                0 => send.write_all(&bytes).await,
                1 => {
                    let head = header(number, Content::Candidate(0), 500);
                    let _ = send.write_all(&head).await;
                    send.write_all(&bytes).await
                }
                2 => {
                    send.write_all(&header(number, Content::Picture, u32::MAX))
                        .await
                }
                3 => {
                    send.write_all(&header(number, Content::Candidate(999), 8))
                        .await
                }
                // A part of noise, and more than was announced.
                4 => {
                    let len = if number % 4 == 0 { 1000 } else { 400 };
                    let head = header_of(number, Content::Candidate(0), len, impatient);
                    let _ = send.write_all(&head).await;
                    send.write_all(&bytes).await
                }
                _ => send.write_all(&header(number, Content::Picture, 500)).await,
            };
            if number % 2 == 0 {
                let _ = send.finish();
                let _ = recv.read_to_end(1 << 16).await;
            } else {
                // Left open: held by the server no longer than its budget.
                let _ = send.reset(VarInt::from_u32(9));
            }
        }
    });
}

#[test]
fn streams_that_are_opened_and_left() {
    serves_others_during(async |attacker| {
        let (connection, _send, _recv) = attacker.session().await;
        let mut held = Vec::new();
        for number in 0..100 {
            let opening = connection.open_bi();
            match tokio::time::timeout(Duration::from_millis(200), opening).await {
                Ok(Ok((mut send, recv))) => {
                    let head = header(number, Content::Picture, 1 << 20);
                    let _ = send.write_all(&head[..20]).await;
                    held.push((send, recv));
                }
                _ => break,
            }
        }
        assert!(held.len() < 100, "the number of streams is bounded");
        tokio::time::sleep(Duration::from_secs(1)).await;
    });
}
