// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Resize: a linear map along each axis, as ONNX defines it (operator sets 11 to 19).

use super::call::{Call, Gradients};
use super::linear_map::{self, Rows};
use crate::emitter::Emitter;
use crate::value::axis;

/// How an axis is resized.
struct Axis<'a> {
    input: usize,
    output: usize,
    /// Output size over input size, as the operator computes with it.
    scale: f64,
    coordinates: &'a str,
    mode: &'a str,
    nearest: &'a str,
    exclude_outside: bool,
    /// First and last place to be seen, as parts of the input; of `tf_crop_and_resize`.
    region: (f64, f64),
}

pub(super) fn resize(call: &Call, e: &mut Emitter) -> Gradients {
    let (x, dy) = (call.input(0)?, call.grad()?);
    let mode = call.string("mode", "nearest");
    if call.int("antialias", 0) != 0 {
        return Err("it filters against aliasing (antialias)".into());
    }
    if !matches!(mode.as_str(), "nearest" | "linear") {
        return Err(format!(
            "its mode '{mode}' has no rule; 'nearest' and 'linear' have"
        ));
    }
    let coordinates = call.string("coordinate_transformation_mode", "half_pixel");
    let nearest = call.string("nearest_mode", "round_prefer_floor");
    if call.string("keep_aspect_ratio_policy", "stretch") != "stretch" {
        return Err("it keeps the aspect ratio (keep_aspect_ratio_policy)".into());
    }
    let scales = scales(call, x.rank())?;
    let regions = regions(call, &coordinates, x.rank())?;
    let mut dx = dy.clone();
    for (axis, given) in scales.into_iter().enumerate() {
        let (input, output) = (x.shape[axis], dy.shape[axis]);
        let scale = given.unwrap_or(output as f64 / input as f64);
        if input == output && scale == 1.0 && regions[axis] == WHOLE {
            continue;
        }
        let sizes = Axis {
            input,
            output,
            scale,
            coordinates: &coordinates,
            mode: &mode,
            nearest: &nearest,
            exclude_outside: call.int("exclude_outside", 0) != 0,
            region: regions[axis],
        };
        dx = linear_map::transposed(e, &dx, axis, input, &sizes.rows()?);
    }
    call.first(dx)
}

/// The scale of each axis, where the model gives one and not a size.
fn scales(call: &Call, rank: usize) -> Result<Vec<Option<f64>>, String> {
    let mut scales = vec![None; rank];
    if !call.has_input(2) {
        return Ok(scales);
    }
    let given = call.constant(2, "scales")?.to_f32_vec();
    for (axis, scale) in axes(call, rank).iter().zip(given) {
        scales[*axis] = Some(f64::from(scale)).filter(|s| *s > 0.0);
    }
    Ok(scales)
}

const WHOLE: (f64, f64) = (0.0, 1.0);

/// The part of each axis that is resized.
fn regions(call: &Call, coordinates: &str, rank: usize) -> Result<Vec<(f64, f64)>, String> {
    let mut regions = vec![WHOLE; rank];
    if coordinates != "tf_crop_and_resize" {
        return Ok(regions);
    }
    let roi = call.constant(1, "regions")?.to_f32_vec();
    let axes = axes(call, rank);
    if roi.len() != 2 * axes.len() {
        return Err(format!("its region has {} numbers", roi.len()));
    }
    for (i, axis) in axes.iter().enumerate() {
        regions[*axis] = (f64::from(roi[i]), f64::from(roi[i + axes.len()]));
    }
    Ok(regions)
}

fn axes(call: &Call, rank: usize) -> Vec<usize> {
    match call.ints("axes") {
        Some(axes) => axes.iter().map(|a| axis(*a, rank)).collect(),
        None => (0..rank).collect(),
    }
}

impl Axis<'_> {
    fn rows(&self) -> Result<Rows, String> {
        (0..self.output)
            .map(|o| {
                let at = self.coordinate(o)?;
                let cropped = self.coordinates == "tf_crop_and_resize";
                if cropped && !(0.0..=self.input as f64 - 1.0).contains(&at) {
                    // A constant is put there.
                    return Ok(vec![]);
                }
                Ok(match self.mode {
                    "nearest" => vec![(self.rounded(at)?, 1.0)],
                    _ => self.between(at),
                })
            })
            .collect()
    }

    /// Where an output lies among the inputs. ONNX Runtime computes it in single precision, which decides
    /// what is nearest.
    fn coordinate(&self, output: usize) -> Result<f64, String> {
        let (o, scale) = (output as f32, self.scale as f32);
        let (inputs, outputs) = (self.input as f32, self.output as f32);
        Ok(f64::from(match self.coordinates {
            "asymmetric" => o / scale,
            "pytorch_half_pixel" if self.output == 1 => 0.0,
            "half_pixel" | "pytorch_half_pixel" => (o + 0.5) / scale - 0.5,
            "half_pixel_symmetric" => {
                let adjustment = outputs / (scale * inputs);
                let offset = inputs / 2.0 * (1.0 - adjustment);
                offset + (o + 0.5) / scale - 0.5
            }
            "align_corners" if self.output == 1 => 0.0,
            "align_corners" => o * (inputs - 1.0) / (outputs - 1.0),
            "tf_crop_and_resize" => {
                let (start, end) = (self.region.0 as f32, self.region.1 as f32);
                match self.output {
                    1 => 0.5 * (start + end) * (inputs - 1.0),
                    _ => {
                        start * (inputs - 1.0)
                            + o * (end - start) * (inputs - 1.0) / (outputs - 1.0)
                    }
                }
            }
            other => {
                return Err(format!(
                    "its coordinate transformation '{other}' has no rule"
                ));
            }
        }))
    }

    fn rounded(&self, at: f64) -> Result<usize, String> {
        let rounded = match self.nearest {
            "floor" => at.floor(),
            "ceil" => at.ceil(),
            "round_prefer_floor" => (at - 0.5).ceil(),
            "round_prefer_ceil" => (at + 0.5).floor(),
            other => return Err(format!("its nearest mode '{other}' has no rule")),
        };
        Ok(rounded.clamp(0.0, self.input as f64 - 1.0) as usize)
    }

    /// Linear interpolation; beyond the border the border's element counts.
    fn between(&self, at: f64) -> Vec<(usize, f64)> {
        let last = self.input as f64 - 1.0;
        let low = at.floor();
        let part = at - low;
        let pair = [(low, 1.0 - part), (low + 1.0, part)];
        if self.exclude_outside {
            let inside: Vec<_> = pair
                .iter()
                .filter(|(i, _)| (0.0..=last).contains(i))
                .collect();
            let sum: f64 = inside.iter().map(|(_, w)| w).sum();
            return inside.iter().map(|(i, w)| (*i as usize, w / sum)).collect();
        }
        pair.iter()
            .map(|(i, w)| (i.clamp(0.0, last) as usize, *w))
            .filter(|(_, w)| *w != 0.0)
            .collect()
    }
}
