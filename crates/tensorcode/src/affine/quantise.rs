// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Values to levels and back: `value ≈ base + level × step`.

/// Unit round-off of `f32`.
const EPSILON: f64 = 1.0 / (1u64 << 24) as f64;
/// The finest step. Its inverse is still a normal number.
const MIN_STEP: f64 = 1e-30;
/// Largest magnitude that is quantised: far from where `f32` arithmetic on levels could overflow.
const MAX_MAGNITUDE: f32 = 1e30;

/// Significant binary digits of a step, the leading one included.
const STEP_DIGITS: u32 = 9;

/// A type that holds levels.
pub(crate) trait Level: Copy {
    fn from_low_bits(bits: u32) -> Self;
    fn to_f32(self) -> f32;
}

impl Level for u8 {
    fn from_low_bits(bits: u32) -> Self {
        bits as u8
    }
    fn to_f32(self) -> f32 {
        f32::from(self)
    }
}

impl Level for u16 {
    fn from_low_bits(bits: u32) -> Self {
        bits as u16
    }
    fn to_f32(self) -> f32 {
        f32::from(self)
    }
}

/// Smallest and largest of the values; `None` when there are none, when one is NaN or infinite, or when they
/// are too large to be quantised.
pub(crate) fn range(values: &[f32]) -> Option<(f32, f32)> {
    // Independent lanes, so that the loop becomes SIMD code.
    const LANES: usize = 16;
    let mut low = [f32::INFINITY; LANES];
    let mut high = [f32::NEG_INFINITY; LANES];
    let mut in_range = [true; LANES];
    let mut see = |lane: usize, v: f32| {
        low[lane] = if v < low[lane] { v } else { low[lane] };
        high[lane] = if v > high[lane] { v } else { high[lane] };
        in_range[lane] &= v.abs() <= MAX_MAGNITUDE;
    };
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, v) in chunk.iter().enumerate() {
            see(lane, *v);
        }
    }
    for (lane, v) in rest.iter().enumerate() {
        see(lane, *v);
    }
    if values.is_empty() || in_range.contains(&false) {
        return None;
    }
    let low = low.into_iter().fold(f32::INFINITY, f32::min);
    let high = high.into_iter().fold(f32::NEG_INFINITY, f32::max);
    Some((low, high))
}

/// How the values of one channel are represented.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    pub(crate) base: f32,
    /// 0: every value of the channel is `base`.
    pub(crate) step: f32,
}

impl Scale {
    /// The scale of `bits` bits with the least largest error over `low..=high` among those that represent
    /// zero exactly, if zero lies in between. (Zero is the most frequent activation after a ReLU.)
    pub(crate) fn fit(low: f32, high: f32, bits: u8) -> Self {
        if low == high {
            return Self {
                base: low,
                step: 0.0,
            };
        }
        let last = f64::from(levels(bits));
        let (low, high) = (f64::from(low), f64::from(high));
        if low > 0.0 || high < 0.0 {
            let step = round_up((high - low) / (last + 1.0));
            let base = (low + f64::from(step) / 2.0) as f32;
            return Self { base, step };
        }
        // Level `zero` stands for 0; the ends may lie half a step beyond the outermost levels. Of the two
        // whole numbers beside the best real one, the better.
        let best = -low * (last + 1.0) / (high - low) - 0.5;
        let step_for = |zero: f64| f64::max(-low / (zero + 0.5), high / (last - zero + 0.5));
        let below = best.floor().clamp(0.0, last);
        let above = best.ceil().clamp(0.0, last);
        let zero = if step_for(below) <= step_for(above) {
            below
        } else {
            above
        };
        let step = round_up(step_for(zero));
        // Rounded exactly as the decoder rounds `level × step`, so that the sum is zero to the last bit.
        let base = 0.0 - zero as f32 * step;
        Self { base, step }
    }

    /// No value within `low..=high` is further than this from what [`dequantise`] gives for it.
    pub(crate) fn max_error(&self, low: f32, high: f32, bits: u8) -> f64 {
        if self.step == 0.0 {
            return 0.0;
        }
        // Half a step, and the rounding of the few f32 operations on the way there and back.
        let rounding = 4.0 * EPSILON * (f64::from(levels(bits)) + 1.0);
        let largest = f64::from(low.abs().max(high.abs()));
        f64::from(self.step) * (0.5 + rounding) + 4.0 * EPSILON * largest
    }

