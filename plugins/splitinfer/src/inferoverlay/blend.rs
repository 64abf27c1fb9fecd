// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From the canvas (premultiplied RGBA) onto a frame of any 8-bit format, component by component.
//!
//! A component (red, luma, alpha, …) is a weighted sum of red, green and blue plus a constant. In
//! premultiplied colours the constant is a weight of alpha, so each component is one dot product,
//! and `over` is `component + (1 − alpha) · what was there`.

use super::canvas::Area;
use gst_video::VideoFrameExt;
use tiny_skia::{Pixmap, PremultipliedColorU8};

/// Fixed-point digits of the weights.
const SHIFT: u32 = 16;
const ONE: f64 = (1 << SHIFT) as f64;

/// How to blend onto frames of one format and colorimetry.
pub(super) struct Blender {
    components: Vec<Component>,
}

/// Weights of red, green, blue and alpha, and where the samples lie.
struct Component {
    weights: [i32; 4],
    plane: u32,
    /// Bytes from one sample to the next, and to the first.
    step: usize,
    offset: usize,
    /// log2 of the pixels that one sample covers.
    sub_x: u32,
    sub_y: u32,
}

impl Blender {
    pub fn new(info: &gst_video::VideoInfo) -> Self {
        let format = info.format_info();
        let components = (0..format.n_components())
            .map(|c| Component {
                weights: weights(info, c).map(|w| (w * ONE).round() as i32),
                plane: format.plane()[c as usize],
                step: format.pixel_stride()[c as usize] as usize,
                offset: format.poffset()[c as usize] as usize,
                sub_x: format.w_sub()[c as usize],
                sub_y: format.h_sub()[c as usize],
            })
            .collect();
        Self { components }
    }

    /// Blends `area` of the canvas onto the same place of the frame.
    pub fn blend(
        &self,
        canvas: &Pixmap,
        area: Area,
        frame: &mut gst_video::VideoFrameRef<&mut gst::BufferRef>,
    ) {
        // Two rows at a time, the most that a sample covers. A diagonal line touches a large area
        // but little of each row, so look first where there is something.
        let strips: Vec<Area> = (area.top..area.bottom)
            .step_by(2)
            .filter_map(|top| {
                let bottom = (top + 2).min(area.bottom);
                drawn_part(
                    canvas,
                    Area {
                        top,
                        bottom,
                        ..area
                    },
                )
            })
            .collect();
        for component in &self.components {
            // No format in the caps is stored bottom up.
            let stride = frame.plane_stride()[component.plane as usize].unsigned_abs() as usize;
            if let Ok(plane) = frame.plane_data_mut(component.plane) {
                for strip in &strips {
                    component.blend(canvas, *strip, plane, stride);
                }
            }
        }
    }
}

/// The columns of `area` outside which nothing is drawn, to four pixels; `None` if nothing is at all.
fn drawn_part(canvas: &Pixmap, area: Area) -> Option<Area> {
    const GRAIN: usize = 4;
    let across = canvas.width() as usize;
    let grains = |y: u32| {
        let row = &canvas.data()[y as usize * across * 4..][..area.right as usize * 4];
        let (grains, rest) = row[area.left as usize * 4..].as_chunks::<{ 4 * GRAIN }>();
        let rest = (!rest.is_empty()).then_some(rest);
        grains.iter().map(|g| &g[..]).chain(rest)
    };
    let drawn = |grain: &[u8]| grain.iter().fold(0, |all, b| all | b) != 0;
    let mut columns: Option<(usize, usize)> = None;
    for y in area.top..area.bottom {
        for (i, _) in grains(y).enumerate().filter(|(_, g)| drawn(g)) {
            let (first, last) = columns.unwrap_or((i, i));
            columns = Some((first.min(i), last.max(i)));
        }
    }
    let (first, last) = columns?;
    Some(Area {
        left: area.left + (first * GRAIN) as u32,
        right: area.right.min(area.left + ((last + 1) * GRAIN) as u32),
        ..area
    })
}

