// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A buffer of examples to draw batches from: what is new, and enough of what was before.
//!
//! New examples are always kept, and when the buffer is full they replace one drawn at random (reservoir
//! sampling over the recent ones would forget the new; a queue would forget the old). A share of each batch is drawn
//! from the fresh ones: after a sudden change they are few, and it is they that there is something to learn from. Anchors, from the
//! domain that the model came from, are never replaced: they are there so that little is forgotten.

use std::borrow::Cow;

use rand::{Rng, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;

use crate::sample::Sample;
use crate::vary::Vary;

/// How new an example is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// There is something to learn from it now.
    Fresh,
    /// It came since the last training, and is kept for later.
    Aside,
    /// It was there in a training.
    Old,
}

#[derive(Debug)]
struct Kept {
    sample: Sample,
    age: Age,
}

/// Examples to learn from.
#[derive(Debug)]
pub struct Replay {
    capacity: usize,
    samples: Vec<Kept>,
    anchors: Vec<Sample>,
    /// Share of a batch that is drawn from the anchors.
    pub anchor_share: f64,
    /// Share of what is left of a batch that is drawn from the fresh examples.
    pub fresh_share: f64,
    /// Makes another example of one each time that it is drawn.
    pub vary: Option<Box<dyn Vary>>,
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
            fresh_share: 0.5,
            vary: None,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// What was put aside is to be learnt from now.
    pub fn freshen(&mut self) {
        let aside = self.samples.iter_mut().filter(|k| k.age == Age::Aside);
        aside.for_each(|k| k.age = Age::Fresh);
    }

    /// All there is has been there in a training.
    pub fn settle(&mut self) {
        self.samples.iter_mut().for_each(|k| k.age = Age::Old);
    }

    /// Keeps an example like those that have been there in a training.
    pub fn push(&mut self, sample: Sample) {
        self.keep(sample, Age::Old);
    }

    /// Keeps an example; when the buffer is full, in the place of another.
    pub fn keep(&mut self, sample: Sample, age: Age) {
        let kept = Kept { sample, age };
        if self.samples.len() < self.capacity {
            self.samples.push(kept);
        } else {
            let place = self.rng.random_range(0..self.samples.len());
            self.samples[place] = kept;
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
    pub fn draw(&mut self, count: usize) -> Vec<Cow<'_, Sample>> {
        let chosen = self.choose(count);
        let (vary, samples) = (&mut self.vary, &self.samples);
        let sample = |place: Place| match place {
            Place::Kept(i) => &samples[i].sample,
            Place::Anchor(i) => &self.anchors[i],
        };
        let drawn = chosen.into_iter().map(sample);
        drawn
            .map(|sample| match vary.as_mut().and_then(|v| v.vary(sample)) {
                Some(varied) => Cow::Owned(varied),
                None => Cow::Borrowed(sample),
            })
            .collect()
    }

    fn choose(&mut self, count: usize) -> Vec<Place> {
        let share = |of: usize, share: f64| (of as f64 * share.clamp(0.0, 1.0)).round() as usize;
        let spare = count.saturating_sub(self.samples.len());
        let wanted = share(count, self.anchor_share).max(spare);
        let anchors = wanted.min(self.anchors.len()).min(count);
        let left = count - anchors;
        let places = 0..self.samples.len();
        let (fresh, old): (Vec<usize>, Vec<usize>) =
            places.partition(|i| self.samples[*i].age == Age::Fresh);
        let wanted = share(left, self.fresh_share).max(left.saturating_sub(old.len()));
        let new = wanted.min(fresh.len());
        let mut draw = |of: usize, count: usize| index::sample(&mut self.rng, of, count.min(of));
        let anchors = draw(self.anchors.len(), anchors);
        let new_places = draw(fresh.len(), new);
        let old_places = draw(old.len(), left - new);
        let anchors = anchors.into_iter().map(Place::Anchor);
        let new = new_places.into_iter().map(|i| Place::Kept(fresh[i]));
        let old = old_places.into_iter().map(|i| Place::Kept(old[i]));
        anchors.chain(new).chain(old).collect()
    }
}

/// Where an example lies.
enum Place {
    Kept(usize),
    Anchor(usize),
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
            assert!(replay.samples.iter().any(|k| value(&k.sample) == i as f32));
        }
        assert_eq!(replay.len(), 4);
    }

    #[test]
    fn batches_mix_anchors_in_and_draw_nothing_twice() {
        let mut replay = Replay::new(8, 2);
        (0..8).for_each(|i| replay.push(sample(i as f32)));
        (100..108).for_each(|i| replay.push_anchor(sample(i as f32)));
        for _ in 0..50 {
            let mut batch: Vec<f32> = replay.draw(8).iter().map(|s| value(s)).collect();
            assert_eq!(batch.iter().filter(|v| **v >= 100.0).count(), 2);
            batch.sort_by(f32::total_cmp);
            batch.dedup();
            assert_eq!(batch.len(), 8);
        }
    }

    #[test]
    fn half_of_a_batch_is_fresh_until_it_is_settled() {
        let mut replay = Replay::new(100, 4);
        (0..60).for_each(|i| replay.push(sample(i as f32)));
        (100..110).for_each(|i| replay.keep(sample(i as f32), Age::Fresh));
        let fresh = |replay: &mut Replay| {
            let batch: Vec<f32> = replay.draw(8).iter().map(|s| value(s)).collect();
            assert_eq!(batch.len(), 8);
            batch.into_iter().filter(|v| *v >= 100.0).count()
        };
        assert!((0..20).all(|_| fresh(&mut replay) == 4));
        replay.settle();
        let drawn: usize = (0..50).map(|_| fresh(&mut replay)).sum();
        assert!((20..100).contains(&drawn), "{drawn}");
        let mut only = Replay::new(100, 5);
        (0..10).for_each(|i| only.keep(sample(i as f32), Age::Fresh));
        assert_eq!(only.draw(8).len(), 8);
    }

    #[test]
    fn what_was_put_aside_can_be_made_fresh_until_it_was_trained_on() {
        let mut replay = Replay::new(100, 7);
        (0..40).for_each(|i| replay.push(sample(i as f32)));
        (100..104).for_each(|i| replay.keep(sample(i as f32), Age::Aside));
        let aside = |replay: &mut Replay| {
            let drawn =
                (0..50).flat_map(|_| replay.draw(8).iter().map(|s| value(s)).collect::<Vec<_>>());
            drawn.filter(|v| *v >= 100.0).count()
        };
        assert!((10..80).contains(&aside(&mut replay)));
        replay.freshen();
        assert_eq!(aside(&mut replay), 50 * 4);
        replay.settle();
        replay.freshen();
        assert!((10..80).contains(&aside(&mut replay)));
    }

    /// Adds one to every input.
    #[derive(Debug)]
    struct Plus;

    impl Vary for Plus {
        fn vary(&mut self, of: &Sample) -> Option<Sample> {
            Some(sample(value(of) + 1.0))
        }
    }

    #[test]
    fn what_varies_is_another_one_each_time_and_stays_what_it_is() {
        let mut replay = Replay::new(8, 6);
        replay.push(sample(1.0));
        replay.vary = Some(Box::new(Plus));
        for _ in 0..2 {
            assert_eq!(value(&replay.draw(1)[0]), 2.0);
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
            replay.draw(8).iter().map(|s| value(s)).collect::<Vec<_>>()
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
    }
}
