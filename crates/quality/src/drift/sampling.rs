// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which frames the teacher is to look at, to judge the student: few by rule, more while there is doubt (a chart with
//! variable sampling intervals: M. Reynolds, R. Amin and J. Arnold, *Technometrics* 32, 1990), never more than a budget.

use std::collections::VecDeque;

/// Looks that doubt may take at once, and what it may take in the long run, in looks by rule.
const BURST: f64 = 8.0;
const DOUBT_SHARE: f64 = 1.0;
/// Looks that may be under way before doubt takes no more; by rule they go on.
const UNDER_WAY: usize = 3;
/// A look that has not come back after so many frames is lost.
const LOST_AFTER: u64 = 300;

/// How often to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// At a random frame in the middle quarter of each stretch of 1 / rate frames.
    Rule,
    /// Every so many frames, out of the budget of doubt.
    Doubt(u64),
    /// Every so many frames.
    Every(u64),
}

/// When the teacher looks.
#[derive(Clone, Debug)]
pub(super) struct Sampling {
    /// Looks by rule, of all frames.
    rate: f64,
    /// The frame of the next look by rule, and where the stretch after it begins.
    next: Option<(u64, f64)>,
    last: Option<u64>,
    budget: f64,
    under_way: VecDeque<u64>,
}

impl Sampling {
    pub(super) fn new(rate: f64) -> Self {
        Self {
            rate,
            next: None,
            last: None,
            budget: BURST,
            under_way: VecDeque::new(),
        }
    }

    pub(super) fn set_rate(&mut self, rate: f64) {
        if rate != self.rate {
            self.rate = rate;
            self.next = None;
        }
    }

    /// Whether the teacher is asked at all.
    pub(super) fn is_on(&self) -> bool {
        self.rate > 0.0
    }

    /// Whether to look at this frame, if there is a picture of it. `random` is uniform in [0, 1).
    pub(super) fn looks(&mut self, frame: u64, pace: Pace, pictured: bool, random: f64) -> bool {
        if !self.is_on() {
            return false;
        }
        self.budget = (self.budget + DOUBT_SHARE * self.rate).min(BURST);
        self.under_way
            .retain(|f| frame.saturating_sub(*f) < LOST_AFTER);
        if !pictured {
            return false;
        }
        let by_rule = self.by_rule(frame, random);
        let rested = |every: u64| self.last.is_none_or(|l| frame.saturating_sub(l) >= every);
        let doubt = match pace {
            Pace::Rule => false,
            Pace::Every(n) => rested(n),
            Pace::Doubt(n) => rested(n) && self.budget >= 1.0,
        };
        let doubt = doubt && self.under_way.len() < UNDER_WAY;
        if !(by_rule || doubt) {
            return false;
        }
        if matches!(pace, Pace::Doubt(_)) && !by_rule {
            self.budget -= 1.0;
        }
        self.last = Some(frame);
        self.under_way.push_back(frame);
        true
    }

    fn by_rule(&mut self, frame: u64, random: f64) -> bool {
        let stretch = 1.0 / self.rate.min(1.0);
        // Never long without a look, and yet at no fixed distance, with which a scene could keep step.
        let next = |begin: f64| {
            let at = begin + (0.375 + 0.25 * random) * stretch;
            (at as u64, begin + stretch)
        };
        let (at, end) = *self.next.get_or_insert_with(|| next(frame as f64));
        if frame < at {
            return false;
        }
        self.next = Some(next(end.max(frame as f64)));
        true
    }

    /// What the teacher said of a frame has come back.
    pub(super) fn came_back(&mut self, frame: u64) {
        self.under_way.retain(|f| *f != frame);
    }

    /// Nothing that is under way comes back.
    pub(super) fn forget(&mut self) {
        self.under_way.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(sampling: &mut Sampling, frames: u64, pace: Pace) -> Vec<u64> {
        let mut at = Vec::new();
        for frame in 0..frames {
            let random = (frame * 7919 % 1000) as f64 / 1000.0;
            if sampling.looks(frame, pace, true, random) {
                at.push(frame);
                sampling.came_back(frame);
            }
        }
        at
    }

    #[test]
    fn one_look_in_each_stretch_by_rule() {
        let at = looks(&mut Sampling::new(0.02), 5000, Pace::Rule);
        assert!((98..=101).contains(&at.len()), "{}", at.len());
        assert!(at.windows(2).all(|w| (37..=63).contains(&(w[1] - w[0]))));
        assert_eq!(looks(&mut Sampling::new(1.0), 50, Pace::Rule).len(), 50);
        assert!(looks(&mut Sampling::new(0.0), 50, Pace::Every(1)).is_empty());
    }

    #[test]
    fn doubt_has_a_budget_and_learning_has_none() {
        let doubt = looks(&mut Sampling::new(0.01), 5000, Pace::Doubt(2)).len();
        assert!((90..=115).contains(&doubt), "{doubt}");
        let learning = looks(&mut Sampling::new(0.01), 40, Pace::Every(4)).len();
        assert!((10..=12).contains(&learning), "{learning}");
    }

    #[test]
    fn a_teacher_that_does_not_answer_is_asked_by_rule_alone() {
        let mut sampling = Sampling::new(0.001);
        let asked = (0..200).filter(|f| sampling.looks(*f, Pace::Every(2), true, 0.999));
        assert_eq!(asked.count(), UNDER_WAY);
        assert!(
            sampling.looks(400, Pace::Every(2), true, 0.999),
            "lost looks are forgotten"
        );
    }
}
