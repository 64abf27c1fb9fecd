// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Delay that varies, and is nearly the same for packets close together.

use rand::Rng;
use std::time::Duration;

/// After this time the process has forgotten 1 − 1/e of what it was.
const MEMORY: Duration = Duration::from_millis(50);

/// A stationary Gauss–Markov (Ornstein–Uhlenbeck) process of variance 1. Independent jitter a packet would let every
/// burst wait for its unluckiest packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Jitter {
    last: Option<(Duration, f64)>,
}

impl Jitter {
    /// What is added to the delay of a packet that is under way at `now`.
    pub(crate) fn next(
        &mut self,
        now: Duration,
        deviation: Duration,
        dice: &mut impl Rng,
    ) -> Duration {
        if deviation.is_zero() {
            return Duration::ZERO;
        }
        let fresh = normal(dice);
        let value = match self.last {
            Some((at, value)) => {
                let age = now.saturating_sub(at).as_secs_f64() / MEMORY.as_secs_f64();
                let kept = (-age).exp();
                kept * value + (1.0 - kept * kept).sqrt() * fresh
            }
            None => fresh,
        };
        self.last = Some((now, value));
        deviation.mul_f64(value.abs())
    }
}

/// Standard normal, by Box and Muller.
pub(crate) fn normal(dice: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (dice.random(), dice.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn far_apart_it_is_half_normal_and_close_together_the_same() {
        let ms = Duration::from_millis;
        let mut dice = ChaCha8Rng::seed_from_u64(5);
        let mut jitter = Jitter::default();
        let far: Vec<f64> = (0..20_000)
            .map(|i| jitter.next(ms(i * 1000), ms(10), &mut dice).as_secs_f64() * 1e3)
            .collect();
        let square = far.iter().map(|x| x * x).sum::<f64>() / far.len() as f64;
        assert!((square.sqrt() / 10.0 - 1.0).abs() < 0.03, "{square}");
        let mut jitter = Jitter::default();
        let near: Vec<Duration> = (0..1000)
            .map(|i| jitter.next(Duration::from_micros(i), ms(10), &mut dice))
            .collect();
        assert!(near.windows(2).all(|w| w[0].abs_diff(w[1]) < ms(1)));
    }
}
