// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A quantity that scatters, and now and then jumps.

/// Weight of the newest sample among those that fit.
const GAIN: f64 = 0.25;
/// A sample that differs by a larger factor (natural logarithm) than this, and than the scatter explains, does not fit.
const TOLERANCE: f64 = 0.2;
const SCATTERS: f64 = 3.0;
const MOST_SCATTER: f64 = 0.4;

/// A positive quantity, smoothed by its logarithm. One sample that does not fit changes nothing; a second one on the same
/// side begins anew from the two.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tracked {
    /// Logarithms: the value, and the sample that did not fit.
    value: Option<f64>,
    odd: Option<f64>,
    /// Mean absolute difference of samples that fit.
    scatter: f64,
}

impl Tracked {
    /// Samples that are not positive numbers are ignored.
    pub fn add(&mut self, sample: f64) {
        if !(sample > 0.0 && sample.is_finite()) {
            return;
        }
        let sample = sample.ln();
        let Some(value) = self.value else {
            self.value = Some(sample);
            return;
        };
        let off = sample - value;
        if off.abs() <= TOLERANCE.max(SCATTERS * self.scatter) {
            self.odd = None;
            self.scatter += (off.abs() - self.scatter) / 8.0;
            self.value = Some(value + GAIN * off);
            return;
        }
        self.value = match self.odd.take() {
            Some(odd) if (odd > value) == (off > 0.0) => Some(f64::midpoint(odd, sample)),
            _ => {
                // Many of them are no exception.
                self.scatter += (off.abs().min(MOST_SCATTER) - self.scatter) / 8.0;
                self.odd = Some(sample);
                return;
            }
        };
    }

    /// What it was is of no importance any more.
    pub fn restart(&mut self, sample: f64) {
        if sample > 0.0 && sample.is_finite() {
            self.value = Some(sample.ln());
            self.odd = None;
        }
    }

    /// `None` before the first sample.
    pub fn get(&self) -> Option<f64> {
        self.value.map(f64::exp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_sample_changes_nothing_and_two_are_followed() {
        let mut tracked = Tracked::default();
        assert_eq!(tracked.get(), None);
        for _ in 0..20 {
            tracked.add(10.0);
        }
        tracked.add(100.0);
        assert!((tracked.get().unwrap() - 10.0).abs() < 1e-9);
        tracked.add(10.5);
        tracked.add(2.0);
        tracked.add(2.2);
        assert!((2.0..2.2).contains(&tracked.get().unwrap()));
    }

    #[test]
    fn samples_that_scatter_are_averaged() {
        let mut tracked = Tracked::default();
        for i in 0..200 {
            tracked.add(if i % 2 == 0 { 8.0 } else { 12.0 });
        }
        assert!((8.8..11.0).contains(&tracked.get().unwrap()));
        for nothing in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            tracked.add(nothing);
        }
        assert!((8.8..11.0).contains(&tracked.get().unwrap()));
    }
}
