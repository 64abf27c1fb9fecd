// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What convolutions and pools share: a window that slides over the spatial axes.

use super::call::Call;

/// Sizes along each spatial axis. Output `o` sees inputs `o · stride − before + k · dilation` for `k` below
/// `kernel`, so `input + before + after = (output − 1) · stride + (kernel − 1) · dilation + 1` exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub kernel: Vec<usize>,
    pub stride: Vec<usize>,
    pub dilation: Vec<usize>,
    pub before: Vec<usize>,
    /// Negative where the last inputs are not seen.
    pub after: Vec<i64>,
    pub input: Vec<usize>,
    pub output: Vec<usize>,
}

impl Window {
    /// From a node's attributes and the sizes of the tensors on both sides of it.
    ///
    /// # Errors
    /// When there are attributes for another number of axes.
    pub fn new(
        call: &Call,
        kernel: &[usize],
        input: &[usize],
        output: &[usize],
    ) -> Result<Self, String> {
        let axes = kernel.len();
        let list = |name: &str| -> Result<Vec<usize>, String> {
            let Some(given) = call.ints(name).filter(|l| !l.is_empty()) else {
                return Ok(vec![1; axes]);
            };
            let sizes: Vec<usize> = given
                .iter()
                .filter_map(|v| usize::try_from(*v).ok())
                .collect();
            match sizes.len() == axes && sizes.iter().all(|s| *s > 0) {
                true => Ok(sizes),
                false => Err(format!(
                    "its attribute '{name}' is not {axes} positive numbers"
                )),
            }
        };
        let mut window = Self {
            kernel: kernel.to_vec(),
            stride: list("strides")?,
            dilation: list("dilations")?,
            before: vec![0; axes],
            after: vec![0; axes],
            input: input.to_vec(),
            output: output.to_vec(),
        };
        if input.len() != axes || output.len() != axes {
            return Err(format!("it does not slide over {axes} axes"));
        }
        for (axis, size) in input.iter().enumerate() {
            window.before[axis] = window.pad_before(call, axis)?;
            let seen = (window.output[axis].max(1) - 1) * window.stride[axis] + window.reach(axis);
            window.after[axis] = seen as i64 - (size + window.before[axis]) as i64;
        }
        Ok(window)
    }

    fn pad_before(&self, call: &Call, axis: usize) -> Result<usize, String> {
        let seen = (self.output[axis].max(1) - 1) * self.stride[axis] + self.reach(axis);
        let total = seen.saturating_sub(self.input[axis]);
        match call.string("auto_pad", "NOTSET").as_str() {
            "SAME_UPPER" => Ok(total / 2),
            "SAME_LOWER" => Ok(total.div_ceil(2)),
            "VALID" => Ok(0),
            _ => {
                let pad = call.ints("pads").and_then(|p| p.get(axis)).copied();
                usize::try_from(pad.unwrap_or(0)).map_err(|_| "its pads are negative".to_owned())
            }
        }
    }

    /// From a window's first input to its last, along one axis.
    pub fn reach(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }

    pub fn axes(&self) -> usize {
        self.kernel.len()
    }

    /// Places in the window, in row-major order.
    pub fn places(&self) -> Vec<Vec<usize>> {
        let count: usize = self.kernel.iter().product();
        let place = |mut i: usize| {
            let mut at = vec![0; self.axes()];
            for axis in (0..self.axes()).rev() {
                at[axis] = i % self.kernel[axis];
                i /= self.kernel[axis];
            }
            at
        };
        (0..count).map(place).collect()
    }

    /// One element, moved by one, without padding: nothing slides at all.
    pub fn is_pointwise(&self) -> bool {
        let one = |list: &[usize]| list.iter().all(|n| *n == 1);
        one(&self.kernel)
            && one(&self.stride)
            && self.before.iter().all(|n| *n == 0)
            && self.after.iter().all(|n| *n == 0)
    }
}
