// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The grid on which new values lie: multiples of a power of two around the value of the base. Only operations that
//! IEEE 754 rounds in one way are used, so that every machine gets the same bits.

/// Levels beyond would not be exact in an `f64`.
pub(crate) const MOST: i64 = 1 << 52;

/// A step of 2^`exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Grid {
    pub(crate) exponent: i8,
}

impl Grid {
    /// The coarsest grid whose step is at most `step`.
    pub(crate) fn at_most(step: f64) -> Self {
        let exponent = step.log2().floor().clamp(-128.0, 127.0);
        Self {
            exponent: exponent as i8,
        }
    }

    pub(crate) fn step(self) -> f64 {
        f64::from_bits((1023 + i64::from(self.exponent)) as u64 * (1 << 52))
    }

    /// The level nearest to `value`; 0 for what is no number.
    pub(crate) fn level(self, base: f64, value: f64) -> i64 {
        let level = ((value - base) / self.step()).round_ties_even();
        match level.is_nan() {
            true => 0,
            false => level.clamp(-(MOST as f64), MOST as f64) as i64,
        }
    }

    pub(crate) fn value(self, base: f64, level: i64) -> f64 {
        base + self.step() * level as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_powers_of_two() {
        for exponent in i8::MIN..=i8::MAX {
            assert_eq!(Grid { exponent }.step(), 2f64.powi(exponent.into()));
        }
        assert_eq!(Grid::at_most(0.3).exponent, -2);
        assert_eq!(Grid::at_most(0.25).exponent, -2);
        assert_eq!(Grid::at_most(0.0).exponent, -128);
    }

    #[test]
    fn levels_are_the_nearest_ones() {
        let grid = Grid { exponent: -3 };
        assert_eq!(grid.level(1.0, 1.3), 2);
        assert_eq!(grid.value(1.0, 2), 1.25);
        assert_eq!(grid.level(f64::INFINITY, f64::INFINITY), 0);
        assert_eq!(grid.level(0.0, f64::MAX), MOST);
    }
}
