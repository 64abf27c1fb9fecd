// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames of a round that are still to come: in later rounds ever farther apart, for neighbours teach little that is new
//! (docs/measurements/adaptation.md).

/// In the second round frames are taken this far apart, and in each further one twice as far.
pub(super) const APART: u64 = 4;

/// So many frames are still to be taken, this far apart, the next not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gathering {
    left: usize,
    apart: u64,
    next: u64,
}

impl Gathering {
    /// `left` frames of a round (from 1), after the frame now.
    pub(super) fn new(round: usize, left: usize, now: u64) -> Self {
        let apart = match round.checked_sub(2) {
            Some(doublings) => APART << doublings,
            None => 1,
        };
        Self {
            left,
            apart,
            next: now + 1,
        }
    }

    /// Whether to take the frame now.
    pub(super) fn takes(&mut self, now: u64) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now + self.apart;
        self.left -= 1;
        true
    }

    pub(super) fn is_complete(&self) -> bool {
        self.left == 0
    }

    /// Something has changed while frames far apart were being gathered: those from now on are what is to be learnt.
    pub(super) fn hurry(&mut self, now: u64) {
        self.apart = APART.min(self.apart);
        self.next = self.next.min(now + self.apart);
    }

    /// Of every how many frames there should be a picture.
    pub(super) fn pictures_every(&self) -> u64 {
        (self.apart / 2).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(gathering: &mut Gathering, frames: std::ops::Range<u64>) -> Vec<u64> {
        frames
            .filter(|now| !gathering.is_complete() && gathering.takes(*now))
            .collect()
    }

    #[test]
    fn frames_of_later_rounds_are_farther_apart() {
        let of_round = |round| taken(&mut Gathering::new(round, 3, 10), 11..99);
        assert_eq!(of_round(1), [11, 12, 13]);
        assert_eq!(of_round(2), [11, 15, 19]);
        assert_eq!(of_round(4), [11, 27, 43]);
    }

    #[test]
    fn who_is_in_a_hurry_takes_them_nearer_to_each_other() {
        let mut gathering = Gathering::new(5, 4, 10);
        assert_eq!(taken(&mut gathering, 11..20), [11]);
        gathering.hurry(20);
        assert_eq!(taken(&mut gathering, 21..99), [24, 28, 32]);
        let mut first = Gathering::new(1, 2, 10);
        first.hurry(10);
        assert_eq!(taken(&mut first, 11..99), [11, 12]);
    }
}
