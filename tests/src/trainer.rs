// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Whoever trains, as far as the elements see it: versions of a model, and the events that bring them upstream.

use gst::glib;
use rand::SeedableRng;
use rand::distr::{Distribution, Uniform};
use rand_chacha::ChaCha8Rng;
use splitinfer_graph::Model;
use splitinfer_graph::proto::TensorProto;
use splitinfer_meta::{WeightsUpdate, weights_event};
use splitinfer_weights::{Coded, Encoding, Precision, Versions, encode, rollback};

/// Has what the running student has, as it adopts what it sends.
pub struct Trainer {
    pub versions: Versions,
}

/// Every bit of the new weights.
pub const EXACT: Encoding = Encoding {
    precision: Precision::Exact,
    share: 1.0,
};

impl Trainer {
    pub fn new(base: Model) -> Self {
        Self {
            versions: Versions::new(base),
        }
    }

    /// The event with the next version.
    ///
    /// # Panics
    /// When `model` is no version of the base.
    pub fn publish(&mut self, model: &Model, how: &Encoding) -> gst::Event {
        let to = self.versions.newest().0 + 1;
        let coded = encode(&self.versions, to, model, how).expect("a version of the same graph");
        self.adopt(coded)
    }

    /// The event that goes back to an earlier version.
    ///
    /// # Panics
    /// When that version is not held any more.
    pub fn go_back(&mut self, to: u64) -> gst::Event {
        let next = self.versions.newest().0 + 1;
        let coded = rollback(&self.versions, to, next).expect("the version is held");
        self.adopt(coded)
    }

    fn adopt(&mut self, coded: Coded) -> gst::Event {
        let event = weights_event(&update(&coded));
        self.versions.adopt(coded.header.to, coded.model);
        event
    }
}

/// What an event carries.
pub fn update(coded: &Coded) -> WeightsUpdate {
    WeightsUpdate {
        base: coded.header.base,
        version: coded.header.to,
        update: glib::Bytes::from(&coded.bytes[..]),
    }
}

/// The model with weights as a short training might leave them: in each tensor of at least two axes a change of rank two
/// with a fifth of noise, in the others noise, of `size` of the tensor's root mean square.
///
/// # Panics
/// Never: the graph stays as it is.
pub fn nudged(model: &Model, size: f32, seed: u64) -> Model {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut proto = model.proto().clone();
    let graph = proto.graph.as_mut().expect("a model has a graph");
    for tensor in &mut graph.initializer {
        if let Some(values) = singles(tensor) {
            let change = change(&tensor.dims, values.len(), &mut random);
            let unit = size * root_mean_square(&values) / root_mean_square(&change).max(1e-30);
            let new = values.iter().zip(change).map(|(v, c)| v + c * unit);
            let bytes: Vec<u8> = new.flat_map(f32::to_le_bytes).collect();
            tensor.float_data.clear();
            tensor.raw_data = Some(bytes.into());
        }
    }
    Model::from_proto(proto).expect("the same graph")
}

/// The values of an initializer of singles.
pub fn singles(tensor: &TensorProto) -> Option<Vec<f32>> {
    let raw = tensor.raw_data.as_ref().filter(|raw| !raw.is_empty());
    let values = match raw {
        Some(raw) => raw
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect(),
        None => tensor.float_data.clone(),
    };
    (tensor.data_type() == 1).then_some(values)
}

fn change(dims: &[i64], len: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    let uniform = Uniform::new_inclusive(-1f32, 1.0).expect("a range");
    let mut noise = |n: usize| -> Vec<f32> { (0..n).map(|_| uniform.sample(random)).collect() };
    let rows = dims.first().map_or(1, |d| *d as usize).max(1);
    let columns = len / rows;
    if dims.len() < 2 {
        return noise(len);
    }
    let mut change: Vec<f32> = noise(len).iter().map(|v| 0.2 * v).collect();
    for _ in 0..2 {
        let (left, right) = (noise(rows), noise(columns));
        for (i, value) in change.iter_mut().enumerate() {
            *value += left[i / columns.max(1)] * right[i % columns.max(1)];
        }
    }
    change
}

fn root_mean_square(values: &[f32]) -> f32 {
    let sum: f32 = values.iter().map(|v| v * v).sum();
    (sum / values.len().max(1) as f32).sqrt()
}
