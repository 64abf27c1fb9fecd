// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Learning from the looks by rule while nothing is wrong: the teacher looks anyway, at frames far apart, which are the ones
//! that teach the most.

/// The looks that are learnt from together double so often at most.
const MOST_DOUBLINGS: u32 = 6;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Review {
    /// Looks that no training has learnt from.
    looks: usize,
    /// How often in a row it brought nothing.
    in_vain: u32,
    /// The frame at which the one under way began.
    since: Option<u64>,
}

impl Review {
    /// A look by rule.
    pub(super) fn look(&mut self) {
        self.looks += 1;
    }

    /// Begins if there are enough looks: `batch`, twice as many after each time that they brought nothing. 0: never.
    pub(super) fn begins(&mut self, batch: usize, now: u64) -> bool {
        let enough = batch.saturating_mul(1 << self.in_vain.min(MOST_DOUBLINGS));
        let begins = self.since.is_none() && batch > 0 && self.looks >= enough;
        if begins {
            self.looks = 0;
            self.since = Some(now);
        }
        begins
    }

    /// The frame at which the one under way began.
    pub(super) fn since(&self) -> Option<u64> {
        self.since
    }

    /// Something or nothing came of the one under way, if there is one.
    pub(super) fn ends(&mut self, brought: bool) -> bool {
        let ended = self.since.take().is_some();
        if ended {
            self.in_vain = if brought { 0 } else { self.in_vain + 1 };
        }
        ended
    }

    /// Another training learns from the looks so far, and what comes next is its own.
    pub(super) fn forget(&mut self) {
        self.looks = 0;
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_twice_as_many_after_each_time_in_vain() {
        let mut review = Review::default();
        let mut brought = |brought| {
            let looks = (1..=10_000).find(|n| {
                review.look();
                review.begins(5, *n)
            });
            assert!(review.ends(brought) && !review.ends(brought));
            looks
        };
        let looks = [false, false, true, true].map(&mut brought);
        assert_eq!(looks, [5, 10, 20, 5].map(Some));
        let last = (0..20).map(|_| brought(false)).last();
        assert_eq!(last, Some(Some(5 << MOST_DOUBLINGS)));
    }

    #[test]
    fn what_was_learnt_from_is_not_waited_for_and_none_means_never() {
        let mut review = Review::default();
        (0..4).for_each(|_| review.look());
        review.forget();
        review.look();
        assert!(!review.begins(2, 9) && !review.begins(0, 9));
        assert!(review.begins(1, 9));
        assert_eq!(review.since(), Some(9));
        review.forget();
        assert!(!review.ends(true));
    }

    #[test]
    fn one_ends_before_the_next_begins() {
        let mut review = Review::default();
        let look = |review: &mut Review| {
            review.look();
            review.begins(2, 1)
        };
        assert_eq!(
            [0; 6].map(|_| look(&mut review)),
            [false, true, false, false, false, false]
        );
        review.ends(true);
        assert!(look(&mut review));
    }
}
