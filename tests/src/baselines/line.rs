// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Times by a straight line over the work.

use std::time::Duration;

/// Time of a share of a model's work on one machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line {
    /// Seconds, however little is to be done.
    offset: f64,
    /// Seconds of all of it, beyond that.
    slope: f64,
}

impl Line {
    /// Least squares through shares of the work, 0 to 1, and the seconds that they take.
    pub fn through(points: &[(f64, f64)]) -> Self {
        let n = points.len() as f64;
        let (x, y) = points
            .iter()
            .fold((0.0, 0.0), |(a, b), p| (a + p.0 / n, b + p.1 / n));
        let above: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
        let below: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
        let slope = if below > 0.0 { above / below } else { 0.0 };
        Self {
            offset: y - slope * x,
            slope,
        }
    }

    /// That of a machine so many times faster.
    #[must_use]
    pub fn faster(self, times: f64) -> Self {
        Self {
            offset: self.offset / times,
            slope: self.slope / times,
        }
    }

    /// Of a share; nothing takes no time.
    pub fn time(&self, share: f64) -> Duration {
        match share > 0.0 {
            true => Duration::from_secs_f64((self.offset + self.slope * share).max(0.0)),
            false => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_through_points_on_a_line_is_that_line() {
        let line = Line::through(&[(0.0, 0.01), (0.5, 0.03), (1.0, 0.05)]);
        assert_eq!(line.time(0.25), Duration::from_millis(20));
        assert_eq!(line.time(0.0), Duration::ZERO, "nothing takes no time");
        assert_eq!(line.faster(2.0).time(1.0), Duration::from_millis(25));
    }

    #[test]
    fn the_errors_of_other_points_cancel_out() {
        let line = Line::through(&[(0.0, 0.0), (0.5, 0.03), (0.5, 0.01), (1.0, 0.04)]);
        assert_eq!(line.time(0.5), Duration::from_millis(20));
    }
}
