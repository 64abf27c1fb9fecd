// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Any pixel format to tight RGB, by SIMD kernels where there are any.

use yuv::{
    YuvBiPlanarImage, YuvError, YuvGrayImage, YuvPackedImage, YuvPlanarImage, YuvRange,
    YuvStandardMatrix,
};

use crate::{ColorMatrix, ColorRange, Frame, PixelFormat, VisionError};

/// Writes `frame` as R, G, B, row after row without padding; `rgb` is resized to fit and keeps its memory.
pub(crate) fn to_rgb(frame: &Frame<'_>, rgb: &mut Vec<u8>) -> Result<(), VisionError> {
    rgb.resize(frame.width() as usize * frame.height() as usize * 3, 0);
    let done = match frame.format() {
        PixelFormat::I420 | PixelFormat::Yv12 | PixelFormat::Y42b | PixelFormat::Y444 => {
            planar(frame, rgb)
        }
        PixelFormat::Nv12 | PixelFormat::Nv21 => semi_planar(frame, rgb),
        PixelFormat::Yuy2 | PixelFormat::Uyvy | PixelFormat::Yvyu => packed(frame, rgb),
        PixelFormat::Gray8 => gray(frame, rgb),
        PixelFormat::Rgb => copy_rows(frame, rgb),
        PixelFormat::Bgr => shuffle(yuv::bgr_to_rgb, frame, rgb),
        PixelFormat::Rgba | PixelFormat::Rgbx => shuffle(yuv::rgba_to_rgb, frame, rgb),
        PixelFormat::Bgra | PixelFormat::Bgrx => shuffle(yuv::bgra_to_rgb, frame, rgb),
        PixelFormat::Argb | PixelFormat::Xrgb => pick(frame, rgb, [1, 2, 3]),
        PixelFormat::Abgr | PixelFormat::Xbgr => pick(frame, rgb, [3, 2, 1]),
    };
    done.map_err(|e| VisionError::Kernel {
        what: "colour conversion",
        problem: e.to_string(),
    })
}

fn range(frame: &Frame<'_>) -> YuvRange {
    match frame.range() {
        ColorRange::Limited => YuvRange::Limited,
        ColorRange::Full => YuvRange::Full,
    }
}

fn matrix(frame: &Frame<'_>) -> YuvStandardMatrix {
    match frame.matrix() {
        ColorMatrix::Bt601 => YuvStandardMatrix::Bt601,
        ColorMatrix::Bt709 => YuvStandardMatrix::Bt709,
    }
}

// `Frame::new` has checked that strides fit into u32 and planes hold their rows.

fn planar(frame: &Frame<'_>, rgb: &mut [u8]) -> Result<(), YuvError> {
    let [y, mut u, mut v] = [0, 1, 2].map(|i| frame.planes()[i]);
    if frame.format() == PixelFormat::Yv12 {
        std::mem::swap(&mut u, &mut v);
    }
    let image = YuvPlanarImage {
        y_plane: y.data,
        y_stride: y.stride as u32,
        u_plane: u.data,
        u_stride: u.stride as u32,
        v_plane: v.data,
        v_stride: v.stride as u32,
        width: frame.width(),
        height: frame.height(),
    };
    let kernel = match frame.format() {
        PixelFormat::Y42b => yuv::yuv422_to_rgb,
        PixelFormat::Y444 => yuv::yuv444_to_rgb,
        _ => yuv::yuv420_to_rgb,
    };
    kernel(&image, rgb, frame.width() * 3, range(frame), matrix(frame))
}

fn semi_planar(frame: &Frame<'_>, rgb: &mut [u8]) -> Result<(), YuvError> {
    let [y, uv] = [0, 1].map(|i| frame.planes()[i]);
    let image = YuvBiPlanarImage {
        y_plane: y.data,
        y_stride: y.stride as u32,
        uv_plane: uv.data,
        uv_stride: uv.stride as u32,
        width: frame.width(),
        height: frame.height(),
    };
    let kernel = match frame.format() {
        PixelFormat::Nv21 => yuv::yuv_nv21_to_rgb,
        _ => yuv::yuv_nv12_to_rgb,
    };
    kernel(
        &image,
        rgb,
        frame.width() * 3,
        range(frame),
        matrix(frame),
        yuv::YuvConversionMode::Balanced,
    )
}

fn packed(frame: &Frame<'_>, rgb: &mut [u8]) -> Result<(), YuvError> {
    let plane = frame.planes()[0];
    let image = YuvPackedImage {
        yuy: plane.data,
        yuy_stride: plane.stride as u32,
        width: frame.width(),
        height: frame.height(),
    };
    let kernel = match frame.format() {
        PixelFormat::Uyvy => yuv::uyvy422_to_rgb,
        PixelFormat::Yvyu => yuv::yvyu422_to_rgb,
        _ => yuv::yuyv422_to_rgb,
    };
    kernel(&image, rgb, frame.width() * 3, range(frame), matrix(frame))
}

