// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames of several edges that are computed together: every edge gets its own results, whatever the others send.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_graph::Model;
use splitinfer_graph::build::{GraphBuilder, ints};
use splitinfer_runtime::random_tensor;
use splitinfer_tensor::{DType, Tensor};
use splitinfer_tensorcode::{decoder, encoder};
use splitinfer_wire::{Content, Wants};

use super::bench::{Edge, Link, PATIENCE, SIDE, Server, ready};
use crate::net::client::{Body, ClientEvent};
use crate::net::trust::Trust;

/// Of the layers whose weights are read anew for each run.
const WIDTH: usize = 1536;

/// A convolution and two wide layers, which take hardly longer for eight frames than for one.
pub(super) fn wide() -> Model {
    let weights = |shape: &[usize], seed: u64| -> Vec<f32> {
        let noise = random_tensor(DType::F32, shape, 0.1, seed);
        noise.to_f32_vec().iter().map(|x| x - 0.05).collect()
    };
    let flat = 3 * SIDE * SIDE / 4;
    let attributes = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    GraphBuilder::new(17)
        .input("images", DType::F32, &[1, 3, SIDE, SIDE])
        .weight("stem.weight", &[3, 3, 2, 2], &weights(&[3, 3, 2, 2], 1))
        .weight("first", &[flat, WIDTH], &weights(&[flat, WIDTH], 2))
        .weight("second", &[WIDTH, WIDTH], &weights(&[WIDTH, WIDTH], 3))
        .weight("classes", &[WIDTH, 6], &weights(&[WIDTH, 6], 4))
        .node("Conv", &["images", "stem.weight"], &["stem"], attributes)
        .node("Flatten", &["stem"], &["flat"], vec![])
        .node("MatMul", &["flat", "first"], &["a"], vec![])
        .node("Relu", &["a"], &["b"], vec![])
        .node("MatMul", &["b", "second"], &["c"], vec![])
        .node("Relu", &["c"], &["d"], vec![])
        .node("MatMul", &["d", "classes"], &["logits"], vec![])
        .output("logits", DType::F32, &[1, 6])
        .model()
        .unwrap()
}

fn server(model: &Model, most: u32, window: u32) -> Server {
    let server = Server::new(Some(model));
    server.element.set_property("max-batch", most);
    server.element.set_property("batch-window", window);
    server.play()
}

fn result(event: ClientEvent) -> Option<(u64, Vec<f32>)> {
    match event {
        ClientEvent::Result(reply) => {
            let Body::Tensors(bytes) = &reply.body else {
                panic!("tensors were asked for");
            };
            let outputs = decoder().decode(bytes, &Default::default()).unwrap();
            Some((reply.number, outputs[0].to_f32_vec()))
        }
        ClientEvent::Failed { number, reason } => panic!("frame {number}: {reason}"),
        _ => None,
    }
}

fn assert_near(got: &[f32], wanted: &[f32]) {
    let largest = wanted.iter().fold(0f32, |m, x| m.max(x.abs()));
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * largest;
    assert!(got.iter().zip(wanted).all(near), "{got:?} for {wanted:?}");
}

/// An edge that always has some frames on their way.
struct Busy {
    edge: Edge,
    link: Link,
    wanted: Vec<f32>,
    number: u64,
}

impl Busy {
    fn new(seed: u64, server: &Server) -> Self {
        let edge = Edge::of(wide(), seed);
        let link = edge.connect(&server.address(), Trust::default(), Wants::Tensors);
        link.connected();
        let wanted = edge.split.whole(&edge.input).unwrap()[0].1.to_f32_vec();
        Self {
            edge,
            link,
            wanted,
            number: 0,
        }
    }

    /// Sends so many at once, in turns as picture and as tensors, and checks that each has this edge's result.
    fn burst(&mut self, frames: usize) {
        for _ in 0..frames {
            let content = match self.number % 4 {
                0 => Content::Picture,
                _ => Content::Candidate(0),
            };
            assert!(self.link.client.send(self.edge.frame(self.number, content)));
            self.number += 1;
        }
        for _ in 0..frames {
            let (_, got) = self.link.wait(result);
            assert_near(&got, &self.wanted);
        }
    }
}

