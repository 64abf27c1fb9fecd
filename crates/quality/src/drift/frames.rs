// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which frames are kept, and which of them are still to be had.

use std::collections::VecDeque;

#[derive(Clone, Debug, Default)]
pub(super) struct Frames {
    /// The frame now, and the first since the stream was interrupted.
    now: u64,
    first: u64,
    /// So many frames are kept.
    window: u64,
    /// Of those that are kept, the ones that the branch has had, and those without a picture.
    gone: VecDeque<u64>,
}

impl Frames {
    /// The next frame.
    pub(super) fn next(&mut self, now: u64, window: usize) {
        self.now = now;
        self.window = window as u64;
        let kept_from = self.kept_from();
        self.gone.retain(|f| *f >= kept_from);
    }

    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// The frame now is not to be had any more.
    pub(super) fn take(&mut self) {
        self.gone.push_back(self.now);
    }

    /// Takes `wanted` of those since then that are to be had, the latest, spread: every other one, unless that is too few. In
    /// order.
    pub(super) fn take_since(&mut self, since: u64, wanted: usize) -> Vec<u64> {
        let from = since.max(self.kept_from());
        let there: Vec<u64> = (from..=self.now)
            .filter(|f| !self.gone.contains(f))
            .collect();
        let step = (there.len() / wanted.max(1)).max(1);
        let mut taken: Vec<u64> = there.into_iter().rev().step_by(step).take(wanted).collect();
        taken.reverse();
        self.gone.extend(&taken);
        taken
    }

    /// Nothing that was kept is to be had any more.
    pub(super) fn interrupt(&mut self) {
        self.gone.clear();
        self.first = self.now + 1;
    }

    fn kept_from(&self) -> u64 {
        (self.now + 1).saturating_sub(self.window).max(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now: u64) -> Frames {
        let mut frames = Frames::default();
        frames.next(now, 10);
        frames
    }

    #[test]
    fn the_latest_are_taken_spread_and_once() {
        let mut frames = at(30);
        assert_eq!(frames.take_since(0, 5), [22, 24, 26, 28, 30]);
        assert_eq!(frames.take_since(27, 5), [27, 29]);
        assert_eq!(frames.take_since(27, 5), []);
    }

    #[test]
    fn what_is_gone_or_of_before_an_interruption_is_not_taken() {
        let mut frames = at(30);
        frames.take();
        assert_eq!(frames.take_since(28, 5), [28, 29]);
        frames.interrupt();
        assert_eq!(frames.take_since(0, 5), []);
        frames.next(31, 10);
        assert_eq!(frames.take_since(0, 5), [31]);
    }
}
