// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model that runs whole, or in two halves with the split point chosen anew on every call.
//!
//! The model is cut at *every* candidate at once, into a chain of part sessions: the head of candidate *i* is the
//! first *i* + 1 of them, its tail is the others. So switching the split point loads nothing and costs nothing, and
//! the chain holds each weight once. The whole model, for whoever does not split, is a session of its own. All
//! sessions are made when first needed.
//!
//! What it costs is that ONNX Runtime cannot optimise across the boundaries. Head and tail against the whole model
//! (one thread, processor's time; a pair is a chain of two parts), and the memory of the sessions against that of the
//! whole model's alone (`tests/measure.sh split-switch`, docs/measurements/split-switch.md):
//!
//! | | chain of 7 | pair | memory: chain and whole | memory: 6 pairs and whole |
//! |---|---|---|---|---|
//! | walker-student, 2.8 ms | +18 % | +4 % | × 2.0 | × 6.3 |
//! | YOLOX-nano, 19 ms | +16 % | +2 % | × 3.7 | × 9.3 |
//! | FastestDet, 8 ms | +17 % | +6 % | × 2.5 | × 7.6 |
//! | MoveNet Lightning, 13 ms | +14 % | +4 % | × 2.4 | × 7.9 |
//!
//! So it pays to name few candidates. A pair for each candidate takes three times the memory, and ONNX Runtime's
//! shared weights do not change that: what it makes of them for this processor is not shared. A pair made when the
//! split changes comes 10 to 160 ms late.

use crate::error::{RuntimeError, describe};
use crate::exit;
use crate::sample::sample;
use crate::session::{Session, SessionOptions};
use crate::shape::fixed;
use crate::stop::Stop;
use crate::value::{to_tensor, view};
use ort::session::SessionInputValue;
use ort::value::DynValue;
use splitinfer_graph::{Cut, Facts, Model, TensorSpec, ValueInfo};
use splitinfer_tensor::Tensor;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

/// How many candidates a chain has unless somebody asks for another number: enough to choose among, few enough
/// that the boundaries cost little. Elements and tools use the same, so that they number candidates alike.
pub const DEFAULT_CANDIDATES: usize = 8;

/// A model of one input with fixed shape, prepared to run whole, as head, or as tail.
///
/// It can be used from several threads at once. Each part runs for one caller at a time, so the head of one
/// frame and the tail of another run side by side.
pub struct SplitModel {
    model: Model,
    facts: Facts,
    options: SessionOptions,
    optimised: bool,
    input: ValueInfo,
    outputs: Vec<String>,
    candidates: Vec<Cut>,
    /// `candidates.len() + 1` of them.
    parts: Vec<Lazy>,
    whole: Lazy,
}

impl SplitModel {
    /// Nothing is loaded yet: see [`prepare`](Self::prepare).
    ///
    /// `candidates` are cuts of this model in the order of the graph, as `Model::cuts` and `Model::candidates`
    /// give them.
    ///
    /// # Errors
    /// When the model has more than one input or one whose shape is not fixed, or the candidates are not in
    /// order.
    pub fn new(
        model: &Model,
        facts: &Facts,
        candidates: Vec<Cut>,
        options: &SessionOptions,
    ) -> Result<Self, RuntimeError> {
        let mut inputs = model.inputs();
        if inputs.len() != 1 {
            return Err(RuntimeError::ManyInputs(
                inputs.into_iter().map(|i| i.name).collect(),
            ));
        }
        let input = inputs.remove(0);
        fixed(&input)?;
        let mut pairs = candidates.iter().zip(candidates.iter().skip(1));
        if let Some((a, b)) = pairs.find(|(a, b)| a.nodes_before > b.nodes_before) {
            return Err(RuntimeError::CandidatesOutOfOrder {
                earlier: a.name.clone(),
                later: b.name.clone(),
            });
        }
        Ok(Self {
            model: model.clone(),
            facts: facts.clone(),
            options: options.clone(),
            optimised: true,
            input,
            outputs: model.outputs().into_iter().map(|o| o.name).collect(),
            parts: (0..=candidates.len()).map(|_| Lazy::default()).collect(),
            whole: Lazy::default(),
            candidates,
        })
    }

