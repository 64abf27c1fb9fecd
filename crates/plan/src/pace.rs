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

/// Samples of a piece of work that tell most of what is peculiar to it.
const FIRST: u32 = 6;
/// Of what does not come and go, the part that is taken for peculiar from then on.
const LEAK: f64 = 0.125;
const MOST_OFF: f64 = 16.0;
/// A piece of work that is this part of the model tells half of the machine and half of itself.
const HALF: f64 = 0.1;

/// The machine's slowness, and what is peculiar to each piece of work: a short one may fit between two pauses of a processor
/// that others use, too, and take a fraction of what was measured, while a long one gains nothing. So it is by the length of
/// a piece of work that its time, and a change of it, tells of the machine.
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
    /// A piece of work took `ratio` times as long as was measured before, which was `length` times what the whole model
    /// took.
    pub fn took(&mut self, work: Work, ratio: f64, length: f64) {
        if !(ratio > 0.0 && ratio.is_finite()) {
            return;
        }
        let peculiar = match work {
            Work::Whole => 0.0,
            _ => HALF / (HALF + length.max(0.0)),
        };
        let level = self.level();
        let own = self.own.entry(work).or_insert(Own {
            share: 1.0,
            samples: 0,
        });
        let early = own.samples < FIRST;
        own.samples = (own.samples + 1).min(FIRST);
        if early {
            let weight = peculiar / f64::from(own.samples);
            own.share *= (ratio / level / own.share).powf(weight);
            own.share = own.share.clamp(1.0 / MOST_OFF, MOST_OFF);
        }
        let off = ratio / own.share / level;
        self.level.add(level * off.powf(1.0 - peculiar));
        if !early {
            let off = ratio / own.share / self.level.get().unwrap_or(level);
            own.share *= off.clamp(0.5, 2.0).powf(LEAK * peculiar);
        }
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

    /// Of the model.
    const SHORT: f64 = 0.02;
    const FRONT: Work = Work::Front(Choice::Picture);

    fn after(samples: impl IntoIterator<Item = (Work, f64)>) -> Pace {
        let mut pace = Pace::default();
        samples
            .into_iter()
            .for_each(|(w, ratio)| pace.took(w, ratio, SHORT));
        pace
    }

    #[test]
    fn a_short_work_that_is_fast_says_nothing_of_a_long_one() {
        let pace = after((0..100).map(|_| (FRONT, 0.2)));
        let (front, whole) = (pace.of(FRONT), pace.of(Work::Whole));
        assert!((front - 0.2).abs() < 0.02, "{front}");
        assert!(whole > 0.8, "{whole}");
    }

    #[test]
    fn a_long_work_that_is_fast_says_that_all_are() {
        let mut pace = Pace::default();
        (0..10).for_each(|_| pace.took(Work::Rest(Choice::Candidate(0)), 0.5, 0.9));
        let whole = pace.of(Work::Whole);
        assert!((0.45..0.65).contains(&whole), "{whole}");
    }

    #[test]
    fn a_work_that_becomes_slower_says_as_it_is_long_that_all_are() {
        let slow_down = |length: f64| {
            let mut pace = Pace::default();
            (0..20).for_each(|_| pace.took(FRONT, 0.5, length));
            let before = pace.of(Work::Whole);
            (0..6).for_each(|_| pace.took(FRONT, 2.0, length));
            pace.of(Work::Whole) / before
        };
        let (long, short) = (slow_down(0.8), slow_down(SHORT));
        assert!((2.0..4.5).contains(&long), "{long}");
        assert!((1.0..1.5).contains(&short), "{short}");
    }

    #[test]
    fn a_short_work_that_takes_now_this_now_that_says_nothing() {
        let pace = after((0..60).map(|i| (FRONT, if i % 3 == 0 { 1.0 } else { 0.25 })));
        let whole = pace.of(Work::Whole);
        assert!((0.8..1.25).contains(&whole), "{whole}");
    }

    #[test]
    fn what_is_no_time_is_ignored() {
        let pace = after([0.0, -1.0, f64::NAN, f64::INFINITY].map(|r| (FRONT, r)));
        assert_eq!(pace.of(FRONT), 1.0);
    }
}
