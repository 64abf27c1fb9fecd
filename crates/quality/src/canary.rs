// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The canary: the teacher looks at a small random share of what the gate accepts, and a sequential test notices when the
//! student's error there has grown. So it sees what no score of predictions alone can: a constant bias, a frozen pose,
//! objects that are missed every time.

/// Errors from which the usual one is learnt before the test begins, and those by which it still learns after that, while
/// there is little evidence (a self-starting chart: D. Hawkins, *The Statistician* 36, 1987).
const LEARNT_FROM: usize = 20;
const LEARNS_UNTIL: usize = 200;

/// Growth that is looked for, and evidence that is enough, in standard deviations of the usual error: with normal errors
/// whose mean and deviation are known a false alarm every 930 samples, and a growth of one standard deviation is noticed
/// after 10 (D. Hawkins and D. Olwell, *Cumulative Sum Charts and Charting for Quality Improvement*, 1998).
const SLACK: f64 = 0.5;
const ENOUGH: f64 = 5.0;

/// One sample adds no more than this many standard deviations: one wild frame is no drift.
const MOST_AT_ONCE: f64 = 2.5;

/// A standard deviation is at least this share of the mean: a scene in which nothing happened is not all there is.
const LEAST_SPREAD: f64 = 0.1;

/// Draws the frames that the teacher is to see, and watches what it says of them.
#[derive(Clone, Debug)]
pub struct Canary {
    /// Share of the accepted frames.
    rate: f64,
    test: Cusum,
}

impl Canary {
    /// `rate`: share of the frames that the teacher sees, 0 to 1.
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            test: Cusum::default(),
        }
    }

    pub fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
    }

    /// Whether the teacher is to see this frame. `random` is uniform in [0, 1).
    pub fn picks(&self, random: f64) -> bool {
        random < self.rate
    }

    /// The error between student and teacher on a frame that was picked; `true` when the student has become worse. The
    /// test then starts anew, with the usual error that it knows.
    pub fn error(&mut self, error: f64) -> bool {
        self.test.add(error)
    }

    /// Evidence so far, 1 is an alarm.
    pub fn evidence(&self) -> f64 {
        self.test.sum / ENOUGH
    }

    /// Mean error while the student was as usual; `None` while that is still being learnt.
    pub fn usual_error(&self) -> Option<f64> {
        (self.test.count >= LEARNT_FROM).then_some(self.test.mean)
    }
}

/// Page's one-sided cumulative sum (E. Page, *Biometrika* 41, 1954) of errors standardised by the first ones.
#[derive(Clone, Debug, Default)]
struct Cusum {
    count: usize,
    mean: f64,
    /// Sum of squared deviations from the mean (Welford).
    squares: f64,
    sum: f64,
}

impl Cusum {
    fn add(&mut self, error: f64) -> bool {
        if !error.is_finite() {
            return false;
        }
        if self.count < LEARNT_FROM {
            self.learn(error);
            return false;
        }
        let spread = (self.squares / (self.count - 1) as f64).sqrt();
        let spread = spread.max(LEAST_SPREAD * self.mean.abs()).max(1e-9);
        let standard = ((error - self.mean) / spread).min(MOST_AT_ONCE);
        self.sum = (self.sum + standard - SLACK).max(0.0);
        if self.sum < ENOUGH / 2.0 && standard < MOST_AT_ONCE && self.count < LEARNS_UNTIL {
            self.learn(error);
        }
        let alarm = self.sum > ENOUGH;
        if alarm {
            self.sum = 0.0;
        }
        alarm
    }

    fn learn(&mut self, error: f64) {
        self.count += 1;
        let before = error - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (error - self.mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Errors around 0.03, with a spread of about 0.006, all from one seed.
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
            .map(|_| 0.03 + 0.01 * ((0..4).map(|_| uniform()).sum::<f64>() - 2.0))
            .collect()
    }

    #[test]
    fn it_picks_the_share_it_is_told_to() {
        let canary = Canary::new(0.25);
        let picked = (0..1000).filter(|i| canary.picks(f64::from(*i) / 1000.0));
        assert_eq!(picked.count(), 250);
        assert!(!Canary::new(0.0).picks(0.0));
    }

    #[test]
    fn one_wild_frame_is_no_drift_and_one_without_an_error_counts_nothing() {
        let mut canary = Canary::new(1.0);
        for e in usual(40, 1) {
            assert!(!canary.error(e));
        }
        assert!(!canary.error(50.0));
        let before = canary.evidence();
        assert!(!canary.error(f64::NAN));
        assert_eq!(canary.evidence(), before);
    }

    #[test]
    fn false_alarms_are_rare() {
        let alarms: usize = (0..300)
            .map(|seed| {
                let mut canary = Canary::new(1.0);
                usual(220, seed)
                    .into_iter()
                    .filter(|e| canary.error(*e))
                    .count()
            })
            .sum();
        // 200 samples are tested of each: less than one alarm in 200.
        assert!(alarms < 300, "{alarms}");
    }

    proptest! {
        #[test]
        fn a_bias_is_noticed_within_ten_samples(seed in 0u64..1000, before in 20usize..200) {
            let mut canary = Canary::new(1.0);
            for e in usual(before, seed) {
                canary.error(e);
            }
            prop_assert!(canary.usual_error().is_some_and(|e| (e - 0.03).abs() < 0.01));
            let noticed = usual(10, seed + 1).into_iter().any(|e| canary.error(e + 0.03));
            prop_assert!(noticed);
        }
    }
}
