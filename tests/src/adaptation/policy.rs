// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Other ways than `svdgate`'s to choose the frames that the teacher sees.

use std::collections::VecDeque;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::figures::Quality;
use super::plan::Task;
use super::run::Seen;
use crate::spread::mean;

/// Frames over which confidence or accuracy is averaged, as long as `svdgate`'s window.
const WINDOW: usize = 20;
/// Frames from which it is learnt what is usual, and how many standard deviations worse than that is bad.
const LEARNT_FROM: usize = 60;
const ENOUGH: f64 = 3.0;
/// The standard deviation is at least this share of the mean.
const LEAST_SPREAD: f64 = 0.05;

/// Chooses frames.
#[derive(Debug)]
pub enum Policy {
    /// All.
    All,
    /// One in so many.
    Every { n: u64, seen: u64 },
    /// Each with this probability.
    Random { share: f64, rng: Box<ChaCha8Rng> },
    /// While what is watched is worse than usual.
    Worse {
        what: Watched,
        task: Task,
        last: VecDeque<f64>,
        usual: Vec<f64>,
    },
}

/// What is watched; the larger, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// One minus the mean confidence of the objects; 1 where there are none.
    Confidence,
    /// What gains are counted in, by the scene's truth: outside a scene that takes the teacher on every frame.
    Accuracy,
}

impl Policy {
    pub fn every(n: u64) -> Self {
        Self::Every {
            n: n.max(1),
            seen: 0,
        }
    }

    pub fn random(share: f64, seed: u64) -> Self {
        let rng = Box::new(ChaCha8Rng::seed_from_u64(seed));
        Self::Random { share, rng }
    }

    pub fn worse(what: Watched, task: Task) -> Self {
        let (last, usual) = Default::default();
        Self::Worse {
            what,
            task,
            last,
            usual,
        }
    }

    /// Whether the teacher sees this frame. To be asked for every frame, in order.
    pub fn admits(&mut self, frame: &Seen) -> bool {
        match self {
            Self::All => true,
            Self::Every { n, seen } => {
                *seen += 1;
                (*seen - 1).is_multiple_of(*n)
            }
            Self::Random { share, rng } => rng.random::<f64>() < *share,
            Self::Worse {
                what,
                task,
                last,
                usual,
            } => {
                let Some(value) = what.of(frame, *task) else {
                    return false;
                };
                if last.len() == WINDOW {
                    last.pop_front();
                }
                last.push_back(value);
                let now = mean(last.make_contiguous()).unwrap_or(value);
                if usual.len() < LEARNT_FROM {
                    usual.push(value);
                    return false;
                }
                now > worst_usual(usual)
            }
        }
    }
}

impl Watched {
    /// `None` where there is nothing to judge.
    fn of(self, frame: &Seen, task: Task) -> Option<f64> {
        match self {
            Self::Confidence => {
                let scores: Vec<f64> = frame.frame.found.iter().map(|f| f.score).collect();
                Some(1.0 - mean(&scores).unwrap_or(0.0))
            }
            Self::Accuracy => Quality::of(std::slice::from_ref(&frame.frame), task).cost,
        }
    }
}

/// Of means over a window: single frames spread more, by the root of its length.
fn worst_usual(usual: &[f64]) -> f64 {
    let middle = mean(usual).unwrap_or(0.0);
    let squares: Vec<f64> = usual.iter().map(|v| (v - middle).powi(2)).collect();
    let spread = mean(&squares).unwrap_or(0.0).sqrt();
    middle + ENOUGH * spread.max(LEAST_SPREAD * middle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_evaluate::{Found, Frame};

    fn frame(confidence: Option<f64>) -> Seen {
        let found = |score| Found {
            score,
            ..Found::default()
        };
        Seen {
            frame: Frame {
                number: 0,
                found: confidence.map(found).into_iter().collect(),
                actual: Vec::new(),
            },
            quality: None,
            version: 0,
        }
    }

    fn admitted(policy: &mut Policy, confidences: &[Option<f64>]) -> usize {
        let frames = confidences.iter().map(|c| frame(*c));
        frames.filter(|f| policy.admits(f)).count()
    }

    #[test]
    fn one_in_so_many_and_about_as_many_by_chance() {
        assert_eq!(admitted(&mut Policy::every(7), &[None; 70]), 10);
        let random = admitted(&mut Policy::random(0.1, 1), &[None; 1000]);
        assert!((70..130).contains(&random), "{random}");
        assert_eq!(admitted(&mut Policy::All, &[None; 9]), 9);
    }

    #[test]
    fn frames_are_taken_while_confidence_is_low_or_nothing_is_found() {
        let mut policy = Policy::worse(Watched::Confidence, Task::Traffic);
        let usual: Vec<Option<f64>> = (0..100)
            .map(|i| Some(0.8 + 0.02 * f64::from(i % 3)))
            .collect();
        assert_eq!(admitted(&mut policy, &usual), 0);
        let low = admitted(&mut policy, &[Some(0.5); 40]);
        assert!((30..40).contains(&low), "{low}");
        assert!(admitted(&mut policy, &[None; 10]) == 10);
        assert!(admitted(&mut policy, &usual) < 20);
    }

    #[test]
    fn without_objects_there_is_no_accuracy() {
        let mut policy = Policy::worse(Watched::Accuracy, Task::Traffic);
        assert_eq!(admitted(&mut policy, &[None; 200]), 0);
    }
}
