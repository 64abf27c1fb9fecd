// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Whether memory grows from cycle to cycle, or only wobbles.

/// Standard errors beyond which a slope is no accident.
const SURE: f64 = 3.0;
/// Fewer cycles say nothing.
const LEAST: usize = 32;
/// kB a cycle, a quarter of a page: what is less cannot be told from the allocator's own ways in so few cycles.
const SEEN: f64 = 1.0;

/// Growth in kB a cycle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// Over all cycles, and over their second half.
    pub all: f64,
    pub late: f64,
    /// Standard error of `late`.
    pub error: f64,
    /// Whether it goes on: both quarters of the second half rise by themselves. `None`: too few cycles to tell.
    pub goes_on: Option<bool>,
}

impl Growth {
    /// Of memory in kB after each cycle.
    pub fn new(memory: &[f64]) -> Self {
        let half = &memory[memory.len() / 2..];
        let (late, error) = slope(half);
        let rises = |part: &[f64]| {
            let (slope, error) = slope(part);
            slope > SURE * error
        };
        let (third, fourth) = half.split_at(half.len() / 2);
        let goes_on = (memory.len() >= LEAST)
            .then(|| late >= SEEN && rises(half) && rises(third) && rises(fourth));
        Self {
            all: slope(memory).0,
            late,
            error,
            goes_on,
        }
    }
}

/// Least squares against the number of the value, and the standard error.
fn slope(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    if values.len() < 3 {
        return (f64::NAN, f64::NAN);
    }
    let (x, y) = ((n - 1.0) / 2.0, values.iter().sum::<f64>() / n);
    let both = || {
        values
            .iter()
            .enumerate()
            .map(|(i, v)| (i as f64 - x, v - y))
    };
    let spread: f64 = both().map(|(x, _)| x * x).sum();
    let slope = both().map(|(x, y)| x * y).sum::<f64>() / spread;
    let rest: f64 = both().map(|(x, y)| (y - slope * x).powi(2)).sum();
    (slope, (rest / (n - 2.0) / spread).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn wobble(seed: u64, grown: impl Fn(usize) -> f64) -> Growth {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let memory: Vec<f64> = (0..200)
            .map(|i| 50_000.0 + grown(i) + dice.random_range(-40.0..40.0))
            .collect();
        Growth::new(&memory)
    }

    #[test]
    fn a_leak_is_told_from_a_wobble_and_from_a_step() {
        for seed in 0..20 {
            let leak = wobble(seed, |i| 4.0 * i as f64);
            assert_eq!(leak.goes_on, Some(true), "{leak:?}");
            assert!((leak.late - 4.0).abs() < 0.5, "{leak:?}");
            assert_eq!(wobble(seed, |_| 0.0).goes_on, Some(false));
            // An arena more, and what is made once.
            let step = wobble(seed, |i| if i < 160 { 0.0 } else { 132.0 });
            assert_eq!(step.goes_on, Some(false), "{step:?}");
            let once = wobble(seed, |i| 3000.0 * (1.0 - (-(i as f64) / 8.0).exp()));
            assert_eq!(once.goes_on, Some(false), "{once:?}");
        }
    }

    #[test]
    fn a_few_cycles_say_nothing() {
        assert_eq!(Growth::new(&[1.0, 2.0, 3.0, 4.0]).goes_on, None);
    }
}
