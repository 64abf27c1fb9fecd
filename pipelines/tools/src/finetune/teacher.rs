// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The model whose outputs on a picture are what the student should give.

use super::goals::{Squash, Wanted};
use super::student::not_known;
use crate::cuts::load::{Sized, sized};
use anyhow::{Context, Result, bail};
use splitinfer_graph::{Facts, Model};
use splitinfer_runtime::{Session, SessionOptions, probe};
use splitinfer_tensor::Tensor;
use splitinfer_vision::{Frame, Preprocessor};
use std::path::{Path, PathBuf};

pub(super) struct Teacher {
    path: PathBuf,
    session: Session,
    input: String,
    preprocessor: Preprocessor,
    /// Of each value wanted: the output of the session, and what is still to be done to it.
    picked: Vec<(usize, Squash)>,
    shapes: Vec<Vec<usize>>,
    pub assumed: Vec<String>,
}

impl Teacher {
    /// # Errors
    /// When the file is no model, nothing says how pictures are fed to it, or it lacks a tensor that is wanted.
    pub fn load(path: &Path, wanted: &[Wanted], options: &SessionOptions) -> Result<Self> {
        let Sized { model, info, .. } = sized(path, &[])?;
        let (info, assumed) = info.map_err(|e| not_known(path, &e))?;
        let facts = probe(&model, options).with_context(|| path.display().to_string())?;
        let mut names: Vec<String> = Vec::new();
        let mut picked = Vec::new();
        for wanted in wanted {
            let (name, squash) = pick(path, &model, wanted)?;
            let place = names.iter().position(|n| *n == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            picked.push((place, squash));
        }
        let inputs: Vec<String> = model.inputs().into_iter().map(|i| i.name).collect();
        let part = model.part(&facts, &inputs, &names)?;
        Ok(Self {
            shapes: shapes(path, &facts, &names, &picked)?,
            path: path.to_owned(),
            session: Session::from_model(&part, options)?,
            input: info.input.name.clone(),
            preprocessor: Preprocessor::new(&info),
            picked,
            assumed,
        })
    }

    /// Shape of each value wanted.
    pub fn shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    /// That it answers in the shape that the student does; `i`: place among what is wanted.
    ///
    /// # Errors
    /// When it does not; the message names both shapes.
    pub fn check(&self, i: usize, wanted: &Wanted, expected: &[usize]) -> Result<()> {
        match self.shapes[i] == expected {
            true => Ok(()),
            false => bail!(
                "{}: {} is {:?} there, but {expected:?} in the student; teacher and student must answer alike",
                self.path.display(),
                wanted.described(),
                self.shapes[i]
            ),
        }
    }

    /// What it says of a picture, in the order of what is wanted.
    ///
    /// # Errors
    /// When ONNX Runtime fails.
    pub fn answers(&mut self, frame: &Frame<'_>) -> Result<Vec<Tensor>> {
        let (picture, _) = self.preprocessor.picture(frame)?;
        let input = self.preprocessor.tensor(&picture)?;
        let outputs = self.session.run(&[(self.input.as_str(), &input)])?;
        let picked = self.picked.iter();
        Ok(picked
            .map(|(i, squash)| squashed(&outputs[*i].1, *squash))
            .collect())
    }
}

/// The first of the names that is a tensor of the model.
fn pick(path: &Path, model: &Model, wanted: &Wanted) -> Result<(String, Squash)> {
    let there = |name: &str| {
        model
            .ordered_nodes()
            .any(|n| n.output.iter().any(|o| o == name))
    };
    if let Some((name, squash)) = wanted.names.iter().find(|(n, _)| there(n)) {
        return Ok((name.clone(), *squash));
    }
    let outputs: Vec<String> = model.outputs().into_iter().map(|o| o.name).collect();
    bail!(
        "{}: the teacher has no tensor {}, which the student should learn; its outputs are {}",
        path.display(),
        wanted.described(),
        outputs.join(", ")
    )
}

fn shapes(
    path: &Path,
    facts: &Facts,
    names: &[String],
    picked: &[(usize, Squash)],
) -> Result<Vec<Vec<usize>>> {
    let shape = |(i, _): &(usize, Squash)| {
        let fact = facts.get(&names[*i]);
        let fact = fact.with_context(|| {
            format!(
                "{}: the shape of '{}' is not known",
                path.display(),
                names[*i]
            )
        })?;
        Ok(fact.shape.clone())
    };
    picked.iter().map(shape).collect()
}

/// Probabilities of logits.
fn squashed(tensor: &Tensor, squash: Squash) -> Tensor {
    let mut values = tensor.to_f32_vec();
    match squash {
        Squash::Not => return tensor.clone(),
        Squash::Sigmoid => values
            .iter_mut()
            .for_each(|v| *v = 1.0 / (1.0 + (-*v).exp())),
        Squash::Softmax { axis } => softmax(&mut values, tensor.shape(), axis),
    }
    Tensor::new(tensor.shape().to_vec(), values).unwrap_or_else(|e| unreachable!("{e}"))
}

fn softmax(values: &mut [f32], shape: &[usize], axis: usize) {
    let Some(classes) = shape.get(axis).copied() else {
        return;
    };
    let inner: usize = shape[axis + 1..].iter().product();
    for block in values.chunks_mut((classes * inner).max(1)) {
        for place in 0..inner {
            let at = |c: usize| c * inner + place;
            let top = (0..classes)
                .map(|c| block[at(c)])
                .fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = (0..classes).map(|c| (block[at(c)] - top).exp()).sum();
            (0..classes).for_each(|c| block[at(c)] = (block[at(c)] - top).exp() / sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_is_taken_along_its_axis() {
        let logits = Tensor::new(vec![1, 2, 2], vec![0.0f32, 1.0, 0.0, 3f32.ln() + 1.0]).unwrap();
        let p = squashed(&logits, Squash::Softmax { axis: 1 }).to_f32_vec();
        for (p, expected) in p.iter().zip([0.5, 0.25, 0.5, 0.75]) {
            assert!((p - expected).abs() < 1e-6, "{p} is not {expected}");
        }
        let s = squashed(&logits, Squash::Sigmoid).to_f32_vec();
        assert_eq!(s[0], 0.5);
        assert_eq!(squashed(&logits, Squash::Not), logits);
    }
}
