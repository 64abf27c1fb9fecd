// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Fitting a frame into the picture a model takes.

use fast_image_resize as fir;
use fir::images::{TypedCroppedImageMut, TypedImage, TypedImageRef};
use fir::pixels::U8x3;

use crate::modelinfo::{Filter, InputInfo, Resize};
use crate::{Picture, Placement, VisionError};

/// Where on the picture the frame goes, in whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Area {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

fn area(input: &InputInfo, width: u32, height: u32) -> Area {
    let whole = Area {
        left: 0,
        top: 0,
        width: input.width,
        height: input.height,
    };
    if input.resize == Resize::Stretch {
        return whole;
    }
    let ratio = (f64::from(input.width) / f64::from(width))
        .min(f64::from(input.height) / f64::from(height));
    let side =
        |frame: u32, picture: u32| ((f64::from(frame) * ratio).round() as u32).clamp(1, picture);
    let (w, h) = (side(width, input.width), side(height, input.height));
    let centred = u32::from(input.resize == Resize::LetterboxCenter);
    Area {
        left: (input.width - w) / 2 * centred,
        top: (input.height - h) / 2 * centred,
        width: w,
        height: h,
    }
}

/// Where a frame of this size comes to lie on the picture.
pub(crate) fn placement(input: &InputInfo, width: u32, height: u32) -> Placement {
    let area = area(input, width, height);
    // The scale of what is really drawn, which rounding to whole pixels makes differ a little between the axes.
    Placement {
        scale_x: area.width as f32 / width as f32,
        scale_y: area.height as f32 / height as f32,
        offset_x: area.left as f32,
        offset_y: area.top as f32,
        frame_width: width as f32,
        frame_height: height as f32,
    }
}

fn algorithm(filter: Filter, shrinks: bool) -> fir::ResizeAlg {
    match filter {
        Filter::Nearest => fir::ResizeAlg::Nearest,
        Filter::Area if shrinks => fir::ResizeAlg::Convolution(fir::FilterType::Box),
        Filter::Bilinear | Filter::Area => fir::ResizeAlg::Interpolation(fir::FilterType::Bilinear),
        Filter::Antialias => fir::ResizeAlg::Convolution(fir::FilterType::Bilinear),
    }
}

/// Resizes with buffers that are kept from frame to frame.
pub(crate) struct Resizer(fir::Resizer);

impl Resizer {
    pub fn new() -> Self {
        Self(fir::Resizer::new())
    }

    /// Fits tight RGB of this size into the picture that `input` asks for.
    pub fn fit(
        &mut self,
        input: &InputInfo,
        rgb: &[u8],
        width: u32,
        height: u32,
    ) -> Result<Picture, VisionError> {
        let area = area(input, width, height);
        let (w, h) = (input.width, input.height);
        let padded = (area.width, area.height) != (w, h);
        let mut out = vec![if padded { input.pad } else { 0 }; w as usize * h as usize * 3];
        if !padded && (width, height) == (w, h) {
            out.copy_from_slice(rgb);
        } else {
            let shrinks = area.width < width || area.height < height;
            let options = fir::ResizeOptions::new().resize_alg(algorithm(input.filter, shrinks));
            self.draw(rgb, [width, height], &mut out, [w, h], area, &options)
                .map_err(|problem| VisionError::Kernel {
                    what: "resizing",
                    problem,
                })?;
        }
        Picture::new(w, h, out)
    }

