// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Picture to input tensor: colour order, ranges, layout, element type.

use half::f16;
use half::slice::HalfFloatSliceExt;
use splitinfer_tensor::{DType, Tensor};

use crate::modelinfo::{Colour, InputInfo, Layout};
use crate::{Picture, VisionError};

/// How bytes become numbers, for one model: `value = byte * scale + offset`.
#[derive(Clone, Debug)]
pub(crate) struct Normaliser {
    shape: Vec<usize>,
    dtype: DType,
    layout: Layout,
    colour: Colour,
    /// Of each channel of the tensor; of its only one three times.
    affine: [Affine; 3],
    /// Numbers on their way to half precision, kept from frame to frame.
    floats: Vec<f32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Affine {
    scale: f32,
    offset: f32,
}

impl Affine {
    #[inline(always)]
    fn float(self, byte: u8) -> f32 {
        f32::from(byte) * self.scale + self.offset
    }

    /// Rounded, and clamped to 0–255.
    #[inline(always)]
    fn byte(self, byte: u8) -> u8 {
        (self.float(byte) + 0.5) as u8
    }
}

impl Normaliser {
    pub fn new(input: &InputInfo) -> Self {
        let affine = |i: usize| {
            let [min, max] = input.ranges[i.min(input.ranges.len() - 1)];
            Affine {
                scale: (max - min) / 255.0,
                offset: min,
            }
        };
        Self {
            shape: input.shape(),
            dtype: input.dtype,
            layout: input.layout,
            colour: input.colour,
            affine: [0, 1, 2].map(affine),
            floats: Vec::new(),
        }
    }

    /// The tensor of a picture of the model's size.
    pub fn tensor(&mut self, picture: &Picture) -> Result<Tensor, VisionError> {
        let shape = self.shape.clone();
        let n = shape.iter().product();
        let tensor = match self.dtype {
            DType::U8 => {
                let mut bytes = vec![0u8; n];
                // What most models that take bytes want is the bytes as they are.
                if self
                    .affine
                    .iter()
                    .all(|a| a.scale == 1.0 && a.offset == 0.0)
                {
                    self.fill(&picture.rgb, &mut bytes, |_, byte| byte);
                } else {
                    self.fill(&picture.rgb, &mut bytes, Affine::byte);
                }
                Tensor::new(shape, bytes)
            }
            DType::F16 => {
                let mut floats = std::mem::take(&mut self.floats);
                floats.resize(n, 0.0);
                self.fill(&picture.rgb, &mut floats, Affine::float);
                let mut halves = vec![f16::ZERO; n];
                halves.convert_from_f32_slice(&floats);
                self.floats = floats;
                Tensor::new(shape, halves)
            }
            _ => {
                let mut floats = vec![0f32; n];
                self.fill(&picture.rgb, &mut floats, Affine::float);
                Tensor::new(shape, floats)
            }
        };
        tensor.map_err(|e| VisionError::Picture {
            expected: format!("shape {:?}", self.shape),
            got: e.to_string(),
        })
    }

