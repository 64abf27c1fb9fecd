// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A tensor of the graph that is being written.

use std::sync::Arc;

use splitinfer_tensor::DType;

/// Name, shape and type of a tensor; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub name: Arc<str>,
    pub shape: Arc<[usize]>,
    pub dtype: DType,
}

impl Value {
    pub fn new(name: &str, shape: &[usize], dtype: DType) -> Self {
        Self {
            name: name.into(),
            shape: shape.into(),
            dtype,
        }
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The shape that NumPy's broadcasting gives two others. Where they do not fit the larger size is taken:
/// a model that ran does not get here.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let size = |s: &[usize], axis: usize| match (axis + s.len()).checked_sub(rank) {
        Some(i) => s[i],
        None => 1,
    };
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (1, n) | (n, 1) => n,
            (n, m) => n.max(m),
        })
        .collect()
}

/// An axis counted from the front; negative ones count from the back, as ONNX has it.
pub(crate) fn axis(given: i64, rank: usize) -> usize {
    let rank = rank as i64;
    let axis = if given < 0 { given + rank } else { given };
    axis.clamp(0, rank.max(1) - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_from_the_right() {
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]), [2, 3, 4]);
        assert_eq!(broadcast(&[], &[5]), [5]);
        assert_eq!(broadcast(&[0], &[1]), [0]);
    }

    #[test]
    fn axes_count_from_either_end() {
        assert_eq!([axis(1, 4), axis(-1, 4)], [1, 3]);
    }
}
