// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Rank and threshold from the first windows of a stream, where the user set none.

use crate::metric::rank_of;
use crate::motion::Motion;

/// Windows that are learnt from.
pub(crate) const WINDOWS: usize = 20;

/// The rank leaves at most this share of the energy of a usual window's motion.
const UNEXPLAINED: f64 = 0.01;

/// The threshold lies this many standard deviations above the mean score of the windows learnt from, each counted as at
/// least a tenth of the mean.
const DEVIATIONS: f64 = 3.0;
const LEAST_SPREAD: f64 = 0.1;

/// What was learnt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learnt {
    pub rank: usize,
    pub threshold: f64,
}

/// Collects the first windows that seem good.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calibration {
    motions: Vec<Motion>,
    learnt: Option<Learnt>,
}

impl Calibration {
    pub(crate) fn learnt(&self) -> Option<Learnt> {
        self.learnt
    }

    /// A window that seems good. `fixed` is the rank that the user set; `score` gives a window's score at a rank.
    pub(crate) fn add(
        &mut self,
        motion: &Motion,
        fixed: Option<usize>,
        score: impl Fn(&Motion, usize) -> f64,
    ) {
        if self.learnt.is_some() {
            return;
        }
        self.motions.push(motion.clone());
        if self.motions.len() < WINDOWS {
            return;
        }
        let motions = std::mem::take(&mut self.motions);
        let rank = fixed.unwrap_or_else(|| {
            let mut ranks: Vec<usize> = motions.iter().map(|m| rank_of(m, UNEXPLAINED)).collect();
            ranks.sort_unstable();
            ranks[ranks.len() / 2].max(1)
        });
        let scores: Vec<f64> = motions.iter().map(|m| score(m, rank)).collect();
        self.learnt = Some(Learnt {
            rank,
            threshold: threshold(&scores),
        });
    }
}

fn threshold(scores: &[f64]) -> f64 {
    let n = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / n;
    let variance = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n;
    mean + DEVIATIONS * variance.sqrt().max(LEAST_SPREAD * mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Observation;
    use crate::metric::scaled_residual;

    /// A box that goes to and fro with one pattern of motion, and a little noise.
    fn motion(phase: usize) -> Motion {
        let row = |t: usize| {
            let x = 30.0 * ((t + phase) as f64 * 0.4).sin();
            let noise = 0.1 * ((t * 7 + phase * 13) % 5) as f64;
            let bbox = [100.0 + x, 50.0 + 0.5 * x + noise, 40.0, 80.0 - noise];
            Some(Observation::new(bbox, 0.9, &[], None))
        };
        Motion::of(&(0..20).map(row).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_rank_is_that_of_the_motion_and_the_threshold_lies_above_the_scores() {
        let mut calibration = Calibration::default();
        for phase in 0..WINDOWS {
            assert_eq!(calibration.learnt(), None);
            calibration.add(&motion(phase), None, scaled_residual);
        }
        let learnt = calibration.learnt().unwrap();
        assert_eq!(learnt.rank, 1);
        for phase in 0..WINDOWS {
            assert!(scaled_residual(&motion(phase), 1) < learnt.threshold);
        }
    }

    #[test]
    fn a_rank_that_the_user_set_stays() {
        let mut calibration = Calibration::default();
        for phase in 0..WINDOWS {
            calibration.add(&motion(phase), Some(3), scaled_residual);
        }
        assert_eq!(calibration.learnt().map(|l| l.rank), Some(3));
    }
}
