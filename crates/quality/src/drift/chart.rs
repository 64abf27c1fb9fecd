// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A control chart of the errors that the teacher finds: what is usual, and whether the student has become worse.

/// Errors from which the usual one is learnt before the test begins, and those by which it still learns after that, while
/// there is little evidence (a self-starting chart: D. Hawkins, *The Statistician* 36, 1987).
const LEARNT_FROM: usize = 6;
const LEARNS_UNTIL: usize = 200;

/// Growth that is looked for, and evidence that is enough, in standard deviations of the usual error: with normal errors
/// whose mean and deviation are known a false alarm every 930 samples, and a growth of one standard deviation is noticed
/// after 10 (D. Hawkins and D. Olwell, *Cumulative Sum Charts and Charting for Quality Improvement*, 1998).
const SLACK: f64 = 0.5;
const ENOUGH: f64 = 5.0;

/// An alarm needs larger errors for so many frames: on the frames on which somebody comes in or leaves, or two pass each
/// other, teacher and student often differ, and looks at them count several times what happened once.
const LASTS: u64 = 8;

/// Evidence to begin with, of what is enough, where there is another reason to expect that the student is worse (a fast
/// initial response: J. Lucas and R. Crosier, *Technometrics* 24, 1982).
pub(super) const HEAD_START: f64 = 0.5;

/// So many errors in a row that are as usual take all evidence away: of a student that is worse by two standard deviations one
/// in three thousand such rows is that good. What was wrong is over, as when somebody came in, and more looks would tell no more.
const OVER_AFTER: usize = 3;

/// One sample adds no more than this many standard deviations: one wild frame is no drift.
const MOST_AT_ONCE: f64 = 2.5;

/// An error that is so many standard deviations above the usual one is clearly larger.
const CLEARLY: f64 = 1.5;

/// What the standard deviation is before there are errors to learn it from, in units of the objects' size, and how many
/// errors that is worth: a few equal errors are no proof that all are equal.
const PRIOR_SPREAD: f64 = 0.1;
const PRIOR_WORTH: f64 = 4.0;

/// A standard deviation is at least this share of the mean: a scene in which nothing happened is not all there is. And it is
/// not more than this: what was learnt while the scene changed is not usual.
const LEAST_SPREAD: f64 = 0.1;
const MOST_SPREAD: f64 = 0.25;

/// The mean is uncertain too, the more the fewer errors it is from; and the first ones are of frames so near to each other that
/// six are worth one.
const UNKNOWN: f64 = 6.0;

/// A student is better than usual when its error is less than this share of the usual one: what chance makes of a lucky
/// run is not.
const BETTER: f64 = 0.6;
/// So many of the last errors of a run of better ones are remembered.
const MOST_BETTER: usize = 32;

/// A student that is off by more is lost. However much its error spreads, that is not usual, unless it always is.
pub(super) const LOST: f64 = 0.8;

/// Page's one-sided cumulative sum (E. Page, *Biometrika* 41, 1954) of errors standardised by the usual ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Chart {
    count: usize,
    mean: f64,
    /// Sum of squared deviations from the mean (Welford).
    squares: f64,
    /// Evidence that errors are larger than usual, and that they are less.
    sum: f64,
    run: Run,
    /// Errors in a row that are as usual.
    calm: usize,
    less: f64,
    better: Vec<f64>,
}

/// Errors since the sum was last 0.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    count: usize,
    total: f64,
    /// The frame of the first.
    begin: Option<u64>,
    /// The frame of the first that was clearly larger than usual.
    first: Option<u64>,
}

impl Chart {
    /// The error on a frame; whether the student has become worse. It says so again on every further error for which that
    /// holds.
    pub(super) fn add(&mut self, frame: u64, error: f64) -> bool {
        if !error.is_finite() {
            return false;
        }
        if !self.is_learnt() {
            self.learn(error);
            return false;
        }
        let lost = error > LOST && self.mean < LOST;
        let least = if lost { CLEARLY } else { f64::NEG_INFINITY };
        let standard = ((error - self.mean) / self.spread()).clamp(least, MOST_AT_ONCE);
        if self.is_better(error, standard) {
            return false;
        }
        self.sum = (self.sum + standard - SLACK).clamp(0.0, 2.0 * ENOUGH);
        self.calm = if standard < SLACK { self.calm + 1 } else { 0 };
        if self.calm >= OVER_AFTER {
            self.sum = 0.0;
        }
        if self.sum > 0.0 {
            self.run.count += 1;
            self.run.begin = self.run.begin.or(Some(frame));
            self.run.total += error;
            let clearly = (standard >= CLEARLY).then_some(frame);
            self.run.first = self.run.first.or(clearly);
        } else {
            self.run = Run::default();
        }
        let usual = self.sum < ENOUGH / 2.0 && standard < MOST_AT_ONCE && !lost;
        if usual && self.count < LEARNS_UNTIL {
            self.learn(error);
        }
        let begin = self.run.first.or(self.run.begin);
        let lasts = begin.is_some_and(|b| frame.saturating_sub(b) >= LASTS);
        self.sum > ENOUGH && lasts
    }

