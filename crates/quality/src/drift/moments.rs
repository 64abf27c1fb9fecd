// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Mean and spread of values, of which old ones fade.

/// What the spread is before it is known is worth so many values.
const PRIOR_WORTH: f64 = 4.0;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    /// Values that are remembered.
    pub(super) weight: f64,
    pub(super) mean: f64,
    variance: f64,
}

impl Moments {
    /// With `most` values remembered.
    pub(super) fn add(&mut self, value: f64, most: f64) {
        self.weight = (self.weight + 1.0).min(most);
        let share = 1.0 / self.weight;
        let off = value - self.mean;
        self.mean += share * off;
        self.variance = (1.0 - share) * (self.variance + share * off * off);
    }

    /// Standard deviation, not below `prior`.
    pub(super) fn spread(&self, prior: f64) -> f64 {
        let together = PRIOR_WORTH * prior * prior + self.weight * self.variance;
        (together / (PRIOR_WORTH + self.weight)).sqrt().max(prior)
    }
}
