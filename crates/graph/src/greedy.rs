// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! An order that keeps what is live small: runs next the stretch of nodes that ends with the fewest bytes.
//!
//! Looking one node ahead would shy away from layers that widen before they narrow (a bottleneck's
//! expansion, SiLU's two branches), so a whole stretch is tried: a node, then whatever it makes ready, and so
//! on, cut off where the live set is smallest. This is the idea of Liu's hill–valley segments
//! (J. W. H. Liu, "An application of generalized tree pebbling to sparse matrix factorization", 1987)
//! without its optimality, which holds for trees only.

use std::cmp::Reverse;

use crate::order::{NodeId, TensorId};
use crate::schedule::Schedule;

/// Nodes tried ahead at most.
const STRETCH: usize = 256;

pub(crate) fn order(schedule: &Schedule) -> Vec<NodeId> {
    let mut walk = Walk::new(schedule);
    let start = schedule.nodes.iter().copied();
    let mut ready: Vec<NodeId> = start.filter(|n| walk.waits[*n] == 0).collect();
    let mut order = Vec::with_capacity(schedule.nodes.len());
    while !ready.is_empty() {
        // Of equals, what became ready last: it continues what was begun.
        let stretches = ready.iter().enumerate().map(|(i, node)| {
            let (growth, stretch) = walk.stretch(*node);
            (growth, Reverse(i), stretch)
        });
        let Some((_, _, stretch)) = stretches.min() else {
            break;
        };
        for node in stretch {
            ready.retain(|n| *n != node);
            ready.extend(walk.step(node).1);
            order.push(node);
        }
    }
    order
}

struct Walk<'s, 'a> {
    schedule: &'s Schedule<'a>,
    /// Tensors that a node still waits for.
    waits: Vec<usize>,
    /// Nodes that are still to read a tensor.
    pending: Vec<usize>,
}

impl<'s, 'a> Walk<'s, 'a> {
    fn new(schedule: &'s Schedule<'a>) -> Self {
        let mut waits = vec![0; schedule.graph.nodes.len()];
        for &node in &schedule.nodes {
            let made = |t: &TensorId| schedule.graph.producer(*t).is_some();
            waits[node] = schedule.reads(node).filter(made).count();
        }
        Self {
            waits,
            pending: schedule.readers.iter().map(Vec::len).collect(),
            schedule,
        }
    }

    /// Runs a node: by how many bytes the live set grows, and which nodes become ready.
    fn step(&mut self, node: NodeId) -> (i128, Vec<NodeId>) {
        let bytes = |t| i128::from(self.schedule.crossing_bytes(t).unwrap_or(0));
        let mut growth = 0;
        for tensor in self.schedule.reads(node) {
            self.pending[tensor] -= 1;
            if self.pending[tensor] == 0 && !self.schedule.given[tensor] {
                growth -= bytes(tensor);
            }
        }
        let mut ready = Vec::new();
        for tensor in self.schedule.makes(node) {
            growth += bytes(tensor);
            for &reader in &self.schedule.readers[tensor] {
                self.waits[reader] -= 1;
                if self.waits[reader] == 0 {
                    ready.push(reader);
                }
            }
        }
        (growth, ready)
    }

    fn undo(&mut self, node: NodeId) {
        for tensor in self.schedule.reads(node) {
            self.pending[tensor] += 1;
        }
        for tensor in self.schedule.makes(node) {
            for &reader in &self.schedule.readers[tensor] {
                self.waits[reader] += 1;
            }
        }
    }

    /// The stretch that begins with a node, up to where the live set is smallest, and its growth there.
    fn stretch(&mut self, start: NodeId) -> (i128, Vec<NodeId>) {
        let mut stretch = Vec::new();
        let mut ready = vec![start];
        let (mut growth, mut least, mut length) = (0, i128::MAX, 0);
        while let Some(node) = ready.pop() {
            let (by, more) = self.step(node);
            ready.extend(more);
            stretch.push(node);
            growth += by;
            if growth <= least {
                (least, length) = (growth, stretch.len());
            }
            if stretch.len() == STRETCH {
                break;
            }
        }
        stretch.iter().rev().for_each(|n| self.undo(*n));
        stretch.truncate(length);
        (least, stretch)
    }
}
