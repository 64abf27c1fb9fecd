// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A block by frequency: the cosine transform of 4 × 4, with the whole numbers of ITU-T H.265 (8.6.4.2), so that every
//! reader gets the same levels. Where neighbours differ from the reference alike (something moved by a part of a pixel,
//! the light has changed), a few numbers say what otherwise takes sixteen.

use super::plane::BLOCK;
use super::predict::{Values, each};

/// A row's length is 128.
const EVEN: i32 = 64;
const ODD: [i32; 2] = [83, 36];
/// Of the numbers that a reader accepts; so all sums stay below 2^31.
const MOST: i32 = 1 << 17;
/// What is rounded away after the columns, and after the rows: 128² together.
const SHIFTS: [u32; 2] = [4, 10];

/// Four numbers that go through the transform side by side.
type Lanes<T> = [T; BLOCK];

/// Coefficients of a block; lengths are kept.
pub(super) fn forward(block: &Values<f32>) -> Values<f32> {
    from_rows(transpose(pass(transpose(pass(rows(block))))))
}

fn pass([a, b, c, d]: Lanes<Lanes<f32>>) -> Lanes<Lanes<f32>> {
    const SCALE: f32 = 1.0 / 128.0;
    const E: f32 = EVEN as f32 * SCALE;
    const O: [f32; 2] = [ODD[0] as f32 * SCALE, ODD[1] as f32 * SCALE];
    let (sum, off) = (add(a, d), sub(a, d));
    let (sum2, off2) = (add(b, c), sub(b, c));
    [
        std::array::from_fn(|i| E * (sum[i] + sum2[i])),
        std::array::from_fn(|i| O[0] * off[i] + O[1] * off2[i]),
        std::array::from_fn(|i| E * (sum[i] - sum2[i])),
        std::array::from_fn(|i| O[1] * off[i] - O[0] * off2[i]),
    ]
}

/// The block of coefficients.
pub(super) fn inverse(coefficients: &Values<i32>) -> Values<i32> {
    let bounded = each(coefficients, |c| c.clamp(-MOST, MOST));
    let columns = back(rows(&bounded), SHIFTS[0]);
    from_rows(transpose(back(transpose(columns), SHIFTS[1])))
}

fn back([a, b, c, d]: Lanes<Lanes<i32>>, shift: u32) -> Lanes<Lanes<i32>> {
    let half = 1 << (shift - 1);
    let even: [Lanes<i32>; 2] = [
        std::array::from_fn(|i| EVEN * (a[i] + c[i]) + half),
        std::array::from_fn(|i| EVEN * (a[i] - c[i]) + half),
    ];
    let odd: [Lanes<i32>; 2] = [
        std::array::from_fn(|i| ODD[0] * b[i] + ODD[1] * d[i]),
        std::array::from_fn(|i| ODD[1] * b[i] - ODD[0] * d[i]),
    ];
    [
        add(even[0], odd[0]),
        add(even[1], odd[1]),
        sub(even[1], odd[1]),
        sub(even[0], odd[0]),
    ]
    .map(|row| row.map(|v| v >> shift))
}

fn add<T: Copy + std::ops::Add<Output = T>>(a: Lanes<T>, b: Lanes<T>) -> Lanes<T> {
    std::array::from_fn(|i| a[i] + b[i])
}

fn sub<T: Copy + std::ops::Sub<Output = T>>(a: Lanes<T>, b: Lanes<T>) -> Lanes<T> {
    std::array::from_fn(|i| a[i] - b[i])
}

fn rows<T: Copy>(block: &Values<T>) -> Lanes<Lanes<T>> {
    std::array::from_fn(|j| std::array::from_fn(|i| block[j * BLOCK + i]))
}

fn from_rows<T: Copy>(rows: Lanes<Lanes<T>>) -> Values<T> {
    std::array::from_fn(|k| rows[k / BLOCK][k % BLOCK])
}

fn transpose<T: Copy>(rows: Lanes<Lanes<T>>) -> Lanes<Lanes<T>> {
    std::array::from_fn(|j| std::array::from_fn(|i| rows[i][j]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_block_comes_back(block in proptest::array::uniform16(-30_000i32..30_000)) {
            let coefficients = forward(&block.map(|v| v as f32)).map(|c| c.round() as i32);
            for (a, b) in inverse(&coefficients).into_iter().zip(block) {
                // Half a unit for each of the roundings, and a row's length that is not quite 128.
                prop_assert!((a - b).abs() <= 4 + b.abs() / 100 + 120, "{a} {b}");
            }
        }

        #[test]
        fn no_coefficients_are_too_large(coefficients in proptest::array::uniform16(any::<i32>())) {
            inverse(&coefficients);
        }
    }

    #[test]
    fn lengths_are_kept_and_what_is_even_is_one_coefficient() {
        let flat = forward(&[3.0; 16]);
        assert!((flat[0] - 12.0).abs() < 1e-4 && flat[1..].iter().all(|c| c.abs() < 1e-4));
        let mut block = [0.0; 16];
        block[6] = 100.0;
        let length = forward(&block).iter().map(|c| c * c).sum::<f32>().sqrt();
        assert!((length - 100.0).abs() < 0.2, "{length}");
        assert_eq!(
            inverse(&[48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            [12; 16]
        );
    }
}