    /// The same with every operator run just as the model has it (see [`Session::unoptimised`]). Then head and
    /// tail run the very operators that the whole model runs, and must give the very same values.
    #[must_use]
    pub fn unoptimised(self) -> Self {
        Self {
            parts: self.parts.iter().map(|_| Lazy::default()).collect(),
            whole: Lazy::default(),
            optimised: false,
            ..self
        }
    }

    /// The same cuts of `model`, the same graph with other weights, in sessions of its own that are all made and have run
    /// once: when it is taken into use nothing is left to be done. Without candidates only the whole model is made.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model, or the tensors of a cut come out in other types or shapes.
    pub fn with_weights(&self, model: &Model) -> Result<Self, RuntimeError> {
        let (_, shape) = fixed(&self.input)?;
        let model = model.with_input_shape(&self.input.name, &shape)?;
        let other = Self {
            outputs: model.outputs().into_iter().map(|o| o.name).collect(),
            parts: self.parts.iter().map(|_| Lazy::default()).collect(),
            whole: Lazy::default(),
            model,
            facts: self.facts.clone(),
            options: self.options.clone(),
            optimised: self.optimised,
            input: self.input.clone(),
            candidates: self.candidates.clone(),
        };
        let input = sample(&other.input, 1)?;
        other.whole(&input)?;
        if let Some(last) = other.candidates.len().checked_sub(1) {
            for (i, cut) in other.candidates.iter().enumerate() {
                // Checks number, types and shapes.
                other.resume(cut, &other.head(i, &input)?)?;
            }
            other.tail(last, &other.head(last, &input)?)?;
        }
        Ok(other)
    }

    pub fn candidates(&self) -> &[Cut] {
        &self.candidates
    }

    /// The model's one input; its shape is fixed.
    pub fn input(&self) -> &ValueInfo {
        &self.input
    }

    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// Loads all sessions now, rather than when they are first used.
    ///
    /// # Errors
    /// When ONNX Runtime refuses one of them.
    pub fn prepare(&self) -> Result<(), RuntimeError> {
        self.whole_session()?;
        (0..self.parts.len()).try_for_each(|i| self.part(i).map(drop))
    }

    /// The whole model; outputs in the model's order.
    ///
    /// # Errors
    /// When the input is not of the model's type and shape, or ONNX Runtime fails.
    pub fn whole(&self, input: &Tensor) -> Result<Vec<(String, Tensor)>, RuntimeError> {
        self.whole_until(input, None)
    }

    /// As [`whole`](Self::whole), but another thread may end it.
    ///
    /// # Errors
    /// As [`whole`](Self::whole); [`RuntimeError::Stopped`] when it was stopped.
    pub fn whole_until(
        &self,
        input: &Tensor,
        stop: Option<&Stop>,
    ) -> Result<Vec<(String, Tensor)>, RuntimeError> {
        let session = self.whole_session()?;
        session.run_until(&[(&self.input.name, input)], stop)
    }

    /// From the input up to a candidate; the tensors in the order of `candidates()[candidate].tensors`.
    ///
    /// # Errors
    /// When there is no such candidate, the input is not of the model's type and shape, or ONNX Runtime fails.
    pub fn head(&self, candidate: usize, input: &Tensor) -> Result<Vec<Tensor>, RuntimeError> {
        let cut = self.candidate(candidate)?;
        let _inside = exit::enter()?;
        let mut live = self.start(input)?;
        for part in 0..=candidate {
            self.advance(part, &mut live, None)?;
        }
        gather(&live, cut.tensors.iter().map(|t| t.name.as_str()))
    }

