// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How fast this machine is now, told from the pieces of work that happen to be done.

use std::collections::HashMap;

use crate::{Choice, Tracked};

/// A piece of work that is done in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// The model.
    Whole,
    /// Head and coding.
    Front(Choice),
    /// The tail of a cut.
    Rest(Choice),
}

/// Samples of a piece of work that tell what is peculiar to it, before it tells anything of the machine.
const FIRST: u32 = 6;
/// Of what does not come and go, the part that is taken for peculiar from then on.
const LEAK: f64 = 0.125;
const MOST_OFF: f64 = 16.0;

/// The machine's slowness, and what is peculiar to each piece of work: a short one may fit between two pauses of a processor
/// that others use, too, and take a fraction of what was measured, while a long one gains nothing. So only that a piece of
/// work takes longer than *it* usually does says that the machine has become slow.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    level: Tracked,
    own: HashMap<Work, Own>,
}

#[derive(Clone, Copy, Debug)]
struct Own {
    share: f64,
    samples: u32,
}

impl Pace {
    /// A piece of work took `ratio` times as long as was measured before.
    pub fn took(&mut self, work: Work, ratio: f64) {
        if !(ratio > 0.0 && ratio.is_finite()) {
            return;
        }
        let level = self.level();
        let own = self.own.entry(work).or_insert(Own {
            share: 1.0,
            samples: 0,
        });
        let relative = ratio / level;
        if own.samples < FIRST {
            own.samples += 1;
            let weight = 1.0 / f64::from(own.samples);
            own.share = own.share.powf(1.0 - weight) * relative.powf(weight);
            own.share = own.share.clamp(1.0 / MOST_OFF, MOST_OFF);
            return;
        }
        self.level.add(ratio / own.share);
        let off = ratio / own.share / self.level.get().unwrap_or(level);
        own.share *= off.clamp(0.5, 2.0).powf(LEAK);
    }

    /// Time now over time measured before.
    pub fn of(&self, work: Work) -> f64 {
        self.level() * self.own.get(&work).map_or(1.0, |own| own.share)
    }

    fn level(&self) -> f64 {
        self.level.get().unwrap_or(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRONT: Work = Work::Front(Choice::Picture);

    fn after(samples: impl IntoIterator<Item = (Work, f64)>) -> Pace {
        let mut pace = Pace::default();
        samples
            .into_iter()
            .for_each(|(w, ratio)| pace.took(w, ratio));
        pace
    }

    #[test]
    fn a_short_work_that_is_fast_says_nothing_of_a_long_one() {
        let pace = after((0..100).map(|_| (FRONT, 0.2)));
        assert!((pace.of(FRONT) - 0.2).abs() < 0.01);
        assert!((pace.of(Work::Whole) - 1.0).abs() < 0.01);
    }

    #[test]
    fn a_work_that_becomes_slower_says_that_all_are() {
        let usual = (0..20).map(|_| (FRONT, 0.2));
        let slow = (0..6).map(|_| (FRONT, 0.8));
        let pace = after(usual.chain(slow));
        let whole = pace.of(Work::Whole);
        assert!((3.0..4.5).contains(&whole), "{whole}");
    }

    #[test]
    fn what_is_no_time_is_ignored() {
        let pace = after([0.0, -1.0, f64::NAN, f64::INFINITY].map(|r| (FRONT, r)));
        assert_eq!(pace.of(FRONT), 1.0);
    }
}
