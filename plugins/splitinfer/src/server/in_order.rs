// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Results in the order of their frames, though several are computed at once and some never come.

use std::collections::{BTreeMap, BTreeSet};

/// Holds what is done until every frame before it is done too, or given up.
#[derive(Debug)]
pub struct InOrder<T> {
    /// Frames that are being received or computed.
    open: BTreeSet<u64>,
    held: BTreeMap<u64, T>,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self {
            open: BTreeSet::new(),
            held: BTreeMap::new(),
        }
    }
}

impl<T> InOrder<T> {
    /// A frame has begun to come. Those after it wait for its end.
    pub fn begin(&mut self, frame: u64) {
        self.open.insert(frame);
    }

    /// What is to go out for this frame.
    pub fn hold(&mut self, frame: u64, result: T) {
        self.held.insert(frame, result);
    }

    /// The frame has ended, with or without a result. Gives what may go out now.
    pub fn end(&mut self, frame: u64) -> impl Iterator<Item = T> + use<T> {
        self.open.remove(&frame);
        let later = match self.open.first() {
            Some(first) => self.held.split_off(first),
            None => BTreeMap::new(),
        };
        std::mem::replace(&mut self.held, later).into_values()
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
        order.hold(1, 'b');
        assert_eq!(end(&mut order, 1), []);
        order.hold(0, 'a');
        assert_eq!(end(&mut order, 0), ['a', 'b']);
        order.hold(3, 'd');
        assert_eq!(end(&mut order, 3), []);
        assert_eq!(end(&mut order, 2), ['d'], "frame 2 was given up");
    }

    #[test]
    fn a_result_that_comes_after_its_frame_was_given_up_goes_out_with_the_next() {
        let mut order = InOrder::default();
        order.begin(0);
        assert_eq!(order.end(0).count(), 0);
        order.hold(0, 'a');
        order.begin(1);
        order.hold(1, 'b');
        assert_eq!(order.end(1).collect::<Vec<_>>(), ['a', 'b']);
        assert!(order.open.is_empty() && order.held.is_empty());
    }
}