    /// From the tensors of a candidate to those of the next one: all heads one after the other, at the price of the last.
    ///
    /// # Errors
    /// When there is no such or no next candidate, the tensors are not those that cross it (in number, type or shape), or
    /// ONNX Runtime fails.
    pub fn onward(
        &self,
        candidate: usize,
        tensors: &[Tensor],
    ) -> Result<Vec<Tensor>, RuntimeError> {
        let next = self.candidate(candidate + 1)?;
        let _inside = exit::enter()?;
        let mut live = self.resume(self.candidate(candidate)?, tensors)?;
        self.advance(candidate + 1, &mut live, None)?;
        gather(&live, next.tensors.iter().map(|t| t.name.as_str()))
    }

    /// From the tensors of a candidate to the model's outputs, in the model's order.
    ///
    /// # Errors
    /// When there is no such candidate, the tensors are not those that cross it (in number, type or shape), or
    /// ONNX Runtime fails.
    pub fn tail(
        &self,
        candidate: usize,
        tensors: &[Tensor],
    ) -> Result<Vec<(String, Tensor)>, RuntimeError> {
        self.tail_until(candidate, tensors, None)
    }

    /// As [`tail`](Self::tail), but another thread may end it.
    ///
    /// # Errors
    /// As [`tail`](Self::tail); [`RuntimeError::Stopped`] when it was stopped.
    pub fn tail_until(
        &self,
        candidate: usize,
        tensors: &[Tensor],
        stop: Option<&Stop>,
    ) -> Result<Vec<(String, Tensor)>, RuntimeError> {
        let _inside = exit::enter()?;
        let mut live = self.resume(self.candidate(candidate)?, tensors)?;
        for part in candidate + 1..self.parts.len() {
            self.advance(part, &mut live, stop)?;
        }
        let outputs = gather(&live, self.outputs.iter().map(String::as_str))?;
        Ok(self.outputs.iter().cloned().zip(outputs).collect())
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Names of the model's outputs.
    pub(crate) fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// The input as if it crossed a cut.
    pub(crate) fn input_spec(&self) -> Result<TensorSpec, RuntimeError> {
        let (dtype, shape) = fixed(&self.input)?;
        let name = self.input.name.clone();
        Ok(TensorSpec { name, dtype, shape })
    }

    pub(crate) fn candidate(&self, i: usize) -> Result<&Cut, RuntimeError> {
        self.candidates.get(i).ok_or(RuntimeError::NoSuchCandidate {
            wanted: i,
            count: self.candidates.len(),
        })
    }

    /// The input, checked, as the beginning of the chain.
    pub(crate) fn start<'a>(&self, input: &'a Tensor) -> Result<Live<'a>, RuntimeError> {
        let (dtype, shape) = fixed(&self.input)?;
        if input.dtype() != dtype || input.shape() != shape {
            return Err(RuntimeError::InputMismatch {
                name: self.input.name.clone(),
                expected: describe(dtype, &shape),
                got: describe(input.dtype(), input.shape()),
            });
        }
        Ok(HashMap::from([(
            self.input.name.clone(),
            Value::Given(input),
        )]))
    }

    fn resume<'a>(&self, cut: &Cut, tensors: &'a [Tensor]) -> Result<Live<'a>, RuntimeError> {
        if tensors.len() != cut.tensors.len() {
            return Err(RuntimeError::TensorCount {
                cut: cut.name.clone(),
                expected: cut.tensors.len(),
                got: tensors.len(),
            });
        }
        for (spec, tensor) in cut.tensors.iter().zip(tensors) {
            if tensor.dtype() != spec.dtype || tensor.shape() != spec.shape {
                return Err(RuntimeError::TensorMismatch {
                    name: spec.name.clone(),
                    expected: describe(spec.dtype, &spec.shape),
                    got: describe(tensor.dtype(), tensor.shape()),
                });
            }
        }
        let names = cut.tensors.iter().map(|t| t.name.clone());
        Ok(names.zip(tensors.iter().map(Value::Given)).collect())
    }

    /// Runs one part: `live` holds what crosses the boundary before it, then what crosses the one after it.
    pub(crate) fn advance(
        &self,
        part: usize,
        live: &mut Live<'_>,
        stop: Option<&Stop>,
    ) -> Result<(), RuntimeError> {
        if let Some(session) = self.part(part)? {
            let inputs = session
                .inputs()
                .iter()
                .map(|port| {
                    let value = live
                        .get(&port.name)
                        .ok_or_else(|| RuntimeError::InputMissing {
                            name: port.name.clone(),
                        })?;
                    Ok((Cow::Borrowed(port.name.as_str()), value.view()?))
                })
                .collect::<Result<Vec<_>, RuntimeError>>()?;
            let made = session.run_values(inputs, stop)?;
            live.extend(
                made.into_iter()
                    .map(|(name, value)| (name, Value::Made(value))),
            );
        }
        let after = self.boundary(part + 1);
        live.retain(|name, _| after.contains(&name.as_str()));
        Ok(())
    }

    /// Names of what crosses between part `i - 1` and part `i`.
    pub(crate) fn boundary(&self, i: usize) -> Vec<&str> {
        if i == 0 {
            vec![&self.input.name]
        } else if let Some(cut) = self.candidates.get(i - 1) {
            cut.tensors.iter().map(|t| t.name.as_str()).collect()
        } else {
            self.outputs.iter().map(String::as_str).collect()
        }
    }

    /// `None` when nothing is computed between the two boundaries.
    fn part(&self, i: usize) -> Result<Option<&Session>, RuntimeError> {
        self.parts[i].get(|| {
            let before = self.boundary(i);
            let names = |v: &[&str]| v.iter().map(|n| (*n).to_owned()).collect::<Vec<String>>();
            let mut new = self.boundary(i + 1);
            // What only passes through is handed on by `advance`.
            new.retain(|name| !before.contains(name));
            if new.is_empty() {
                return Ok(None);
            }
            let part = self
                .model
                .part(&self.facts, &names(&before), &names(&new))?;
            self.session(&part).map(Some)
        })
    }

    fn session(&self, model: &Model) -> Result<Session, RuntimeError> {
        match self.optimised {
            true => Session::from_model(model, &self.options),
            false => Session::unoptimised(model, &self.options),
        }
    }

    fn whole_session(&self) -> Result<&Session, RuntimeError> {
        let session = self.whole.get(|| self.session(&self.model).map(Some))?;
        Ok(session.expect("the whole model is never nothing"))
    }
}