    /// Plain loops over slices of equal length, which the compiler turns into SIMD code.
    fn fill<T>(&self, rgb: &[u8], out: &mut [T], convert: impl Fn(Affine, u8) -> T + Copy) {
        match (self.colour, self.layout) {
            (Colour::Gray, _) => gray(rgb, out, |y| convert(self.affine[0], y)),
            (Colour::Rgb, Layout::Nchw) => planes::<T, 0, 2>(rgb, out, self.affine, convert),
            (Colour::Bgr, Layout::Nchw) => planes::<T, 2, 0>(rgb, out, self.affine, convert),
            (Colour::Rgb, Layout::Nhwc) => pixels::<T, 0, 2>(rgb, out, self.affine, convert),
            (Colour::Bgr, Layout::Nhwc) => pixels::<T, 2, 0>(rgb, out, self.affine, convert),
        }
    }
}

/// Channels one after another; the first is byte `FIRST` of each pixel, the third byte `LAST`.
#[inline(always)]
fn planes<T, const FIRST: usize, const LAST: usize>(
    rgb: &[u8],
    out: &mut [T],
    affine: [Affine; 3],
    convert: impl Fn(Affine, u8) -> T,
) {
    let (a, rest) = out.split_at_mut(out.len() / 3);
    let (b, c) = rest.split_at_mut(rest.len() / 2);
    for (((px, a), b), c) in rgb.as_chunks::<3>().0.iter().zip(a).zip(b).zip(c) {
        *a = convert(affine[0], px[FIRST]);
        *b = convert(affine[1], px[1]);
        *c = convert(affine[2], px[LAST]);
    }
}

/// Channels of a pixel side by side.
#[inline(always)]
fn pixels<T, const FIRST: usize, const LAST: usize>(
    rgb: &[u8],
    out: &mut [T],
    affine: [Affine; 3],
    convert: impl Fn(Affine, u8) -> T,
) {
    if FIRST == 0 && affine.iter().all(|a| *a == affine[0]) {
        for (px, out) in rgb.iter().zip(out) {
            *out = convert(affine[0], *px);
        }
        return;
    }
    let pixels = rgb.as_chunks::<3>().0.iter();
    for (px, out) in pixels.zip(out.as_chunks_mut::<3>().0) {
        *out = [
            convert(affine[0], px[FIRST]),
            convert(affine[1], px[1]),
            convert(affine[2], px[LAST]),
        ];
    }
}

/// Luma by the weights of BT.601, which add up to 256 so that grey stays exactly what it was.
#[inline(always)]
fn gray<T>(rgb: &[u8], out: &mut [T], convert: impl Fn(u8) -> T) {
    for (px, out) in rgb.as_chunks::<3>().0.iter().zip(out) {
        let [r, g, b] = px.map(u32::from);
        *out = convert(((77 * r + 150 * g + 29 * b + 128) >> 8) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modelinfo::{Filter, Resize};

    fn input(dtype: DType, layout: Layout, colour: Colour, ranges: &[[f32; 2]]) -> InputInfo {
        InputInfo {
            name: "x".into(),
            dtype,
            layout,
            width: 2,
            height: 1,
            batch: true,
            colour,
            ranges: ranges.to_vec(),
            resize: Resize::Stretch,
            pad: 0,
            filter: Filter::Bilinear,
        }
    }

    fn tensor(input: &InputInfo) -> Tensor {
        let picture = Picture::new(2, 1, vec![0, 51, 255, 102, 153, 204]).unwrap();
        Normaliser::new(input).tensor(&picture).unwrap()
    }

    const RANGES: [[f32; 2]; 3] = [[0.0, 1.0], [0.0, 255.0], [-1.0, 1.0]];

    #[test]
    fn each_channel_of_the_tensor_has_its_own_range() {
        let close = |t: Tensor, shape: &[usize], expected: [f32; 6]| {
            assert_eq!(t.shape(), shape);
            for (a, b) in t.to_f32_vec().iter().zip(expected) {
                assert!((a - b).abs() < 2e-3, "{t:?}");
            }
        };
        for dtype in [DType::F32, DType::F16] {
            let of = |l, c| tensor(&input(dtype, l, c, &RANGES));
            close(
                of(Layout::Nchw, Colour::Rgb),
                &[1, 3, 1, 2],
                [0.0, 0.4, 51.0, 153.0, 1.0, 0.6],
            );
            close(
                of(Layout::Nchw, Colour::Bgr),
                &[1, 3, 1, 2],
                [1.0, 0.8, 51.0, 153.0, -1.0, -0.2],
            );
            close(
                of(Layout::Nhwc, Colour::Rgb),
                &[1, 1, 2, 3],
                [0.0, 51.0, 1.0, 0.4, 153.0, 0.6],
            );
            close(
                of(Layout::Nhwc, Colour::Bgr),
                &[1, 1, 2, 3],
                [1.0, 51.0, -1.0, 0.8, 153.0, -0.2],
            );
        }
    }

    #[test]
    fn bytes_stay_bytes() {
        let t = tensor(&input(
            DType::U8,
            Layout::Nhwc,
            Colour::Rgb,
            &[[0.0, 255.0]; 3],
        ));
        assert_eq!(t.as_slice::<u8>().unwrap(), [0, 51, 255, 102, 153, 204]);
        let t = tensor(&input(
            DType::U8,
            Layout::Nhwc,
            Colour::Bgr,
            &[[255.0, 0.0]; 3],
        ));
        assert_eq!(t.as_slice::<u8>().unwrap(), [0, 204, 255, 51, 102, 153]);
    }

    #[test]
    fn one_channel_is_luma_and_keeps_grey() {
        let input = input(DType::U8, Layout::Nchw, Colour::Gray, &[[0.0, 255.0]]);
        let grey: Vec<u8> = [7u8, 255].iter().flat_map(|g| [*g; 3]).collect();
        let picture = Picture::new(2, 1, grey).unwrap();
        let t = Normaliser::new(&input).tensor(&picture).unwrap();
        assert_eq!(t.shape(), [1, 1, 1, 2]);
        assert_eq!(t.as_slice::<u8>().unwrap(), [7, 255]);
        assert_eq!(tensor(&input).as_slice::<u8>().unwrap(), [59, 143]);
    }
}
