// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Numbers that Python draws alike (crates/grad/tests/fixtures/pytorch/drawn.py): each a function of a label and its
//! place, in whole numbers, so that both have the same to the last bit.

use splitinfer_tensor::{DType, Data, Tensor, TensorError};

/// The `place`th of a label's 64-bit numbers: SplitMix64 from the label's FNV-1a hash.
fn bits(label: u64, place: usize) -> u64 {
    let step = (place as u64)
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = label.wrapping_add(step);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn hash(label: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    label.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// Uniform numbers from −1 to 1.
///
/// # Errors
/// When the shape is larger than memory.
pub fn uniform(label: &str, shape: &[usize]) -> Result<Tensor, TensorError> {
    let hash = hash(label);
    let number = |i| (bits(hash, i) >> 40) as f32 / 8_388_608.0 - 1.0;
    Tensor::new(
        shape.to_vec(),
        (0..shape.iter().product()).map(number).collect(),
    )
}

/// As many times 1 or −1.
pub fn signs(label: &str, count: usize) -> impl Iterator<Item = f64> + use<> {
    let hash = hash(label);
    (0..count).map(move |i| if bits(hash, i) >> 63 == 1 { -1.0 } else { 1.0 })
}

/// A picture with edges, slopes and noise, as a model's input of one picture: bytes as they are, floats over `range`.
///
/// # Errors
/// When the shape is larger than memory.
pub fn test_card(dtype: DType, shape: &[usize], range: [f32; 2]) -> Result<Tensor, TensorError> {
    let planar = shape[1] == 3;
    let [height, width] = if planar {
        [shape[2], shape[3]]
    } else {
        [shape[1], shape[2]]
    };
    let hash = hash("test card");
    let value = |x: usize, y: usize, channel: usize| {
        let edges = ((x >> 4) ^ (y >> 4)).wrapping_mul(37 + 11 * channel) & 127;
        let slopes = x * 64 / width + y * 32 / height;
        let noise = bits(hash, (y * width + x) * 3 + channel) >> 59;
        (edges + slopes + noise as usize).min(255) as u8
    };
    let at = |i: usize| match planar {
        true => value(i % width, i / width % height, i / (width * height)),
        false => value(i / 3 % width, i / 3 / width, i % 3),
    };
    let picture: Vec<u8> = (0..3 * width * height).map(at).collect();
    as_input(dtype, shape, picture, range)
}

/// Bytes as a model's input: as they are, or from 0–255 to `range`.
///
/// # Errors
/// When there are not as many as the shape has.
pub fn as_input(
    dtype: DType,
    shape: &[usize],
    bytes: Vec<u8>,
    range: [f32; 2],
) -> Result<Tensor, TensorError> {
    let scale = (range[1] - range[0]) / 255.0;
    let data = match dtype {
        DType::U8 => Data::U8(bytes),
        _ => Data::F32(
            bytes
                .into_iter()
                .map(|b| f32::from(b) * scale + range[0])
                .collect(),
        ),
    };
    Tensor::from_data(shape.to_vec(), data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_python_draws() -> Result<(), TensorError> {
        // Printed by drawn.py.
        assert_eq!(
            uniform("a", &[3])?.to_f32_vec(),
            [-0.256_538_15, 0.996_244_55, 0.984_213]
        );
        assert_eq!(
            signs("a", 8).collect::<Vec<_>>(),
            [1.0, -1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0]
        );
        let card = test_card(DType::U8, &[1, 3, 40, 40], [0.0, 1.0])?;
        let sum: u64 = card
            .as_slice::<u8>()
            .into_iter()
            .flatten()
            .map(|b| u64::from(*b))
            .sum();
        assert_eq!(sum, 486_571);
        Ok(())
    }
}
