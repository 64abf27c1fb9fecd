// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Head/tail pairs whose weights ONNX Runtime shares: initializers that the program owns, and a container for what the
//! kernels make of them. The product has no use for that, so it is done with `ort` directly, in a process that uses
//! nothing else of ONNX Runtime: there can be only one environment.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use ort::environment::Environment;
use ort::session::builder::{GraphOptimizationLevel, PrepackedWeights};
use ort::session::{Session, SessionInputs, SessionOutputs};
use ort::value::{DynValue, Tensor as Value};
use splitinfer_graph::proto::TensorProto;
use splitinfer_graph::{Model, read_constant};
use splitinfer_tensor::{Data, Tensor};

use super::THREADS;
use super::files::Files;
use super::holding::{Held, Outputs, input};

/// Smaller ones are sizes and the like.
const LEAST_BYTES: usize = 256;

/// All but the sessions.
pub struct Ground {
    environment: Environment,
    files: Files,
    input: DynValue,
    layout: bool,
}

impl Ground {
    /// `layout`: heads and tails, too, with the optimisations that arrange weights anew for this processor.
    ///
    /// # Errors
    /// When ONNX Runtime or the model cannot be used.
    pub fn new(files: Files, library: &Path, layout: bool) -> Result<Self> {
        let environment = ort::init_from(library)
            .map_err(|e| anyhow::anyhow!("{e}"))?
            .with_telemetry(false)
            .with_logger(Arc::new(|_, _, _, _, _| ()))
            .build()?;
        environment.set_log_level(ort::logging::LogLevel::Fatal);
        let input = value(input(&files)?)?;
        Ok(Self {
            environment,
            files,
            input,
            layout,
        })
    }
}

/// The whole model, optimised as in the product, and all pairs.
pub struct Shared<'a> {
    ground: &'a Ground,
    whole: Session,
    pairs: Vec<[Session; 2]>,
}

impl<'a> Shared<'a> {
    /// # Errors
    /// When ONNX Runtime refuses one of the sessions.
    pub fn new(ground: &'a Ground) -> Result<Self> {
        let weights = weights(&Model::load(&ground.files.whole())?)?;
        let packed = PrepackedWeights::new();
        let level = match ground.layout {
            true => GraphOptimizationLevel::All,
            false => GraphOptimizationLevel::Level2,
        };
        let make = |file: &Path, level| session(ground, file, level, &weights, &packed);
        let pair = |i| {
            let [head, tail] = ground.files.pair(i);
            Ok([make(&head, level)?, make(&tail, level)?])
        };
        Ok(Self {
            ground,
            whole: make(&ground.files.whole(), GraphOptimizationLevel::All)?,
            pairs: (0..ground.files.names.len())
                .map(pair)
                .collect::<Result<_>>()?,
        })
    }
}

impl Held for Shared<'_> {
    fn whole(&mut self) -> Result<Option<Outputs>> {
        outputs(self.whole.run(ort::inputs![&self.ground.input])?).map(Some)
    }

    fn split(&mut self, candidate: usize) -> Result<Outputs> {
        let [head, tail] = &mut self.pairs[candidate];
        let crossing = head.run(ort::inputs![&self.ground.input])?;
        let given = crossing
            .into_iter()
            .map(|(name, value)| (name.to_owned().into(), value.into()))
            .collect();
        let given: SessionInputs<'_, '_, 0> = SessionInputs::ValueMap(given);
        outputs(tail.run(given)?)
    }
}

/// The weights that all sessions share, by name.
fn weights(model: &Model) -> Result<HashMap<String, Arc<DynValue>>> {
    let all = model.proto().graph.iter().flat_map(|g| &g.initializer);
    let mut weights = HashMap::new();
    for proto in all {
        let tensor = read_constant(proto).context("a weight cannot be read")?;
        if tensor.byte_len() >= LEAST_BYTES {
            weights.insert(
                TensorProto::name(proto).to_owned(),
                Arc::new(value(tensor)?),
            );
        }
    }
    Ok(weights)
}

fn session(
    ground: &Ground,
    file: &Path,
    level: GraphOptimizationLevel,
    weights: &HashMap<String, Arc<DynValue>>,
    packed: &PrepackedWeights,
) -> Result<Session> {
    let mut builder = Session::builder(&ground.environment)?
        .with_intra_threads(THREADS)
        .map_err(plain)?
        .with_optimization_level(level)
        .map_err(plain)?
        .with_intra_op_spinning(false)
        .map_err(plain)?
        .with_prepacked_weights(packed)
        .map_err(plain)?;
    let model = Model::load(file)?;
    let own = model.proto().graph.iter().flat_map(|g| &g.initializer);
    for name in own.map(TensorProto::name) {
        if let Some(weight) = weights.get(name) {
            builder = builder
                .with_initializer(name, Arc::clone(weight))
                .map_err(plain)?;
        }
    }
    Ok(builder.commit_from_memory(&std::fs::read(file)?)?)
}

/// Without the builder that it may bring.
fn plain<R>(error: ort::Error<R>) -> anyhow::Error {
    anyhow::anyhow!("{}", error.message())
}

/// Of the types that the models of this measurement have.
fn value(tensor: Tensor) -> Result<DynValue> {
    let shape = tensor.shape().to_vec();
    Ok(match tensor.into_data() {
        Data::F32(v) => Value::from_array((shape, v))?.into_dyn(),
        Data::U8(v) => Value::from_array((shape, v))?.into_dyn(),
        Data::I64(v) => Value::from_array((shape, v))?.into_dyn(),
        Data::I32(v) => Value::from_array((shape, v))?.into_dyn(),
        other => anyhow::bail!("a weight of type {}", other.dtype().name()),
    })
}

fn outputs(outputs: SessionOutputs<'_>) -> Result<Outputs> {
    let copy = |(name, value): (&str, ort::value::ValueRef<'_>)| {
        let (shape, values) = value.try_extract_tensor::<f32>()?;
        let shape = shape.iter().map(|d| *d as usize).collect();
        Ok((name.to_owned(), Tensor::new(shape, values.to_vec())?))
    };
    outputs.iter().map(copy).collect()
}
