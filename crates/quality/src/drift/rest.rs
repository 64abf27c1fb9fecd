// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How long there is no learning after learning that brought little.

/// The cool-down doubles so often at most.
const MOST_DOUBLINGS: u32 = 5;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    /// No learning before this frame.
    until: u64,
    /// How often in a row it brought little.
    in_vain: u32,
}

impl Rest {
    /// Learning is over, and `brought` something or not.
    pub(super) fn count(&mut self, brought: bool) {
        self.in_vain = if brought { 0 } else { self.in_vain + 1 };
    }

    /// From now on, if the last learning brought little: for `cooldown` frames, twice as many each time in a row.
    pub(super) fn begin(&mut self, now: u64, cooldown: u64) {
        if let Some(doublings) = self.in_vain.checked_sub(1) {
            self.until = now + (cooldown << doublings.min(MOST_DOUBLINGS));
        }
    }

    pub(super) fn is_over(&self, now: u64) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_doubles_while_learning_brings_nothing() {
        let mut rest = Rest::default();
        rest.begin(10, 100);
        assert!(rest.is_over(10));
        let mut after = |brought| {
            rest.count(brought);
            rest.begin(0, 100);
            (0..).find(|now| rest.is_over(*now)).unwrap_or_default()
        };
        assert_eq!([after(false), after(false), after(false)], [100, 200, 400]);
        assert_eq!((0..9).map(|_| after(false)).last(), Some(3200));
    }

    #[test]
    fn what_brought_something_ends_the_row() {
        let mut rest = Rest::default();
        rest.count(false);
        rest.count(false);
        rest.count(true);
        rest.begin(0, 100);
        assert!(rest.is_over(0));
        rest.count(false);
        rest.begin(0, 100);
        assert!(!rest.is_over(99) && rest.is_over(100));
    }
}
