// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The frames of several callers in one run.
//!
//! What it gains depends on the model and on what computes it: much where weights are read for each frame anew (wide fully
//! connected layers), little or nothing where one frame keeps the processor busy already
//! (`tests/measure.sh batching`, docs/measurements/batching.md). So whoever uses it measures.

use crate::error::{RuntimeError, describe};
use crate::probe::probe_all;
use crate::sample::sample;
use crate::session::{Session, SessionOptions};
use crate::split::SplitModel;
use splitinfer_graph::{Model, TensorSpec, ValueInfo};
use splitinfer_tensor::{DType, Tensor};

/// Frames that a new batch is tried with.
const TRIED: u64 = 3;

/// How far a result may lie from that of a frame alone, as a part of the largest number in it: another order of
/// additions, as ONNX Runtime chooses it by size.
const TOLERANCE: f32 = 1e-3;

/// The whole model, or its tail from a candidate on, for any number of frames at once; in one session, however many
/// candidates come after. Can be used from several threads; it runs for one caller at a time.
pub struct Batched {
    session: Session,
    inputs: Vec<TensorSpec>,
    /// Names.
    outputs: Vec<String>,
}

/// The model for any number of frames at once (see [`Model::batched`]), which is made after running it for one.
///
/// # Errors
/// When frames might influence one another, or the model cannot be run.
pub fn for_frames(model: &Model, options: &SessionOptions) -> Result<Model, RuntimeError> {
    // Shapes and values of what constants decide, too, such as weights that are kept in fewer bits.
    let facts = probe_all(model, &[], options)?;
    let names = |all: Vec<ValueInfo>| all.into_iter().map(|v| v.name).collect::<Vec<_>>();
    // What the shape of one frame decides becomes constant.
    let settled = model.part(&facts, &names(model.inputs()), &names(model.outputs()))?;
    Ok(settled.batched(&facts)?)
}

impl SplitModel {
    /// The tail of a candidate, or the whole model, for several frames at once. Takes as long as making a session and
    /// running a few frames: it is not given away before made-up frames, all different, have come out of it as they do
    /// one by one.
    ///
    /// # Errors
    /// When frames might influence one another (see [`Model::batched`]), when ONNX Runtime refuses the
    /// model, or when results differ: says why.
    pub fn batched(&self, from: Option<usize>) -> Result<Batched, RuntimeError> {
        let inputs = match from {
            Some(candidate) => self.candidate(candidate)?.tensors.clone(),
            None => vec![self.input_spec()?],
        };
        let names: Vec<_> = inputs.iter().map(|t| t.name.clone()).collect();
        let part = self.model().part(self.facts(), &names, self.outputs())?;
        let model = for_frames(&part, self.options())?;
        let batched = Batched {
            session: Session::from_model(&model, self.options())?,
            inputs,
            outputs: self.outputs().to_vec(),
        };
        batched.compare(self, from)?;
        Ok(batched)
    }
}

impl Batched {
    /// `frames`: of each the tensors of the cut, in the order of its `tensors`, or the one input of the whole model. Gives
    /// of each the outputs, in the model's order.
    ///
    /// # Errors
    /// When there is no frame, a tensor is not what one frame has, or ONNX Runtime fails.
    pub fn run(&self, frames: &[&[Tensor]]) -> Result<Vec<Vec<(String, Tensor)>>, RuntimeError> {
        for frame in frames {
            self.check(frame)?;
        }
        let joined: Vec<Tensor> = (0..self.inputs.len())
            .map(|i| {
                let each: Vec<_> = frames.iter().map(|frame| &frame[i]).collect();
                Tensor::join(&each).map_err(|e| RuntimeError::Run(e.to_string()))
            })
            .collect::<Result<_, _>>()?;
        let names = self.inputs.iter().map(|t| t.name.as_str());
        let made = self.session.run(&names.zip(&joined).collect::<Vec<_>>())?;
        let mut results: Vec<Vec<(String, Tensor)>> = frames.iter().map(|_| Vec::new()).collect();
        for name in &self.outputs {
            let (_, tensor) = made
                .iter()
                .find(|(n, _)| n == name)
                .ok_or_else(|| RuntimeError::Run(format!("no part computed `{name}`")))?;
            let divided = tensor
                .divide(frames.len())
                .map_err(|e| RuntimeError::Run(e.to_string()))?;
            for (result, tensor) in results.iter_mut().zip(divided) {
                result.push((name.clone(), tensor));
            }
        }
        Ok(results)
    }

    fn check(&self, frame: &[Tensor]) -> Result<(), RuntimeError> {
        if frame.len() != self.inputs.len() {
            let (got, want) = (frame.len(), self.inputs.len());
            let text = format!("{got} tensors were given of a frame that has {want}");
            return Err(RuntimeError::Run(text));
        }
        let mut pairs = self.inputs.iter().zip(frame);
        match pairs.find(|(spec, t)| t.dtype() != spec.dtype || t.shape() != spec.shape) {
            None => Ok(()),
            Some((spec, tensor)) => Err(RuntimeError::TensorMismatch {
                name: spec.name.clone(),
                expected: describe(spec.dtype, &spec.shape),
                got: describe(tensor.dtype(), tensor.shape()),
            }),
        }
    }

    /// Runs different frames together and one by one.
    fn compare(&self, split: &SplitModel, from: Option<usize>) -> Result<(), RuntimeError> {
        let mut frames = Vec::new();
        let mut alone = Vec::new();
        for seed in 1..=TRIED {
            let input = sample(split.input(), seed)?;
            match from {
                Some(candidate) => {
                    let crossing = split.head(candidate, &input)?;
                    alone.push(split.tail(candidate, &crossing)?);
                    frames.push(crossing);
                }
                None => {
                    alone.push(split.whole(&input)?);
                    frames.push(vec![input]);
                }
            }
        }
        let frames: Vec<_> = frames.iter().map(Vec::as_slice).collect();
        let together = self.run(&frames)?;
        let mut pairs = together.iter().flatten().zip(alone.iter().flatten());
        match pairs.find(|((_, a), (_, b))| !alike(a, b)) {
            None => Ok(()),
            Some(((name, _), _)) => Err(RuntimeError::Run(format!(
                "output `{name}` of several frames at once is not that of each"
            ))),
        }
    }
}

fn alike(a: &Tensor, b: &Tensor) -> bool {
    if a.dtype() != b.dtype() || a.shape() != b.shape() {
        return false;
    }
    if !matches!(a.dtype(), DType::F32 | DType::F16 | DType::F64) {
        return a == b;
    }
    let (a, b) = (a.to_f32_vec(), b.to_f32_vec());
    let largest = b.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let near = |(x, y): (&f32, &f32)| {
        x == y || (x - y).abs() <= TOLERANCE * largest || (x.is_nan() && y.is_nan())
    };
    a.iter().zip(&b).all(near)
}
