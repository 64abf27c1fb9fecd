// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The last T frames of one object.

use crate::evidence::jitter_of;
use crate::observation::Observation;
use std::collections::VecDeque;

/// Frames on which an object may be missing before its window ends, as its track does.
const PATIENCE: usize = 10;

/// The rows of M as they come.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    rows: VecDeque<Option<Observation>>,
    length: usize,
    /// Rows since it was judged last, or since it began.
    fresh: usize,
    missing: usize,
    judged: bool,
    /// How good the last window was.
    pub(crate) quality: Option<f64>,
}

impl Window {
    pub(crate) fn new(length: usize) -> Self {
        Self {
            rows: VecDeque::with_capacity(length),
            length,
            fresh: 0,
            missing: 0,
            judged: false,
            quality: None,
        }
    }

    /// The next frame; `None` where the object was not found on it.
    pub(crate) fn push(&mut self, row: Option<Observation>) {
        self.missing = if row.is_some() { 0 } else { self.missing + 1 };
        if self.rows.len() == self.length {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
        self.fresh += 1;
    }

    /// Second differences of the points over the last three frames, in units of the object's size; `None` where it was not
    /// found on all of them.
    pub(crate) fn jitter(&self) -> Option<f64> {
        let mut last = self.rows.iter().rev().map(Option::as_ref);
        let three = [last.next()??, last.next()??, last.next()??];
        let size = three[1].size;
        (size > 0.0).then(|| jitter_of(std::iter::once(three), size))?
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.missing > PATIENCE
    }

    /// Whether it is full, and half of it is new.
    pub(crate) fn is_due(&self) -> bool {
        let new = if self.judged {
            self.length.div_ceil(2)
        } else {
            self.length
        };
        self.rows.len() == self.length && self.fresh >= new
    }

    /// The rows, the oldest first, once it is due.
    pub(crate) fn take(&mut self) -> Vec<Option<Observation>> {
        self.fresh = 0;
        self.judged = true;
        self.rows.iter().cloned().collect()
    }
}