    /// What is usual was learnt while the student was worse: it is learnt anew from the errors since it is better. The same
    /// sum, downwards.
    fn is_better(&mut self, error: f64, standard: f64) -> bool {
        self.less = (self.less - standard.max(-MOST_AT_ONCE) - SLACK).clamp(0.0, 2.0 * ENOUGH);
        if self.less > 0.0 {
            if self.better.len() == MOST_BETTER {
                self.better.remove(0);
            }
            self.better.push(error);
        } else {
            self.better.clear();
        }
        let level = self.better.iter().sum::<f64>() / self.better.len().max(1) as f64;
        if self.less <= ENOUGH || level > BETTER * self.mean {
            return false;
        }
        let errors = std::mem::take(&mut self.better);
        *self = Self::default();
        errors.into_iter().for_each(|e| self.learn(e));
        // Fewer than it is learnt from at first, but there is no doubt about them.
        self.count = self.count.max(LEARNT_FROM);
        true
    }

    /// Nothing could be done about errors of this size: they are as usual as those before.
    pub(super) fn accept(&mut self, level: f64) {
        self.forget_evidence();
        if !level.is_finite() || !self.is_learnt() {
            return;
        }
        let half = LEARNT_FROM / 2;
        self.squares *= half as f64 / self.count as f64;
        self.count = half;
        for _ in 0..half {
            self.learn(level);
        }
    }

    fn learn(&mut self, error: f64) {
        self.count += 1;
        let before = error - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (error - self.mean);
    }

    /// Standard deviation of the usual error.
    fn spread(&self) -> f64 {
        let degrees = PRIOR_WORTH + self.count.saturating_sub(1) as f64;
        let squares = PRIOR_WORTH * PRIOR_SPREAD.powi(2) + self.squares;
        let unknown = (1.0 + UNKNOWN / self.count.max(1) as f64).sqrt();
        let spread = ((squares / degrees).sqrt() * unknown).min(MOST_SPREAD);
        spread.max(LEAST_SPREAD * self.mean)
    }

    /// There is another reason to expect that the student is worse, so that less evidence is enough.
    pub(super) fn expect_worse(&mut self) {
        if self.is_learnt() {
            self.sum = self.sum.max(HEAD_START * ENOUGH);
        }
    }

    /// The evidence turned out to be none, or was acted on.
    pub(super) fn forget_evidence(&mut self) {
        self.sum = 0.0;
        self.run = Run::default();
    }

    /// Whether the usual error is known well enough to compare with.
    pub(super) fn is_learnt(&self) -> bool {
        self.count >= LEARNT_FROM
    }

    /// Mean of the usual errors; `None` while it is being learnt.
    pub(super) fn usual(&self) -> Option<f64> {
        self.is_learnt().then_some(self.mean)
    }

    /// Mean of the errors that make up the evidence, the usual one where there is none.
    pub(super) fn level(&self) -> f64 {
        match self.run.count {
            0 => self.mean,
            n => self.run.total / n as f64,
        }
    }

    /// The first frame on which the student was clearly worse than usual, by the evidence.
    pub(super) fn since(&self) -> Option<u64> {
        self.run.first
    }

