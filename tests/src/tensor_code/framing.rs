// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the baselines share: several tensors in one message, and the shapes, which both sides know beforehand.

use anyhow::{Context, Result, ensure};
use splitinfer_tensor::{DType, Data, Tensor};

/// Shape and type of the tensors of a cut. The baselines are spared sending them.
#[derive(Clone, Default)]
pub struct Specs(Vec<(DType, Vec<usize>)>);

impl Specs {
    pub fn of(tensors: &[Tensor]) -> Self {
        let spec = |t: &Tensor| (t.dtype(), t.shape().to_vec());
        Self(tensors.iter().map(spec).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = (DType, &[usize])> {
        self.0.iter().map(|(d, s)| (*d, s.as_slice()))
    }
}

/// Channels, and rows and columns of each: `[1, C, H, W]` and `[1, C, L]`, where L is seen as a square if it is one;
/// anything else is one channel of one row.
pub fn channels(shape: &[usize]) -> [usize; 3] {
    match *shape {
        [1, c, h, w] => [c, h, w],
        [1, c, l] if l.isqrt() * l.isqrt() == l => [c, l.isqrt(), l.isqrt()],
        [1, c, l] => [c, 1, l],
        _ => [1, 1, shape.iter().product()],
    }
}

/// # Errors
/// When the values are not as many as the shape says.
pub fn tensor(dtype: DType, shape: &[usize], values: Vec<f32>) -> Result<Tensor> {
    let data = match dtype {
        DType::F32 => Data::F32(values),
        DType::F16 => Data::F16(values.into_iter().map(half::f16::from_f32).collect()),
        other => anyhow::bail!("a baseline has no way for tensors of {}", other.name()),
    };
    Ok(Tensor::from_data(shape.to_vec(), data)?)
}

/// Appends a part with its length before it.
pub fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.extend((part.len() as u32).to_le_bytes());
    out.extend_from_slice(part);
}

/// Takes `n` bytes off the front.
///
/// # Errors
/// When there are fewer.
pub fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8]> {
    let (part, rest) = bytes.split_at_checked(n).context("the message is short")?;
    *bytes = rest;
    Ok(part)
}

/// Takes a part that [`put`] wrote.
///
/// # Errors
/// When the message ends before.
pub fn take_part<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
    let length: [u8; 4] = take(bytes, 4)?.try_into()?;
    take(bytes, u32::from_le_bytes(length) as usize)
}

/// # Errors
/// When the message ends before.
pub fn take_f32(bytes: &mut &[u8]) -> Result<f32> {
    let number = f32::from_le_bytes(take(bytes, 4)?.try_into()?);
    ensure!(number.is_finite(), "a number in the message is not finite");
    Ok(number)
}

/// Smallest and largest of the values; 0 and 0 where there are none.
pub fn range(values: &[f32]) -> [f32; 2] {
    // Independent lanes, so that the loop becomes SIMD code.
    const LANES: usize = 16;
    let Some(first) = values.first() else {
        return [0.0; 2];
    };
    let (mut low, mut high) = ([*first; LANES], [*first; LANES]);
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (i, v) in chunk.iter().enumerate() {
            low[i] = if *v < low[i] { *v } else { low[i] };
            high[i] = if *v > high[i] { *v } else { high[i] };
        }
    }
    let all = |lanes: [f32; LANES]| lanes.into_iter().chain(rest.iter().copied());
    [
        all(low).fold(*first, f32::min),
        all(high).fold(*first, f32::max),
    ]
}

/// A linear scale of `last + 1` levels over a range.
#[derive(Clone, Copy)]
pub struct Scale {
    low: f32,
    step: f32,
    inverse: f32,
    last: f32,
}

impl Scale {
    pub fn new([low, high]: [f32; 2], last: f32) -> Self {
        let step = ((high - low) / last).max(f32::MIN_POSITIVE);
        Self {
            low,
            step,
            inverse: step.recip().min(f32::MAX),
            last,
        }
    }

    pub fn level(self, value: f32) -> u8 {
        // Adding 2^23 rounds to a whole number and leaves it in the low bits: unlike a cast, that becomes SIMD code.
        const WHOLE: f32 = 8_388_608.0;
        let level = ((value - self.low) * self.inverse).max(0.0).min(self.last);
        (level + WHOLE).to_bits() as u8
    }

    pub fn value(self, level: u8) -> f32 {
        self.low + f32::from(level) * self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_range_are_levels() {
        let scale = Scale::new([-1.0, 2.0], 3.0);
        assert_eq!(
            [-1.0, 0.2, 0.6, 2.0, 9.0].map(|v| scale.level(v)),
            [0, 1, 2, 3, 3]
        );
        assert_eq!(scale.value(3), 2.0);
        assert_eq!(Scale::new([0.0, 0.0], 255.0).value(0), 0.0);
        assert_eq!(range(&[3.0, -1.0, 2.0]), [-1.0, 3.0]);
        let many: Vec<f32> = (0..50).map(|v| (v as f32 - 20.0).abs()).collect();
        assert_eq!((range(&many), range(&[])), ([0.0, 29.0], [0.0, 0.0]));
    }

    #[test]
    fn parts_come_back_and_a_short_message_is_an_error() {
        let mut message = Vec::new();
        put(&mut message, b"one");
        put(&mut message, b"");
        let mut rest = message.as_slice();
        assert_eq!(take_part(&mut rest).unwrap(), b"one");
        assert_eq!(take_part(&mut rest).unwrap(), b"");
        assert!(take_part(&mut rest).is_err());
        assert!(take_part(&mut &message[..5]).is_err());
    }

    #[test]
    fn a_sequence_is_seen_as_squares_where_it_can_be() {
        assert_eq!(channels(&[1, 32, 52, 40]), [32, 52, 40]);
        assert_eq!(channels(&[1, 85, 676]), [85, 26, 26]);
        assert_eq!(channels(&[1, 85, 10]), [85, 1, 10]);
        assert_eq!(channels(&[7, 3]), [1, 1, 21]);
    }
}
