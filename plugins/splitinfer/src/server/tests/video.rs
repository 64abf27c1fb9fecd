// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Pictures as a video, as a server takes them.

use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_vision::{Picture, Preprocessor};
use splitinfer_wire::{Content, Status, VideoHeader, Wants};

use super::bench::{Edge, Link, PATIENCE, SIDE, Server, ready};
use crate::net::client::{Body, ClientEvent, Failure, FrameRequest};
use crate::net::trust::Trust;
use splitinfer_video::{VideoDecoder, VideoEncoder};

/// An edge that films.
struct Film {
    edge: Edge,
    encoder: VideoEncoder,
    sequence: u32,
}

impl Film {
    fn new() -> Self {
        Self {
            edge: Edge::new(1),
            encoder: VideoEncoder::new(None, SIDE as u32, SIDE as u32).unwrap(),
            sequence: 3,
        }
    }

    /// The next picture, as a frame whose answer is of use for so long.
    fn frame(&mut self, number: u64, key: bool, answer: Duration) -> FrameRequest {
        let coded = self.encoder.encode(&picture(number), key).unwrap();
        assert_eq!(coded.key, key);
        let header = VideoHeader {
            sequence: self.sequence,
            answer_us: answer.as_micros() as u32,
            key,
        };
        self.sequence += 1;
        FrameRequest {
            content: Content::Video,
            payload: [&header.encode()[..], &coded.bytes].concat(),
            ..self.edge.frame(number, Content::Picture)
        }
    }
}

fn picture(number: u64) -> Picture {
    let rgb = (0..SIDE * SIDE * 3).map(|i| (i as u64 * 3 + number * 9) as u8 / 2 + 40);
    Picture::new(SIDE as u32, SIDE as u32, rgb.collect()).unwrap()
}

fn long() -> Duration {
    Duration::from_secs(5)
}

enum Said {
    Result(u64, Body),
    Failed(u64, Status),
}

fn said(link: &Link) -> Said {
    link.wait(|event| match event {
        ClientEvent::Result(reply) => Some(Said::Result(reply.number, reply.body)),
        ClientEvent::Failed {
            number,
            reason: Failure::Server { status, .. },
        } => Some(Said::Failed(number, status)),
        ClientEvent::Failed { number, reason } => panic!("frame {number}: {reason}"),
        _ => None,
    })
}

/// The numbers of the frames that were answered with objects, in the order of their answers.
fn answered(link: &Link, count: usize) -> Vec<u64> {
    let answers = (0..count).map(|_| match said(link) {
        Said::Result(number, Body::Objects(_)) => number,
        Said::Result(number, body) => panic!("frame {number}: {body:?}"),
        Said::Failed(number, status) => panic!("frame {number}: {status:?}"),
    });
    answers.collect()
}

/// Pictures that wait for an earlier one, of each client.
fn held(server: &Server) -> Vec<u64> {
    let stats: gst::Structure = server.element.property("stats");
    let clients = stats.get::<gst::Array>("clients").unwrap();
    let held = clients.iter().map(|client| {
        let client = client.get::<gst::Structure>().unwrap();
        client.get("held-pictures").unwrap_or_default()
    });
    held.collect()
}

fn wait_until(reached: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < until, "it does not come to that");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn begin() -> Option<(Film, Server, Link)> {
    if !ready() || !VideoDecoder::works() {
        return None;
    }
    let film = Film::new();
    let server = Server::new(Some(&film.edge.model)).play();
    let link = film
        .edge
        .connect(&server.address(), Trust::default(), Wants::Objects);
    link.connected();
    Some((film, server, link))
}

#[test]
fn the_model_sees_the_pictures_of_the_video() {
    if !ready() || !VideoDecoder::works() {
        return;
    }
    let mut film = Film::new();
    let server = Server::new(Some(&film.edge.model)).play();
    let link = film
        .edge
        .connect(&server.address(), Trust::default(), Wants::Tensors);
    link.connected();
    let mut decoder = VideoDecoder::new(SIDE as u32, SIDE as u32).unwrap();
    let mut preprocessor = Preprocessor::new(&film.edge.info);
    for number in 0..6 {
        let frame = film.frame(number, number == 0, long());
        let (_, unit) = VideoHeader::decode(&frame.payload).unwrap();
        let seen = decoder.decode(unit).unwrap();
        let input = preprocessor.tensor(&seen).unwrap();
        let expected = film.edge.split.whole(&input).unwrap()[0].1.to_f32_vec();
        assert!(link.client.send(frame));
        let Said::Result(answered, Body::Tensors(bytes)) = said(&link) else {
            panic!("frame {number} has no tensors");
        };
        assert_eq!(answered, number);
        let outputs = splitinfer_tensorcode::Decode::decode(
            &mut *splitinfer_tensorcode::decoder(),
            &bytes,
            &Default::default(),
        );
        let outputs = outputs.unwrap()[0].to_f32_vec();
        for (a, b) in outputs.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-5, "frame {number}: {a} for {b}");
        }
    }
    assert_eq!(server.stat("results"), 6);
}