impl Component {
    fn blend(&self, canvas: &Pixmap, area: Area, plane: &mut [u8], stride: usize) {
        let across = canvas.width() as usize;
        let pixels = canvas.pixels();
        let (block_w, block_h) = (1 << self.sub_x, 1 << self.sub_y);
        for y in (area.top..area.bottom).step_by(block_h) {
            let rows = y as usize..(y as usize + block_h).min(area.bottom as usize);
            let start = (y >> self.sub_y) as usize * stride + self.offset;
            for x in (area.left..area.right).step_by(block_w) {
                let columns = x as usize..(x as usize + block_w).min(area.right as usize);
                let (value, alpha) = self.average(pixels, across, rows.clone(), columns);
                if alpha == 0 {
                    continue;
                }
                let at = start + (x >> self.sub_x) as usize * self.step;
                if let Some(sample) = plane.get_mut(at) {
                    let below = u32::from(*sample) * (255 - alpha);
                    let kept = (below + 127) / 255;
                    *sample = (value + kept as i32).clamp(0, 255) as u8;
                }
            }
        }
    }

    /// The component and the alpha of a block of 1, 2 or 4 canvas pixels, 0–255 each.
    #[inline]
    fn average(
        &self,
        pixels: &[PremultipliedColorU8],
        across: usize,
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
    ) -> (i32, u32) {
        let count = (rows.len() * columns.len()).ilog2();
        let mut sum = [0i32; 4];
        for y in rows {
            for p in &pixels[y * across + columns.start..y * across + columns.end] {
                sum[0] += i32::from(p.red());
                sum[1] += i32::from(p.green());
                sum[2] += i32::from(p.blue());
                sum[3] += i32::from(p.alpha());
            }
        }
        if sum[3] == 0 {
            return (0, 0);
        }
        // At most 4 colours · 4 pixels · 255 · 2^16, which fits.
        let dot: i32 = sum.iter().zip(&self.weights).map(|(s, w)| s * w).sum();
        let shift = SHIFT + count;
        let value = (dot + (1 << (shift - 1))) >> shift;
        let alpha = (sum[3] + ((1 << count) >> 1)) >> count;
        (value, alpha as u32)
    }
}

/// Weights of red, green, blue and alpha for component `c` (GStreamer's order: RGBA, YUVA, grey).
fn weights(info: &gst_video::VideoInfo, c: u32) -> [f64; 4] {
    if c == 3 {
        return [0.0, 0.0, 0.0, 1.0];
    }
    if info.is_rgb() {
        let mut weights = [0.0; 4];
        weights[c as usize] = 1.0;
        return weights;
    }
    let colorimetry = info.colorimetry();
    let (kr, kb) = colorimetry.matrix().kr_kb().unwrap_or(BT601_KR_KB);
    let kg = 1.0 - kr - kb;
    let full = colorimetry.range() == gst_video::VideoColorRange::Range0_255;
    // ITU-R BT.601-7 and BT.709-6, section 3: levels of 8-bit luma and colour difference.
    let (black, luma, chroma) = if full {
        (0.0, 1.0, 1.0)
    } else {
        (16.0 / 255.0, 219.0 / 255.0, 224.0 / 255.0)
    };
    let difference = |weights: [f64; 3], k: f64| {
        let scale = chroma / (2.0 * (1.0 - k));
        let [r, g, b] = weights.map(|w| w * scale);
        [r, g, b, 128.0 / 255.0]
    };
    match c {
        0 => [kr * luma, kg * luma, kb * luma, black],
        1 => difference([-kr, -kg, 1.0 - kb], kb),
        _ => difference([1.0 - kr, -kg, -kb], kr),
    }
}

/// Where caps name no matrix.
const BT601_KR_KB: (f64, f64) = (0.299, 0.114);
