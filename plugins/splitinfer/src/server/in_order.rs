// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Results in the order of their frames, though several are computed at once and some never come.

use std::collections::{BTreeMap, BTreeSet};

/// What may be held at a time: a frame that holds up more is not waited for, so that no edge can make the server keep
/// whatever it sends.
const MOST: usize = 64;
const MOST_BYTES: usize = 8 << 20;

/// Holds what is done until every frame before it is done too, or given up.
#[derive(Debug)]
pub struct InOrder<T> {
    /// Frames that are being received or computed.
    open: BTreeSet<u64>,
    /// With their sizes.
    held: BTreeMap<u64, (T, usize)>,
    bytes: usize,
    /// Everything before this frame has gone out; what comes later of it is dropped.
    passed: u64,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self {
            open: BTreeSet::new(),
            held: BTreeMap::new(),
            bytes: 0,
            passed: 0,
        }
    }
}

impl<T> InOrder<T> {
    /// A frame has begun to come. Those after it wait for its end.
    pub fn begin(&mut self, frame: u64) {
        self.open.insert(frame);
    }

    /// What is to go out for this frame, and about how much memory that takes.
    pub fn hold(&mut self, frame: u64, result: T, bytes: usize) {
        if frame < self.passed {
            return;
        }
        self.bytes += bytes;
        if let Some((_, before)) = self.held.insert(frame, (result, bytes)) {
            self.bytes -= before;
        }
    }

    /// The frame has ended, with or without a result. Gives what may go out now.
    pub fn end(&mut self, frame: u64) -> impl Iterator<Item = T> + use<T> {
        self.open.remove(&frame);
        let mut out = self.ready();
        while self.held.len() > MOST || self.bytes > MOST_BYTES {
            let Some(slowest) = self.open.pop_first() else {
                break;
            };
            self.passed = slowest + 1;
            out.append(&mut self.ready());
        }
        out.into_values().map(|(result, _)| result)
    }

    /// What no frame holds up.
    fn ready(&mut self) -> BTreeMap<u64, (T, usize)> {
        let later = match self.open.first() {
            Some(first) => self.held.split_off(first),
            None => BTreeMap::new(),
        };
        let ready = std::mem::replace(&mut self.held, later);
        self.bytes -= ready.values().map(|(_, bytes)| bytes).sum::<usize>();
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_waits_for_the_frames_before_it() {
        let mut order = InOrder::default();
        for frame in [1, 0, 2, 3] {
            order.begin(frame);
        }
        let end = |order: &mut InOrder<_>, frame| order.end(frame).collect::<Vec<_>>();
        order.hold(1, 'b', 1);
        assert_eq!(end(&mut order, 1), []);
        order.hold(0, 'a', 1);
        assert_eq!(end(&mut order, 0), ['a', 'b']);
        order.hold(3, 'd', 1);
        assert_eq!(end(&mut order, 3), []);
        assert_eq!(end(&mut order, 2), ['d'], "frame 2 was given up");
    }

    #[test]
    fn a_result_that_comes_after_its_frame_was_given_up_goes_out_with_the_next() {
        let mut order = InOrder::default();
        order.begin(0);
        assert_eq!(order.end(0).count(), 0);
        order.hold(0, 'a', 1);
        order.begin(1);
        order.hold(1, 'b', 1);
        assert_eq!(order.end(1).collect::<Vec<_>>(), ['a', 'b']);
        assert!(order.open.is_empty() && order.held.is_empty());
    }

    #[test]
    fn a_frame_that_never_ends_holds_up_no_more_than_fits() {
        for (bytes, most) in [(1, MOST), (MOST_BYTES / 4, 4)] {
            let mut order = InOrder::default();
            order.begin(0);
            let mut out = Vec::new();
            for frame in 1..200 {
                order.begin(frame);
                order.hold(frame, frame, bytes);
                out.extend(order.end(frame));
                assert!(order.held.len() <= most, "{}", order.held.len());
            }
            assert_eq!(out, (1..200).collect::<Vec<_>>());
            // What it was is not told out of turn.
            order.hold(0, 0, bytes);
            assert_eq!(order.end(0).count(), 0);
            assert_eq!((order.held.len(), order.bytes), (0, 0));
        }
    }
}