/// Runs and frames, as the server counts them, once edges have sent until frames were computed together.
fn together(server: &Server, edges: &mut [Busy], burst: usize) -> (u64, u64) {
    let until = Instant::now() + PATIENCE;
    loop {
        std::thread::scope(|scope| {
            for edge in &mut *edges {
                scope.spawn(|| (0..10).for_each(|_| edge.burst(burst)));
            }
        });
        let (runs, frames) = (server.stat("runs"), server.stat("computed-frames"));
        if runs < frames || Instant::now() > until {
            return (runs, frames);
        }
    }
}

#[test]
fn edges_whose_frames_are_computed_together_have_their_own_results() {
    if !ready() {
        return;
    }
    let server = server(&wide(), 8, 0);
    let mut edges: Vec<_> = (1..=4).map(|seed| Busy::new(seed, &server)).collect();
    assert!(edges.windows(2).all(|two| two[0].wanted != two[1].wanted));
    let (runs, frames) = together(&server, &mut edges, 4);
    assert!(runs < frames, "{frames} frames took {runs} runs");
    assert_eq!(server.stat("failures"), 0);
}

#[test]
fn a_frame_waits_for_company_where_the_user_lets_it() {
    if !ready() {
        return;
    }
    // Each edge has one frame under way, and there are workers for all: without the window none would wait.
    let server = server(&wide(), 4, 200);
    let mut edges: Vec<_> = (1..=2).map(|seed| Busy::new(seed, &server)).collect();
    let (runs, frames) = together(&server, &mut edges, 1);
    assert!(runs < frames, "{frames} frames took {runs} runs");
}

#[test]
fn an_edge_alone_and_a_server_that_is_told_so_compute_each_frame_by_itself() {
    if !ready() {
        return;
    }
    let alone = server(&wide(), 8, 1000);
    let mut edge = Busy::new(1, &alone);
    let begun = Instant::now();
    (0..20).for_each(|_| edge.burst(1));
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "nobody is waited for"
    );
    (0..5).for_each(|_| edge.burst(4));
    assert_eq!(alone.stat("runs"), alone.stat("computed-frames"));
    let single = server(&wide(), 1, 0);
    let mut edges: Vec<_> = (1..=3).map(|seed| Busy::new(seed, &single)).collect();
    std::thread::scope(|scope| {
        for edge in &mut edges {
            scope.spawn(|| (0..10).for_each(|_| edge.burst(4)));
        }
    });
    assert_eq!(single.stat("runs"), single.stat("computed-frames"));
}

#[test]
fn numbers_that_are_none_stay_with_the_edge_that_sent_them() {
    if !ready() {
        return;
    }
    let server = server(&wide(), 8, 0);
    let mut edges: Vec<_> = (1..=3).map(|seed| Busy::new(seed, &server)).collect();
    let hostile = Edge::of(wide(), 9);
    let link = hostile.connect(&server.address(), Trust::default(), Wants::Tensors);
    link.connected();
    let spec = &hostile.split.candidates()[0].tensors[0];
    let count = spec.shape.iter().product();
    let poison = Tensor::new(spec.shape.clone(), vec![f32::NAN; count]).unwrap();
    let payload = encoder().encode(0, &[poison], 32).unwrap();
    let stop = AtomicBool::new(false);
    let (runs, frames) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                let mut frame = hostile.frame(number, Content::Candidate(0));
                frame.payload.clone_from(&payload);
                // The client takes no more than its share at once.
                match link.client.send(frame) {
                    true => number += 1,
                    false => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        let found = together(&server, &mut edges, 4);
        stop.store(true, Ordering::Relaxed);
        found
    });
    assert!(runs < frames, "{frames} frames took {runs} runs");
}
