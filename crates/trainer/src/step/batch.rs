// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model for one picture as the same model for several.

use splitinfer_graph::{Dim, Model};
use splitinfer_runtime::{RuntimeError, Session, SessionOptions, for_frames, sample};
use splitinfer_tensor::Tensor;

use crate::sample::Slot;

/// Differences between a picture alone and in a batch that rounding explains, relative to the largest value.
const ROUNDING: f32 = 1e-3;

/// The model for `count` pictures, if its operators keep them apart and every output of it is then what it is for each
/// picture alone.
pub(crate) fn batched(model: &Model, count: usize, options: &SessionOptions) -> Option<Model> {
    let mut batched = for_frames(model, options).ok()?;
    for input in model.inputs() {
        let rest = input.shape?.into_iter().skip(1).map(|d| match d {
            Dim::Fixed(size) => Some(size),
            Dim::Symbol(_) => None,
        });
        let shape: Option<Vec<usize>> = [Some(count)].into_iter().chain(rest).collect();
        batched = batched.with_input_shape(&input.name, &shape?).ok()?;
    }
    same_results(model, &batched, count, options)
        .ok()?
        .then_some(batched)
}

/// Whether the batch gives, for each picture of it, what the single model gives.
fn same_results(
    single: &Model,
    batched: &Model,
    count: usize,
    options: &SessionOptions,
) -> Result<bool, RuntimeError> {
    let (one, many) = (
        Session::from_model(single, options)?,
        Session::from_model(batched, options)?,
    );
    let inputs = single.inputs();
    let mut pictures: Vec<Vec<Tensor>> = Vec::with_capacity(count);
    for seed in 0..count as u64 {
        pictures.push(
            inputs
                .iter()
                .map(|i| sample(i, seed))
                .collect::<Result<_, _>>()?,
        );
    }
    let mut stacked = Vec::with_capacity(inputs.len());
    for (i, input) in inputs.iter().enumerate() {
        let first = &pictures[0][i];
        let slot = Slot {
            name: input.name.clone(),
            dtype: first.dtype(),
            shape: first.shape().to_vec(),
        };
        let column: Vec<&Tensor> = pictures.iter().map(|p| &p[i]).collect();
        match slot.stack("input", &column) {
            Ok(tensor) => stacked.push(tensor),
            Err(_) => return Ok(false),
        }
    }
    let names = || inputs.iter().map(|i| i.name.as_str());
    let together = many.run(&names().zip(&stacked).collect::<Vec<_>>())?;
    for (p, picture) in pictures.iter().enumerate() {
        let alone = one.run(&names().zip(picture).collect::<Vec<_>>())?;
        let mut pairs = alone.iter().zip(&together);
        if !pairs.all(|((_, a), (_, b))| is_part(a, b, p, count)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether `whole` holds `part` at place `p` of `count` along the first axis.
fn is_part(part: &Tensor, whole: &Tensor, p: usize, count: usize) -> bool {
    let (Some(first), Some(all)) = (part.shape().first(), whole.shape().first()) else {
        return false;
    };
    if *first != 1 || *all != count || part.shape()[1..] != whole.shape()[1..] {
        return false;
    }
    let (part, whole) = (part.to_f32_vec(), whole.to_f32_vec());
    let own = &whole[p * part.len()..(p + 1) * part.len()];
    let size = part.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    part.iter()
        .zip(own)
        .all(|(a, b)| (a - b).abs() <= ROUNDING * size)
}