#[test]
fn pictures_that_come_in_any_order_are_answered_each() {
    let Some((mut film, server, link)) = begin() else {
        return;
    };
    let mut frames: Vec<_> = (0..6).map(|n| film.frame(n, n == 0, long())).collect();
    let last = frames.pop().unwrap();
    assert!(link.client.send(frames.remove(0)));
    assert_eq!(answered(&link, 1), [0]);
    assert!(link.client.send(last));
    // The last one waits for those that come now.
    wait_until(|| held(&server) == [1]);
    for frame in frames.into_iter().rev() {
        assert!(link.client.send(frame));
    }
    let mut numbers = answered(&link, 5);
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert_eq!(server.stat("failures"), 0);
}

#[test]
fn after_a_missing_picture_a_key_picture_goes_on_and_what_waited_is_told() {
    let Some((mut film, _server, link)) = begin() else {
        return;
    };
    assert!(link.client.send(film.frame(0, true, long())));
    assert_eq!(answered(&link, 1), [0]);
    film.frame(1, false, long());
    assert!(link.client.send(film.frame(2, false, long())));
    assert!(link.client.send(film.frame(3, true, long())));
    let mut told = [said(&link), said(&link)].map(|said| match said {
        Said::Result(number, Body::Objects(_)) => (number, Status::Ok),
        Said::Failed(number, status) => (number, status),
        Said::Result(number, body) => panic!("frame {number}: {body:?}"),
    });
    told.sort_by_key(|t| t.0);
    assert_eq!(told, [(2, Status::NoReference), (3, Status::Ok)]);
    assert!(link.client.send(film.frame(4, false, long())));
    assert_eq!(answered(&link, 1), [4]);
}

#[test]
fn a_picture_that_comes_too_late_is_decoded_for_those_after_it() {
    let Some((mut film, server, link)) = begin() else {
        return;
    };
    assert!(link.client.send(film.frame(0, true, long())));
    assert_eq!(answered(&link, 1), [0]);
    assert!(link.client.send(film.frame(1, false, Duration::ZERO)));
    let Said::Result(1, Body::None) = said(&link) else {
        panic!("nobody waits for a model to be run on it");
    };
    assert_eq!((server.stat("results"), server.stat("dropped")), (1, 1));
    assert!(link.client.send(film.frame(2, false, long())));
    assert_eq!(answered(&link, 1), [2]);
}

#[test]
fn what_is_no_picture_is_refused_and_the_next_key_picture_is_taken() {
    let Some((mut film, server, link)) = begin() else {
        return;
    };
    let spoil: [fn(&mut FrameRequest); 4] = [
        |f| f.payload.truncate(5),
        |f| {
            f.payload
                .truncate(VideoHeader::decode(&f.payload).map_or(0, |_| 9))
        },
        |f| f.payload[12..].fill(0xff),
        |f| f.payload[8] = 0x80,
    ];
    for (i, spoil) in spoil.into_iter().enumerate() {
        let number = 2 * i as u64;
        let mut frame = film.frame(number, true, long());
        spoil(&mut frame);
        assert!(link.client.send(frame));
        let Said::Failed(_, status) = said(&link) else {
            panic!("spoiled in way {i}, it was answered");
        };
        assert_eq!(status, Status::BadInput);
        assert!(link.client.send(film.frame(number + 1, true, long())));
        assert_eq!(answered(&link, 1), [number + 1]);
    }
    assert_eq!(server.stat("failures"), 4);
}

#[test]
fn an_edge_that_leaves_while_pictures_wait_leaves_nothing_behind() {
    let Some((mut film, server, mut link)) = begin() else {
        return;
    };
    assert!(link.client.send(film.frame(0, true, long())));
    assert_eq!(answered(&link, 1), [0]);
    film.frame(1, false, long());
    assert!(link.client.send(film.frame(2, false, long())));
    wait_until(|| held(&server) == [1]);
    link.client.close();
    wait_until(|| held(&server).is_empty());
    // Its pad is free for the next one only if nothing holds the session any more.
    let next = film
        .edge
        .connect(&server.address(), Trust::default(), Wants::Objects);
    next.connected();
    assert_eq!(server.element.pads().len(), 1);
}

#[test]
fn a_server_may_take_no_video() {
    if !ready() {
        return;
    }
    let edge = Edge::new(1);
    let server = Server::new(Some(&edge.model));
    server.element.set_property("accept-video", false);
    let server = server.play();
    let link = edge.connect(&server.address(), Trust::default(), Wants::Objects);
    let takes = link.wait(|event| match event {
        ClientEvent::Connected { welcome, .. } => Some(welcome.video),
        _ => None,
    });
    assert!(!takes);
}
