// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Requests that have not been heard of.

use std::collections::VecDeque;
use std::time::Instant;

use splitinfer_plan::Choice;

/// More than can be under way.
const MOST: usize = 128;

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) number: u64,
    pub(super) choice: Choice,
    pub(super) bytes: u64,
    /// It needs no frame before it.
    pub(super) alone: bool,
    /// Until when an answer is of use.
    pub(super) deadline: Instant,
    /// Until when it is of use to the frames after it.
    pub(super) expires: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Requests(VecDeque<Sent>);

impl Requests {
    pub(super) fn add(&mut self, sent: Sent) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(sent);
    }

    /// Whether a frame of this kind is of use to those after it, and has not been heard of.
    pub(super) fn has_root(&self, now: Instant) -> bool {
        let root = |s: &Sent| s.alone && matches!(s.choice, Choice::Candidate(_));
        self.0
            .iter()
            .any(|s| root(s) && s.expires > s.deadline && s.expires > now)
    }

    pub(super) fn get(&self, number: u64) -> Option<&Sent> {
        self.0.iter().find(|s| s.number == number)
    }

    /// It has been heard of.
    pub(super) fn take(&mut self, number: u64) -> Option<Sent> {
        let at = self.0.iter().position(|s| s.number == number)?;
        self.0.remove(at)
    }
}