    /// Evidence so far; above 1 it is an alarm.
    pub(super) fn evidence(&self) -> f64 {
        self.sum / ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Errors around 0.3, with a spread of about 0.06, all from one seed.
    fn usual(n: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        let mut uniform = || {
            // The generator of Numerical Recipes.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        (0..n)
            .map(|_| 0.3 + 0.1 * ((0..4).map(|_| uniform()).sum::<f64>() - 2.0))
            .collect()
    }

    fn learnt(n: usize, seed: u64) -> Chart {
        let mut chart = Chart::default();
        for (i, e) in (0..).zip(usual(n, seed)) {
            chart.add(i, e);
        }
        chart
    }

    #[test]
    fn one_wild_frame_is_no_drift_and_one_without_an_error_counts_nothing() {
        let mut chart = learnt(40, 1);
        chart.forget_evidence();
        assert!(!chart.add(50, 50.0));
        let before = chart.evidence();
        assert!(!chart.add(51, f64::NAN));
        assert_eq!(chart.evidence(), before);
        assert_eq!(chart.since(), Some(50));
    }

    #[test]
    fn errors_that_are_over_at_once_are_no_drift_however_often_they_are_looked_at() {
        let mut chart = learnt(40, 2);
        assert!(!(0..LASTS).any(|i| chart.add(i, 1.0)));
        assert!(chart.add(LASTS, 1.0));
    }

    #[test]
    fn evidence_is_gone_after_some_errors_that_are_as_usual() {
        let mut chart = learnt(40, 5);
        (0..4).for_each(|i| _ = chart.add(i, 1.0));
        assert!(chart.evidence() > 1.0);
        assert!(!(4..4 + OVER_AFTER as u64).any(|i| chart.add(i, 0.3) && i > 5));
        assert_eq!(chart.evidence(), 0.0);
    }

    #[test]
    fn false_alarms_are_rare() {
        let alarms: usize = (0..300)
            .map(|seed| {
                let mut chart = Chart::default();
                let mut alarms = 0;
                for (i, e) in (0..).zip(usual(220, seed)) {
                    if chart.add(10 * i, e) {
                        alarms += 1;
                        chart.forget_evidence();
                    }
                }
                alarms
            })
            .sum();
        // 200 samples are tested of each: less than one alarm in 200.
        assert!(alarms < 300, "{alarms}");
    }

    #[test]
    fn what_is_expected_takes_less_evidence() {
        let alone = learnt(40, 3);
        let errors = |mut chart: Chart| {
            (0..10)
                .take_while(|i| !chart.add(1000 + 10 * i, 0.7))
                .count()
        };
        let mut expected = alone.clone();
        expected.expect_worse();
        assert!(errors(expected) < errors(alone));
    }

    #[test]
    fn a_usual_error_that_was_learnt_while_the_scene_changed_hides_no_lost_student() {
        let mut chart = Chart::default();
        for (i, e) in (0..).zip([0.05, 0.06, 1.0, 0.05, 1.0, 1.0]) {
            assert!(!chart.add(i, e));
        }
        let looks = (0..20)
            .take_while(|i| !chart.add(1000 + 10 * i, 1.0))
            .count();
        assert!(looks < 7, "{looks}");
        let mut always = Chart::default();
        assert!(!(0..200).any(|i| always.add(i, 0.95)));
    }

    #[test]
    fn what_is_better_than_usual_for_some_time_becomes_usual() {
        let mut chart = Chart::default();
        (0..12).for_each(|i| assert!(!chart.add(i, 0.9)));
        let looks = (0..40).take_while(|i| !chart.add(*i, 0.1) && chart.usual() > Some(0.15));
        let looks = looks.count();
        assert!(looks <= 5, "{looks}");
        assert!((0..10).any(|i| chart.add(i, 0.6)));
    }

    #[test]
    fn what_nothing_could_be_done_about_is_less_evidence_each_time() {
        let mut chart = learnt(40, 4);
        let alarm = |chart: &mut Chart| (0..60).take_while(|i| !chart.add(*i, 0.8)).count();
        let first = alarm(&mut chart);
        chart.accept(0.8);
        let second = alarm(&mut chart);
        assert!(second > first + 1, "{first}, {second}");
        chart.accept(0.8);
        assert!(alarm(&mut chart) >= second);
    }

    proptest! {
        #[test]
        fn a_student_that_is_twice_as_wrong_is_noticed_within_ten_samples(
            seed in 0u64..1000, before in 20usize..200,
        ) {
            let mut chart = learnt(before, seed);
            prop_assert!(chart.usual().is_some_and(|e| (e - 0.3).abs() < 0.1));
            let errors = (0..).zip(usual(10, seed + 1));
            let noticed = errors.into_iter().any(|(i, e)| chart.add(10_000 + 10 * i, e + 0.3));
            prop_assert!(noticed);
            prop_assert!(chart.usual().is_some_and(|usual| chart.level() > usual));
        }
    }
}
