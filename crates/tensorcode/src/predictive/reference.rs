// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What both sides still hold of earlier frames.

use std::borrow::Cow;
use std::collections::VecDeque;

use splitinfer_tensor::{DType, Tensor, TensorError};

use super::contexts::Contexts;
use super::plane::{Motion, Plane};
use super::steps::Steps;
use crate::affine::from_f32;

/// One tensor of a frame as both sides have it.
pub(super) struct Coded {
    pub dtype: DType,
    pub steps: Steps,
    pub shape: Vec<usize>,
    pub levels: Vec<i16>,
    /// How each block has moved since the frame before.
    pub motions: Vec<Motion>,
    /// What its bands have learned. A small tensor is not worth the memory.
    pub contexts: Option<Box<Contexts>>,
}

impl Coded {
    /// The tensor that a receiver makes of it.
    pub(super) fn tensor(&self) -> Result<Tensor, TensorError> {
        let mut values = Vec::with_capacity(self.levels.len());
        for (step, levels) in self.steps.with(&self.levels, Plane::of(&self.shape).area()) {
            values.extend(levels.iter().map(|l| f32::from(*l) * step));
        }
        let data = from_f32(self.dtype, values);
        Tensor::from_data(self.shape.clone(), data)
    }

    fn bytes(&self) -> usize {
        let contexts = self.contexts.iter().map(|_| size_of::<Contexts>());
        let levels = size_of_val(&self.levels[..]) + size_of_val(&self.motions[..]);
        levels + size_of_val(&self.steps.coarser[..]) + contexts.sum::<usize>()
    }

    /// The levels in steps of another size. Both sides do the same arithmetic, so both get the same.
    pub(super) fn in_steps_of(&self, steps: &Steps) -> Cow<'_, [i16]> {
        if *steps == self.steps {
            return Cow::Borrowed(&self.levels);
        }
        let most = f32::from(i16::MAX);
        let mut rescaled = Vec::with_capacity(self.levels.len());
        let channels = self.levels.chunks_exact(Plane::of(&self.shape).area());
        for (channel, levels) in channels.enumerate() {
            let ratio = self.steps.of(channel) / steps.of(channel);
            let level = |l: &i16| (f32::from(*l) * ratio).round().clamp(-most, most) as i16;
            rescaled.extend(levels.iter().map(level));
        }
        Cow::Owned(rescaled)
    }
}

/// The tensors of a frame; `None` for one that was not coded as levels.
pub(super) type Frame = Vec<Option<Coded>>;

/// Frames by number, oldest first.
#[derive(Default)]
pub(super) struct History {
    frames: VecDeque<(u64, Frame)>,
}

impl History {
    pub(super) fn get(&self, frame: u64) -> Option<&Frame> {
        self.frames.iter().find(|f| f.0 == frame).map(|f| &f.1)
    }

    /// Keeps no more than `most` frames that take no more than `bytes`; the newest always.
    pub(super) fn add(&mut self, frame: u64, coded: Frame, most: usize, bytes: usize) {
        self.frames.retain(|f| f.0 != frame);
        let at = self.frames.partition_point(|f| f.0 < frame);
        self.frames.insert(at, (frame, coded));
        while self.frames.len() > 1 && (self.frames.len() > most || self.bytes() > bytes) {
            self.frames.pop_front();
        }
    }

    pub(super) fn drop_before(&mut self, frame: u64) {
        self.frames.retain(|f| f.0 >= frame);
    }

    pub(super) fn keep_newest(&mut self, most: usize) {
        let too_many = self.frames.len().saturating_sub(most);
        self.frames.drain(..too_many);
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
    }

    pub(super) fn bytes(&self) -> usize {
        let coded = self.frames.iter().flat_map(|f| &f.1).flatten();
        coded.map(Coded::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::steps::tests::steps;
    use super::*;

    fn coded(levels: &[i16]) -> Frame {
        vec![Some(Coded {
            dtype: DType::F32,
            steps: steps(1.0, &[]),
            shape: vec![levels.len(), 1, 1],
            levels: levels.to_vec(),
            contexts: None,
            motions: Vec::new(),
        })]
    }

    #[test]
    fn a_history_keeps_the_newest_within_its_bounds() {
        let mut history = History::default();
        for frame in [3, 1, 4, 2] {
            history.add(frame, coded(&[frame as i16]), 3, 100);
        }
        assert!(history.get(1).is_none() && history.get(2).is_some());
        history.add(5, coded(&[0; 3]), 9, 8);
        assert_eq!(
            (history.get(4).is_some(), history.get(3).is_some()),
            (true, false)
        );
        history.add(6, coded(&[0; 50]), 9, 8);
        assert_eq!(
            (history.get(6).is_some(), history.get(5).is_some()),
            (true, false)
        );
        history.drop_before(7);
        assert_eq!(history.bytes(), 0);
    }

    #[test]
    fn levels_are_rescaled_and_never_overflow() {
        let coded = coded(&[3, -5, i16::MAX]).remove(0).unwrap();
        let rescaled = |base, coarser: &[i8]| coded.in_steps_of(&steps(base, coarser)).into_owned();
        assert_eq!(rescaled(1.0, &[]), [3, -5, i16::MAX]);
        assert_eq!(rescaled(2.0, &[]), [2, -3, 16384]);
        assert_eq!(rescaled(0.5, &[]), [6, -10, i16::MAX]);
        assert_eq!(rescaled(2.0, &[-4, -2, 2]), [6, -5, 8192]);
    }
}