fn gray(frame: &Frame<'_>, rgb: &mut [u8]) -> Result<(), YuvError> {
    let plane = frame.planes()[0];
    let image = YuvGrayImage {
        y_plane: plane.data,
        y_stride: plane.stride as u32,
        width: frame.width(),
        height: frame.height(),
    };
    yuv::yuv400_to_rgb(&image, rgb, frame.width() * 3, range(frame), matrix(frame))
}

type Shuffle = fn(&[u8], u32, &mut [u8], u32, u32, u32) -> Result<(), YuvError>;

fn shuffle(kernel: Shuffle, frame: &Frame<'_>, rgb: &mut [u8]) -> Result<(), YuvError> {
    let (plane, width) = (frame.planes()[0], frame.width());
    kernel(
        plane.data,
        plane.stride as u32,
        rgb,
        width * 3,
        width,
        frame.height(),
    )
}

fn copy_rows(frame: &Frame<'_>, rgb: &mut [u8]) -> Result<(), YuvError> {
    let (plane, row) = (frame.planes()[0], frame.width() as usize * 3);
    for (out, line) in rgb
        .chunks_exact_mut(row)
        .zip(plane.data.chunks(plane.stride))
    {
        out.copy_from_slice(&line[..row]);
    }
    Ok(())
}