    /// Whether every level gives a finite value: what a damaged or hostile stream may lack.
    pub(crate) fn is_sound(&self, bits: u8) -> bool {
        let last = self.base + levels(bits) as f32 * self.step;
        self.base.is_finite() && self.step.is_finite() && self.step >= 0.0 && last.is_finite()
    }
}

/// The last level.
fn levels(bits: u8) -> u32 {
    (1 << bits) - 1
}

/// The next step that has only [`STEP_DIGITS`] binary digits: it is at most 0.4 % coarser, and the half of its
/// bytes that is then zero compresses to nothing. With few values a channel that counts.
fn round_up(step: f64) -> f32 {
    const REST: u32 = (1 << (f32::MANTISSA_DIGITS - STEP_DIGITS)) - 1;
    let nearest = step.max(MIN_STEP) as f32;
    let at_least = match f64::from(nearest) < step {
        true => nearest.next_up(),
        false => nearest,
    };
    f32::from_bits((at_least.to_bits() + REST) & !REST)
}

/// Appends the levels of `values`, rounded to nearest.
pub(crate) fn quantise<L: Level>(values: &[f32], scale: Scale, bits: u8, out: &mut Vec<L>) {
    // Adding 2^23 rounds to a whole number and leaves it in the low bits of the mantissa: unlike a cast, this
    // becomes plain SIMD code everywhere.
    const WHOLE: f32 = 8_388_608.0;
    let inverse = 1.0 / scale.step;
    let last = levels(bits) as f32;
    out.extend(values.iter().map(|v| {
        let level = ((v - scale.base) * inverse).max(0.0).min(last);
        L::from_low_bits((level + WHOLE).to_bits())
    }));
}

/// Fills `out` with the values of `levels`.
pub(crate) fn dequantise<L: Level>(levels: &[L], scale: Scale, out: &mut [f32]) {
    for (value, level) in out.iter_mut().zip(levels) {
        *value = scale.base + level.to_f32() * scale.step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn there_and_back(values: &[f32], bits: u8) -> (Vec<f32>, f64) {
        let (low, high) = range(values).unwrap();
        let scale = Scale::fit(low, high, bits);
        assert!(scale.is_sound(bits));
        let bound = scale.max_error(low, high, bits);
        let mut out = vec![0.0; values.len()];
        if scale.step == 0.0 {
            out.fill(scale.base);
        } else if bits <= 8 {
            let mut levels: Vec<u8> = vec![];
            quantise(values, scale, bits, &mut levels);
            dequantise(&levels, scale, &mut out);
        } else {
            let mut levels: Vec<u16> = vec![];
            quantise(values, scale, bits, &mut levels);
            dequantise(&levels, scale, &mut out);
        }
        (out, bound)
    }

    fn depth() -> impl Strategy<Value = u8> {
        prop_oneof![2u8..=8, Just(16)]
    }

    proptest! {
        #[test]
        fn no_value_is_further_off_than_stated(
            bits in depth(),
            values in proptest::collection::vec(-1f32..1.0, 1..60),
            exponent in -40i32..30,
            offset in prop_oneof![Just(0f32), -1e3f32..1e3],
        ) {
            let scale = 10f32.powi(exponent);
            let values: Vec<f32> = values.iter().map(|v| (v + offset) * scale).collect();
            prop_assume!(range(&values).is_some());
            let (out, bound) = there_and_back(&values, bits);
            for (v, o) in values.iter().zip(&out) {
                let error = (f64::from(*v) - f64::from(*o)).abs();
                prop_assert!(error <= bound, "{} became {}, bound {}", v, o, bound);
            }
        }

        #[test]
        fn zero_stays_zero(bits in depth(), low in -1e6f32..=0.0, high in 0f32..=1e6) {
            let (out, _) = there_and_back(&[low, 0.0, high], bits);
            prop_assert_eq!(out[1], 0.0);
        }
    }

    #[test]
    fn the_bound_is_about_half_a_step_of_the_range() {
        let values: Vec<f32> = (0..=1000).map(|i| i as f32 / 1000.0).collect();
        assert!(there_and_back(&values, 8).1 < 0.5 / 254.0);
        assert!(there_and_back(&values, 2).1 < 0.5 / 3.0);
    }

    #[test]
    fn what_is_not_finite_has_no_range() {
        assert_eq!(range(&[]), None);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e38] {
            let mut values = vec![1.0; 40];
            values[33] = bad;
            assert_eq!(range(&values), None, "{bad}");
        }
        assert_eq!(range(&[3.0, -1.0]), Some((-1.0, 3.0)));
    }
}
