// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A buffer of examples to draw batches from: what is new, and enough of what was before.
//!
//! New examples are always kept, and when the buffer is full they replace one drawn at random (reservoir
//! sampling over the recent ones would forget the new; a queue would forget the old). Anchors, from the
//! domain that the model came from, are never replaced: they are there so that little is forgotten.

use rand::{Rng, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;

use crate::sample::Sample;

/// Examples to learn from.
#[derive(Debug)]
pub struct Replay {
    capacity: usize,
    samples: Vec<Sample>,
    anchors: Vec<Sample>,
    /// Share of a batch that is drawn from the anchors.
    pub anchor_share: f64,
    rng: ChaCha8Rng,
}

impl Replay {
    /// Room for `capacity` examples besides the anchors; draws depend on `seed` alone.
    pub fn new(capacity: usize, seed: u64) -> Self {
        Self {
            capacity: capacity.max(1),
            samples: Vec::new(),
            anchors: Vec::new(),
            anchor_share: 0.25,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Keeps an example; when the buffer is full, in the place of another.
    pub fn push(&mut self, sample: Sample) {
        if self.samples.len() < self.capacity {
            self.samples.push(sample);
        } else {
            let place = self.rng.random_range(0..self.samples.len());
            self.samples[place] = sample;
        }
    }

    /// Keeps an example for good.
    pub fn push_anchor(&mut self, sample: Sample) {
        self.anchors.push(sample);
    }

    /// Number of examples, anchors among them.
    pub fn len(&self) -> usize {
        self.samples.len() + self.anchors.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all but the anchors.
    pub fn clear(&mut self) {
        self.samples.clear();
    }

    /// A batch of `count`, fewer if there are fewer; none twice.
    pub fn draw(&mut self, count: usize) -> Vec<&Sample> {
        let wanted = (count as f64 * self.anchor_share.clamp(0.0, 1.0)).round() as usize;
        let spare = count.saturating_sub(self.samples.len());
        let anchors = wanted.max(spare).min(self.anchors.len()).min(count);
        let others = (count - anchors).min(self.samples.len());
        let kept = index::sample(&mut self.rng, self.anchors.len(), anchors);
        let new = index::sample(&mut self.rng, self.samples.len(), others);
        let kept = kept.into_iter().map(|i| &self.anchors[i]);
        kept.chain(new.into_iter().map(|i| &self.samples[i]))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_tensor::Tensor;

    fn sample(value: f32) -> Sample {
        Sample::new(vec![Tensor::new(vec![1], vec![value]).unwrap()], vec![])
    }

    fn value(sample: &Sample) -> f32 {
        sample.inputs[0].to_f32_vec()[0]
    }

    #[test]
    fn a_full_buffer_keeps_the_newest_and_its_size() {
        let mut replay = Replay::new(4, 1);
        for i in 0..100 {
            replay.push(sample(i as f32));
            assert!(replay.samples.iter().any(|s| value(s) == i as f32));
        }
        assert_eq!(replay.len(), 4);
    }

    #[test]
    fn batches_mix_anchors_in_and_draw_nothing_twice() {
        let mut replay = Replay::new(8, 2);
        (0..8).for_each(|i| replay.push(sample(i as f32)));
        (100..108).for_each(|i| replay.push_anchor(sample(i as f32)));
        for _ in 0..50 {
            let mut batch: Vec<f32> = replay.draw(8).into_iter().map(value).collect();
            assert_eq!(batch.iter().filter(|v| **v >= 100.0).count(), 2);
            batch.sort_by(f32::total_cmp);
            batch.dedup();
            assert_eq!(batch.len(), 8);
        }
    }

    #[test]
    fn too_few_examples_make_a_smaller_batch() {
        let mut replay = Replay::new(8, 3);
        assert!(replay.draw(4).is_empty());
        replay.push(sample(1.0));
        replay.push_anchor(sample(2.0));
        assert_eq!(replay.draw(4).len(), 2);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = |seed| {
            let mut replay = Replay::new(16, seed);
            (0..40).for_each(|i| replay.push(sample(i as f32)));
            replay.draw(8).into_iter().map(value).collect::<Vec<_>>()
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
    }
}