/// The tensors that are alive at a boundary of the chain, by name.
pub(crate) type Live<'a> = HashMap<String, Value<'a>>;

pub(crate) enum Value<'a> {
    /// The caller's.
    Given(&'a Tensor),
    /// ONNX Runtime's, passed from part to part without a copy.
    Made(DynValue),
}

impl Value<'_> {
    fn view(&self) -> Result<SessionInputValue<'_>, RuntimeError> {
        match self {
            Self::Given(tensor) => view(tensor).map_err(|e| RuntimeError::run(&e)),
            Self::Made(value) => Ok(value.into()),
        }
    }
}

/// Copies the named tensors out.
pub(crate) fn gather<'a>(
    live: &Live<'_>,
    names: impl Iterator<Item = &'a str>,
) -> Result<Vec<Tensor>, RuntimeError> {
    names
        .map(|name| match live.get(name) {
            Some(Value::Given(tensor)) => Ok((*tensor).clone()),
            Some(Value::Made(value)) => to_tensor(name, value),
            None => Err(RuntimeError::Run(format!("no part computed `{name}`"))),
        })
        .collect()
}

/// A session that is made when first asked for, once, however many threads ask.
#[derive(Default)]
struct Lazy {
    cell: OnceLock<Option<Session>>,
    making: Mutex<()>,
}

impl Lazy {
    fn get(
        &self,
        make: impl FnOnce() -> Result<Option<Session>, RuntimeError>,
    ) -> Result<Option<&Session>, RuntimeError> {
        if let Some(session) = self.cell.get() {
            return Ok(session.as_ref());
        }
        let _one_at_a_time = self.making.lock().unwrap();
        if let Some(session) = self.cell.get() {
            return Ok(session.as_ref());
        }
        let session = make()?;
        Ok(self.cell.get_or_init(|| session).as_ref())
    }
}