/// Takes R, G and B from these bytes of each group of four; for the formats that have no kernel.
fn pick(frame: &Frame<'_>, rgb: &mut [u8], [r, g, b]: [usize; 3]) -> Result<(), YuvError> {
    let (plane, width) = (frame.planes()[0], frame.width() as usize);
    for (out, line) in rgb
        .chunks_exact_mut(width * 3)
        .zip(plane.data.chunks(plane.stride))
    {
        for (out, px) in out
            .as_chunks_mut::<3>()
            .0
            .iter_mut()
            .zip(line.as_chunks::<4>().0)
        {
            *out = [px[r], px[g], px[b]];
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plane;

    /// ITU-R BT.601 / BT.709, written out from the standards' luma weights. Blacker than black is black, as the kernels
    /// have it.
    fn formula(y: u8, u: u8, v: u8, matrix: ColorMatrix, range: ColorRange) -> [f32; 3] {
        let (kr, kb) = match matrix {
            ColorMatrix::Bt601 => (0.299, 0.114),
            ColorMatrix::Bt709 => (0.2126, 0.0722),
        };
        let y = if range == ColorRange::Limited {
            y.max(16)
        } else {
            y
        };
        let (y, u, v) = (f32::from(y), f32::from(u) - 128.0, f32::from(v) - 128.0);
        let (y, u, v) = match range {
            ColorRange::Limited => (
                (y - 16.0) * 255.0 / 219.0,
                u * 255.0 / 224.0,
                v * 255.0 / 224.0,
            ),
            ColorRange::Full => (y, u, v),
        };
        let r = y + 2.0 * (1.0 - kr) * v;
        let b = y + 2.0 * (1.0 - kb) * u;
        let g = (y - kr * r - kb * b) / (1.0 - kr - kb);
        [r, g, b].map(|x| x.clamp(0.0, 255.0))
    }

    /// Every combination of coarse steps of Y, U and V, one colour a 2x2 block, with padded rows.
    #[test]
    fn yuv_formats_agree_with_the_standards() {
        const STEPS: [u8; 9] = [0, 16, 40, 80, 128, 160, 200, 235, 255];
        let colours: Vec<[u8; 3]> = STEPS
            .iter()
            .flat_map(|y| STEPS.iter().flat_map(|u| STEPS.map(|v| [*y, *u, v])))
            .collect();
        let (w, h) = (colours.len() * 2, 2);
        let (ys, cs) = (w + 6, w / 2 + 3);
        let mut y = vec![7u8; ys * h];
        let mut u = vec![7u8; cs * h];
        let mut v = vec![7u8; cs * h];
        let mut uv = vec![7u8; (w + 8) * h];
        let mut yuyv = vec![7u8; (w * 2 + 12) * h];
        for (i, [cy, cu, cv]) in colours.iter().enumerate() {
            for row in 0..h {
                y[row * ys + 2 * i..][..2].fill(*cy);
                u[row * cs + i] = *cu;
                v[row * cs + i] = *cv;
                uv[row * (w + 8) + 2 * i..][..2].copy_from_slice(&[*cu, *cv]);
                yuyv[row * (w * 2 + 12) + 4 * i..][..4].copy_from_slice(&[*cy, *cu, *cy, *cv]);
            }
        }
        let plane = |data, stride| Plane { data, stride };
        let (py, pu, pv) = (plane(&y, ys), plane(&u, cs), plane(&v, cs));
        for matrix in [ColorMatrix::Bt601, ColorMatrix::Bt709] {
            for range in [ColorRange::Limited, ColorRange::Full] {
                for (format, planes) in [
                    (PixelFormat::I420, vec![py, pu, pv]),
                    (PixelFormat::Yv12, vec![py, pv, pu]),
                    (PixelFormat::Y42b, vec![py, pu, pv]),
                    (PixelFormat::Nv12, vec![py, plane(&uv, w + 8)]),
                    (PixelFormat::Yuy2, vec![plane(&yuyv, w * 2 + 12)]),
                ] {
                    let frame =
                        Frame::new(format, w as u32, h as u32, planes, matrix, range).unwrap();
                    // The kernels for packed formats count with fewer bits.
                    let tolerance = if format == PixelFormat::Yuy2 {
                        4.0
                    } else {
                        2.0
                    };
                    let mut rgb = Vec::new();
                    to_rgb(&frame, &mut rgb).unwrap();
                    for (i, px) in rgb.as_chunks::<3>().0.iter().enumerate() {
                        let [cy, cu, cv] = colours[i % w / 2];
                        let expected = formula(cy, cu, cv, matrix, range);
                        for (got, expected) in px.iter().zip(expected) {
                            assert!(
                                (f32::from(*got) - expected).abs() <= tolerance,
                                "{format:?} {matrix:?} {range:?} Y{cy} U{cu} V{cv}: {px:?}, expected {expected}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn rgb_formats_only_change_places() {
        let expected = [[10u8, 20, 30], [40, 50, 60], [70, 80, 90]];
        for format in PixelFormat::ALL {
            let order: &[usize] = match format {
                PixelFormat::Rgb => &[0, 1, 2],
                PixelFormat::Bgr => &[2, 1, 0],
                PixelFormat::Rgba | PixelFormat::Rgbx => &[0, 1, 2, 3],
                PixelFormat::Bgra | PixelFormat::Bgrx => &[2, 1, 0, 3],
                PixelFormat::Argb | PixelFormat::Xrgb => &[3, 0, 1, 2],
                PixelFormat::Abgr | PixelFormat::Xbgr => &[3, 2, 1, 0],
                _ => continue,
            };
            // One pixel a row, the rows padded.
            let stride = order.len() + 5;
            let mut data = vec![255u8; stride * 3];
            for (row, colour) in expected.iter().enumerate() {
                let rgba = [colour[0], colour[1], colour[2], 99];
                for (i, o) in order.iter().enumerate() {
                    data[row * stride + i] = rgba[*o];
                }
            }
            let planes = vec![Plane {
                data: &data,
                stride,
            }];
            let frame = Frame::new(format, 1, 3, planes, ColorMatrix::Bt601, ColorRange::Full);
            let mut rgb = Vec::new();
            to_rgb(&frame.unwrap(), &mut rgb).unwrap();
            assert_eq!(rgb.as_chunks::<3>().0, &expected, "{format:?}");
        }
    }

    #[test]
    fn gray_keeps_full_range_and_expands_limited() {
        let data = [0u8, 16, 128, 235, 255];
        for (range, expected) in [
            (ColorRange::Full, [0, 16, 128, 235, 255]),
            (ColorRange::Limited, [0, 0, 130, 255, 255]),
        ] {
            let planes = vec![Plane {
                data: &data,
                stride: 5,
            }];
            let frame = Frame::new(PixelFormat::Gray8, 5, 1, planes, ColorMatrix::Bt601, range);
            let mut rgb = Vec::new();
            to_rgb(&frame.unwrap(), &mut rgb).unwrap();
            for (px, e) in rgb.as_chunks::<3>().0.iter().zip(expected) {
                assert!(
                    px.iter().all(|x| x.abs_diff(e) <= 1),
                    "{range:?} {px:?} {e}"
                );
            }
        }
    }

    /// Chroma of odd sizes is rounded up.
    #[test]
    fn odd_sizes_are_served() {
        for format in PixelFormat::ALL {
            let data = [128u8; 64];
            let planes = match format {
                PixelFormat::I420 | PixelFormat::Yv12 => vec![(5, 25), (3, 9), (3, 9)],
                PixelFormat::Nv12 | PixelFormat::Nv21 => vec![(5, 25), (6, 18)],
                PixelFormat::Y42b => vec![(5, 25), (3, 15), (3, 15)],
                PixelFormat::Y444 => vec![(5, 25); 3],
                PixelFormat::Yuy2 | PixelFormat::Uyvy | PixelFormat::Yvyu => vec![(12, 60)],
                _ => continue,
            };
            let planes = planes
                .into_iter()
                .map(|(stride, len)| Plane {
                    data: &data[..len],
                    stride,
                })
                .collect();
            let frame = Frame::new(format, 5, 5, planes, ColorMatrix::Bt601, ColorRange::Full);
            let mut rgb = Vec::new();
            to_rgb(&frame.unwrap(), &mut rgb).unwrap();
            assert!(
                rgb.iter().all(|x| x.abs_diff(128) <= 1),
                "{format:?} {rgb:?}"
            );
        }
    }
}
