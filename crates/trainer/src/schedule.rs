// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The learning rate over a training.

use std::f64::consts::PI;
use std::str::FromStr;

use crate::error::TrainError;

/// How the rate changes from the first step to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// Down to nothing along half a cosine.
    Cosine,
}

/// At first the rate grows over so many steps: Adam's averages are still empty then.
const WARM_UP: usize = 5;

impl Schedule {
    /// The rate of step `step` (from 0) of `steps`, as a share of the highest.
    pub fn share(self, step: usize, steps: usize) -> f64 {
        let warm = ((step + 1) as f64 / WARM_UP as f64).min(1.0);
        let rest = match self {
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + (PI * step as f64 / steps.max(1) as f64).cos()),
        };
        warm * rest
    }
}

impl FromStr for Schedule {
    type Err = TrainError;

    fn from_str(text: &str) -> Result<Self, TrainError> {
        match text.trim() {
            "constant" => Ok(Self::Constant),
            "cosine" => Ok(Self::Cosine),
            _ => Err(TrainError::Word {
                what: "schedule",
                text: text.to_owned(),
                expected: "constant or cosine",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_first_and_fall_at_the_end() {
        let shares: Vec<f64> = (0..100).map(|i| Schedule::Cosine.share(i, 100)).collect();
        assert!(shares[0] < shares[4] && shares[4] > 0.99);
        assert!(shares[6..].is_sorted_by(|a, b| a > b) && shares[99] < 0.001);
        assert_eq!(Schedule::Constant.share(50, 100), 1.0);
    }

    #[test]
    fn schedules_are_read_or_refused() {
        assert_eq!("cosine".parse::<Schedule>().unwrap(), Schedule::Cosine);
        let error = "linear".parse::<Schedule>().unwrap_err().to_string();
        assert!(error.contains("constant or cosine"), "{error}");
    }
}
