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
    /// How each block has moved since the frame that it is predicted from.
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

/// A frame as both sides have it.
pub(super) struct Frame {
    pub number: u64,
    /// It is predicted from the frame so many before it; 0 where from none.
    pub back: u64,
    /// `None` for one that was not coded as levels.
    pub tensors: Vec<Option<Coded>>,
}

impl Frame {
    /// A tensor of this shape, in that place.
    pub(super) fn tensor(&self, place: usize, shape: &[usize]) -> Option<&Coded> {
        let tensor = self.tensors.get(place)?.as_ref();
        tensor.filter(|t| t.shape == shape)
    }

    pub(super) fn bytes(&self) -> usize {
        self.tensors.iter().flatten().map(Coded::bytes).sum()
    }
}

/// Frames by number, oldest first.
#[derive(Default)]
pub(super) struct History {
    frames: VecDeque<Frame>,
}

impl History {
    pub(super) fn get(&self, frame: u64) -> Option<&Frame> {
        self.frames.iter().find(|f| f.number == frame)
    }

    /// Of these and `other` that whose number is nearest; of two that are as near, the later one.
    pub(super) fn nearest<'a>(&'a self, other: Option<&'a Frame>, to: u64) -> Option<&'a Frame> {
        let all = self.frames.iter().chain(other);
        all.min_by_key(|f| (f.number.abs_diff(to), f.number < to))
    }

    /// Keeps no more than `most` frames that take no more than `bytes`; the newest always.
    pub(super) fn add(&mut self, frame: Frame, most: usize, bytes: usize) {
        self.frames.retain(|f| f.number != frame.number);
        let at = self.frames.partition_point(|f| f.number < frame.number);
        self.frames.insert(at, frame);
        while self.frames.len() > 1 && (self.frames.len() > most || self.bytes() > bytes) {
            self.frames.pop_front();
        }
    }

    pub(super) fn drop_before(&mut self, frame: u64) {
        self.frames.retain(|f| f.number >= frame);
    }

    pub(super) fn keep_newest(&mut self, most: usize) {
        let too_many = self.frames.len().saturating_sub(most);
        self.frames.drain(..too_many);
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
    }

    pub(super) fn bytes(&self) -> usize {
        self.frames.iter().map(Frame::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::steps::tests::steps;
    use super::*;

    fn coded(levels: &[i16]) -> Coded {
        Coded {
            dtype: DType::F32,
            steps: steps(1.0, &[]),
            shape: vec![levels.len(), 1, 1],
            levels: levels.to_vec(),
            contexts: None,
            motions: Vec::new(),
        }
    }

    fn frame(number: u64, levels: &[i16]) -> Frame {
        Frame {
            number,
            back: 0,
            tensors: vec![Some(coded(levels))],
        }
    }

    #[test]
    fn a_history_keeps_the_newest_within_its_bounds() {
        let mut history = History::default();
        for number in [3, 1, 4, 2] {
            history.add(frame(number, &[number as i16]), 3, 100);
        }
        assert!(history.get(1).is_none() && history.get(2).is_some());
        let nearest = |to| history.nearest(Some(&frame(8, &[])), to).map(|f| f.number);
        assert_eq!([0, 3, 6, 9].map(nearest), [2, 3, 8, 8].map(Some));
        history.add(frame(5, &[0; 3]), 9, 8);
        assert_eq!(
            (history.get(4).is_some(), history.get(3).is_some()),
            (true, false)
        );
        history.add(frame(6, &[0; 50]), 9, 8);
        assert_eq!(
            (history.get(6).is_some(), history.get(5).is_some()),
            (true, false)
        );
        history.drop_before(7);
        assert_eq!(history.bytes(), 0);
    }

    #[test]
    fn levels_are_rescaled_and_never_overflow() {
        let coded = coded(&[3, -5, i16::MAX]);
        let rescaled = |base, coarser: &[i8]| coded.in_steps_of(&steps(base, coarser)).into_owned();
        assert_eq!(rescaled(1.0, &[]), [3, -5, i16::MAX]);
        assert_eq!(rescaled(2.0, &[]), [2, -3, 16384]);
        assert_eq!(rescaled(0.5, &[]), [6, -10, i16::MAX]);
        assert_eq!(rescaled(2.0, &[-4, -2, 2]), [6, -5, 8192]);
    }
}