    fn draw(
        &mut self,
        rgb: &[u8],
        [width, height]: [u32; 2],
        out: &mut [u8],
        [w, h]: [u32; 2],
        area: Area,
        options: &fir::ResizeOptions,
    ) -> Result<(), String> {
        // The typed views: with the untyped ones every pixel type of the library would be compiled in here.
        let source =
            TypedImageRef::<U8x3>::from_buffer(width, height, rgb).map_err(|e| e.to_string())?;
        let target = TypedImage::<U8x3>::from_buffer(w, h, out).map_err(|e| e.to_string())?;
        let mut target =
            TypedCroppedImageMut::new(target, area.left, area.top, area.width, area.height)
                .map_err(|e| e.to_string())?;
        self.0
            .resize_typed(&source, &mut target, options)
            .map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modelinfo::{Colour, Layout};
    use proptest::prelude::*;
    use splitinfer_tensor::DType;

    fn input(width: u32, height: u32, resize: Resize, filter: Filter) -> InputInfo {
        InputInfo {
            name: "x".into(),
            dtype: DType::F32,
            layout: Layout::Nchw,
            width,
            height,
            batch: true,
            colour: Colour::Rgb,
            ranges: vec![[0.0, 1.0]; 3],
            resize,
            pad: 114,
            filter,
        }
    }

    const RESIZES: [Resize; 3] = [Resize::Letterbox, Resize::LetterboxCenter, Resize::Stretch];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Corners of the frame land on the picture and come back; a letterbox touches two opposite edges.
        #[test]
        fn the_frame_lies_on_the_picture(
            (w, h) in (1u32..5000, 1u32..5000),
            (pw, ph) in (8u32..700, 8u32..700),
            resize in prop::sample::select(&RESIZES[..]),
        ) {
            let p = placement(&input(pw, ph, resize, Filter::Area), w, h);
            prop_assert!(Placement::from_f32x6(p.to_f32x6()).is_some());
            let [x0, y0, x1, y1] = p.content();
            prop_assert!(x0 >= 0.0 && y0 >= 0.0);
            prop_assert!(x1 <= pw as f32 + 0.01 && y1 <= ph as f32 + 0.01);
            let full = |a: f32, b: f32, side: u32| (b - a - side as f32).abs() < 0.01;
            let (full_x, full_y) = (full(x0, x1, pw), full(y0, y1, ph));
            prop_assert!(full_x || full_y);
            prop_assert!(resize != Resize::Stretch || (full_x && full_y));
            let [fx, fy] = p.point_to_frame([x1, y1]);
            prop_assert!((fx / w as f32 - 1.0).abs() < 1e-3 && (fy / h as f32 - 1.0).abs() < 1e-3);
        }

        /// Every byte of a uniform frame stays what it was, every other is padding.
        #[test]
        fn a_letterbox_is_frame_and_padding_and_nothing_else(
            (w, h) in (1u32..90, 1u32..90),
            (pw, ph) in (8u32..60, 8u32..60),
            resize in prop::sample::select(&RESIZES[..]),
            filter in prop::sample::select(&[Filter::Nearest, Filter::Bilinear, Filter::Area, Filter::Antialias][..]),
        ) {
            let input = input(pw, ph, resize, filter);
            let rgb = vec![200u8; (w * h * 3) as usize];
            let picture = Resizer::new().fit(&input, &rgb, w, h).unwrap();
            let drawn = area(&input, w, h);
            for (i, px) in picture.rgb.as_chunks::<3>().0.iter().enumerate() {
                let (x, y) = (i as u32 % pw, i as u32 / pw);
                let inside = (drawn.left..drawn.left + drawn.width).contains(&x)
                    && (drawn.top..drawn.top + drawn.height).contains(&y);
                prop_assert_eq!(*px, if inside { [200; 3] } else { [114; 3] });
            }
        }
    }

    #[test]
    fn area_is_the_mean_and_bilinear_takes_the_nearest_four() {
        let row: Vec<u8> = [0u8, 0, 0, 90, 255, 255, 255, 255]
            .iter()
            .flat_map(|v| [*v; 3])
            .collect();
        let rgb = row.repeat(4);
        let fit = |filter| {
            let input = input(2, 1, Resize::Stretch, filter);
            Resizer::new().fit(&input, &rgb, 8, 4).unwrap().rgb
        };
        assert_eq!(fit(Filter::Area)[..3], [23; 3], "(0 + 0 + 0 + 90) / 4");
        assert_eq!(
            fit(Filter::Bilinear)[..3],
            [0; 3],
            "between columns 1 and 2"
        );
        assert_eq!(fit(Filter::Area)[3..], [255; 3]);
    }

    #[test]
    fn a_frame_of_the_right_size_is_not_touched() {
        let rgb: Vec<u8> = (0..48).collect();
        for resize in RESIZES {
            let input = input(4, 4, resize, Filter::Bilinear);
            assert_eq!(Resizer::new().fit(&input, &rgb, 4, 4).unwrap().rgb, rgb);
        }
    }
}
