// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How much a model's outputs have changed, in terms that fit any model.
//!
//! A detector's outputs are coordinates of hundreds beside probabilities below one, and what decides is often the small: so
//! each feature counts by its own spread over the positions at which the model gives it. (Relative to the size of all
//! outputs together, one per cent is much for one model and nothing for another: docs/measurements/tensor-code.md.)

use splitinfer_tensor::Tensor;

/// So many positions tell a feature's spread; of fewer, the output is one feature.
const ENOUGH: usize = 64;
/// A feature's spread is taken for no less than this share of its whole output's: what is almost constant would count beyond
/// measure.
const LEAST: f64 = 0.03;

/// Change of a model's outputs: the root mean square over all values, each in units of its feature's spread (standard deviation over
/// the positions in `exact`). Of an output without positions, as of a classifier, or with few, all values are one feature, in units of its
/// root mean square.
///
/// Features are the second dimension of four and more (N, C, H, W), and of three the smaller of the last two.
///
/// `None` when there is nothing to compare: other shapes (as behind a suppression inside the model), outputs that are
/// constant, or values that are no numbers.
pub fn relative_change(exact: &[Tensor], changed: &[Tensor]) -> Option<f32> {
    let (mut sum, mut count) = (0f64, 0);
    for (exact, changed) in exact.iter().zip(changed) {
        if exact.shape() != changed.shape() {
            return None;
        }
        sum += square_change(exact, changed);
        count += exact.len();
    }
    let change = (sum / count as f64).sqrt() as f32;
    change.is_finite().then_some(change)
}

/// Sum of the squares over one output.
fn square_change(exact: &Tensor, changed: &Tensor) -> f64 {
    let layout = Layout::of(exact.shape());
    let (exact, changed) = (exact.to_f32_vec(), changed.to_f32_vec());
    let mut moments = vec![Moments::default(); layout.features];
    for (at, (a, b)) in exact.iter().zip(&changed).enumerate() {
        moments[layout.feature(at)].add(f64::from(*a), f64::from(*b));
    }
    let all = moments.iter().fold(Moments::default(), |all, m| all.and(m));
    let unit = |m: &Moments| match layout.features {
        1 => m.mean_square(),
        _ => m.variance().max(LEAST * LEAST * all.variance()),
    };
    // What does not change costs nothing, constant or not.
    let changed = moments
        .iter()
        .filter(|m| m.change > 0.0 || m.change.is_nan());
    changed.map(|m| m.change / unit(m)).sum()
}

/// Where the values of a feature lie.
struct Layout {
    features: usize,
    /// Values from one feature to the next.
    stride: usize,
}

impl Layout {
    fn of(shape: &[usize]) -> Self {
        let axis = match shape {
            [] | [_] | [_, _] => None,
            [_, a, b] if a > b => Some(2),
            _ => Some(1),
        };
        let values: usize = shape.iter().product();
        let features = axis.map_or(1, |axis| shape[axis]);
        match axis {
            Some(axis) if features > 0 && values / features >= ENOUGH => Self {
                features,
                stride: shape[axis + 1..].iter().product(),
            },
            _ => Self {
                features: 1,
                stride: 1,
            },
        }
    }

    fn feature(&self, at: usize) -> usize {
        at / self.stride % self.features
    }
}

/// Sums over the values of a feature.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
    /// Of the differences, squared.
    change: f64,
}

impl Moments {
    fn add(&mut self, exact: f64, changed: f64) {
        self.count += 1.0;
        self.sum += exact;
        self.squares += exact * exact;
        self.change += (exact - changed).powi(2);
    }

    fn and(self, other: &Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
            change: self.change + other.change,
        }
    }

    fn mean_square(&self) -> f64 {
        self.squares / self.count
    }

    fn variance(&self) -> f64 {
        (self.mean_square() - (self.sum / self.count).powi(2)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(shape: &[usize], value: impl Fn(usize) -> f32) -> Tensor {
        let values = (0..shape.iter().product()).map(value).collect();
        Tensor::new(shape.to_vec(), values).unwrap()
    }

    fn change(shape: &[usize], exact: impl Fn(usize) -> f32, by: impl Fn(usize) -> f32) -> f32 {
        let changed = |i| exact(i) + by(i);
        relative_change(&[output(shape, &exact)], &[output(shape, changed)]).unwrap()
    }

    #[test]
    fn features_count_by_their_own_spread_wherever_they_lie() {
        // Feature 0 is ±100, feature 1 is ±10; a tenth of each spread is off.
        let sizes = [100.0, 10.0];
        for (shape, stride) in [
            (vec![1, 2, 10, 10], 100),
            (vec![1, 2, 100], 100),
            (vec![1, 100, 2], 1),
        ] {
            let feature = |i: usize| i / stride % 2;
            let sign = |i: usize| if stride == 1 { i / 2 % 2 } else { i % 2 };
            let exact = |i: usize| sizes[feature(i)] * (1.0 - 2.0 * sign(i) as f32);
            let off = change(&shape, exact, |i| sizes[feature(i)] / 10.0);
            assert!((off - 0.1).abs() < 1e-5, "{shape:?}: {off}");
        }
    }

    #[test]
    fn what_is_almost_constant_does_not_count_beyond_measure() {
        let exact = |i: usize| if i < 100 { (i % 2) as f32 * 2.0 } else { 7.0 };
        let off = change(&[1, 2, 100], exact, |i| (i / 100) as f32 * 0.01);
        // 0.03 of the spread of all, which is 3.08.
        assert!((off - 0.01 / 0.0923 / 2f32.sqrt()).abs() < 1e-3, "{off}");
    }

    #[test]
    fn an_output_without_positions_is_measured_by_its_size() {
        let exact = [3.0, 4.0];
        let off = |shape: &[usize]| change(shape, |i| exact[i % 2], |i| (i % 2) as f32 * 0.5);
        for shape in [&[2][..], &[1, 2], &[1, 1, 2], &[1, 2, 1, 1]] {
            assert!((off(shape) - 0.1).abs() < 1e-6, "{shape:?}");
        }
    }

    #[test]
    fn what_cannot_be_compared_has_no_change() {
        let of = |n: usize, value: f32| [output(&[n], |_| value)];
        let [one, two, nothing] = [of(1, 1.0), of(2, 1.0), of(1, 0.0)];
        assert_eq!(relative_change(&one, &two), None);
        assert_eq!(relative_change(&nothing, &one), None);
        assert_eq!(relative_change(&one, &of(1, f32::NAN)), None);
        assert_eq!(relative_change(&[], &[]), None);
        assert_eq!(relative_change(&one, &one), Some(0.0));
        assert_eq!(relative_change(&nothing, &nothing), Some(0.0));
    }
}
