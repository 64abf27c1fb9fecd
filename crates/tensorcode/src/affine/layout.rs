// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where a tensor's channels are, and the channel-major order in which they are quantised.

use std::borrow::Cow;

/// Channels with fewer values than this share one range: their parameters would cost more than they save.
const MIN_PER_CHANNEL: usize = 32;

/// A row-major tensor seen as `outer × channels × inner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    outer: usize,
    pub(crate) channels: usize,
    inner: usize,
}

/// The axis along which ranges differ: 1 for rank 4 and more (N, C, H, W: what ONNX convolutions give), the
/// last for rank 3 (N, sequence, features). Vectors and matrices get one range for everything.
pub(crate) fn channel_axis(shape: &[usize]) -> Option<usize> {
    let axis = match shape.len() {
        0..=2 => return None,
        3 => 2,
        _ => 1,
    };
    let per_channel = shape.iter().product::<usize>() / shape[axis].max(1);
    (per_channel >= MIN_PER_CHANNEL).then_some(axis)
}

impl Layout {
    pub(crate) fn new(shape: &[usize], axis: Option<usize>) -> Self {
        match axis {
            None => Self {
                outer: 1,
                channels: 1,
                inner: shape.iter().product(),
            },
            Some(a) => Self {
                outer: shape[..a].iter().product(),
                channels: shape[a],
                inner: shape[a + 1..].iter().product(),
            },
        }
    }

    pub(crate) fn per_channel(self) -> usize {
        self.outer * self.inner
    }

    /// The values in channel-major order.
    pub(crate) fn channel_major<'a>(self, values: Cow<'a, [f32]>) -> Cow<'a, [f32]> {
        if self.is_planar() {
            return values;
        }
        Cow::Owned(swap(&values, self.outer, self.channels, self.inner))
    }

    /// The opposite of [`Layout::channel_major`].
    pub(crate) fn row_major(self, planar: Vec<f32>) -> Vec<f32> {
        if self.is_planar() {
            return planar;
        }
        swap(&planar, self.channels, self.outer, self.inner)
    }

    fn is_planar(self) -> bool {
        self.outer == 1 || self.channels == 1
    }
}

/// `a × b × inner` to `b × a × inner`.
fn swap(values: &[f32], a: usize, b: usize, inner: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    if inner > 1 {
        for i in 0..a {
            for j in 0..b {
                let from = (i * b + j) * inner;
                let to = (j * a + i) * inner;
                out[to..to + inner].copy_from_slice(&values[from..from + inner]);
            }
        }
        return out;
    }
    // Tiles keep both the rows read and the rows written in the cache.
    const TILE: usize = 16;
    for i0 in (0..a).step_by(TILE) {
        for j0 in (0..b).step_by(TILE) {
            for j in j0..b.min(j0 + TILE) {
                for i in i0..a.min(i0 + TILE) {
                    out[j * a + i] = values[i * b + j];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convolution_outputs_have_their_channels_on_axis_1_and_sequences_on_the_last() {
        assert_eq!(channel_axis(&[1, 32, 52, 52]), Some(1));
        assert_eq!(channel_axis(&[1, 3549, 85]), Some(2));
        assert_eq!(channel_axis(&[1, 1001]), None);
        assert_eq!(
            channel_axis(&[1, 512, 1, 1]),
            None,
            "too few values a channel"
        );
        assert_eq!(channel_axis(&[0, 3, 4, 4]), None);
    }

    #[test]
    fn channel_major_order_is_undone() {
        for (shape, axis) in [
            (vec![1, 3, 4, 5], Some(1)),
            (vec![2, 3, 4, 5], Some(1)),
            (vec![2, 37, 19], Some(2)),
            (vec![6, 7], None),
        ] {
            let layout = Layout::new(&shape, axis);
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|i: usize| i as f32)
                .collect();
            let planar = layout.channel_major(Cow::Borrowed(&values)).into_owned();
            assert_eq!(layout.row_major(planar), values, "{shape:?}");
        }
        let layout = Layout::new(&[1, 2, 3], Some(2));
        let planar = layout.channel_major(Cow::Owned(vec![0., 1., 2., 10., 11., 12.]));
        assert_eq!(*planar, [0., 10., 1., 11., 2., 12.]);
    }
}
