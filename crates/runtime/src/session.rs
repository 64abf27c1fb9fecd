// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One model, ready to run.

use crate::error::{RuntimeError, describe};
use crate::exit;
use crate::held::{Given, Held};
use crate::library;
use crate::provider::Provider;
use crate::stop::Stop;
use crate::value::{dtype_of, to_tensor};
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session as OrtSession, SessionInputValue, SessionInputs};
use ort::value::{DynValue, Outlet};
use splitinfer_graph::Model;
use splitinfer_tensor::{DType, Tensor};
use std::borrow::Cow;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a session uses the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionOptions {
    /// Threads that share the work of one operator (ONNX Runtime's intra-op threads); 0: one a physical core.
    pub threads: usize,
    pub provider: Provider,
    /// Number of the provider's device; the CPU has none.
    pub device: i32,
}

/// An input or output of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub name: String,
    /// `None` for sequences, maps, strings and other types that [`DType`] lacks.
    pub dtype: Option<DType>,
    /// `None` in place of a dimension that is not fixed.
    pub shape: Vec<Option<usize>>,
}

/// A model loaded into ONNX Runtime. `run` may be called from any thread; calls take turns.
#[derive(Debug)]
pub struct Session {
    // ONNX Runtime says that a session may run in several threads at once; `ort` says that this is not true of
    // all its providers and asks for exclusive access. Whoever wants two at once takes two sessions.
    inner: ManuallyDrop<Mutex<OrtSession>>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// It has run: what ONNX Runtime makes for that is there.
    has_run: AtomicBool,
}

/// What a session is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way<'a> {
    /// Speed.
    Optimised,
    /// Every operator as the model has it.
    AsItStands,
    /// As it stands, and without keeping memory.
    OneUse,
    /// Speed, and a record in this folder of what it does.
    Recorded(&'a Path),
}

impl Session {
    /// # Errors
    /// When ONNX Runtime is missing, lacks the provider, or refuses the model.
    pub fn from_model(model: &Model, options: &SessionOptions) -> Result<Self, RuntimeError> {
        Self::from_bytes(&model.to_bytes(), options)
    }

    /// As [`from_model`](Self::from_model), but every operator runs just as the model has it: ONNX Runtime may
    /// not fuse or rearrange anything. Slower; for comparisons that must not depend on what was fused.
    ///
    /// # Errors
    /// As [`from_model`](Self::from_model).
    pub fn unoptimised(model: &Model, options: &SessionOptions) -> Result<Self, RuntimeError> {
        Self::make(&model.to_bytes(), options, Way::AsItStands)
    }

    /// For a model that runs a few times and is gone: made fast, and its memory goes back to the system.
    pub(crate) fn for_one_use(
        model: &Model,
        options: &SessionOptions,
    ) -> Result<Self, RuntimeError> {
        Self::make(&model.to_bytes(), options, Way::OneUse)
    }

    /// From the bytes of an ONNX file that has no external data.
    ///
    /// # Errors
    /// As [`from_model`](Self::from_model).
    pub fn from_bytes(bytes: &[u8], options: &SessionOptions) -> Result<Self, RuntimeError> {
        Self::make(bytes, options, Way::Optimised)
    }

    /// As [`from_model`](Self::from_model), leaving a record in `folder`: `optimised.onnx`, the model with what ONNX
    /// Runtime fused and rearranged, and the time of each node of each run, once [`end_record`](Self::end_record) is
    /// called.
    ///
    /// # Errors
    /// As [`from_model`](Self::from_model); when the folder cannot be written.
    pub fn recorded(
        model: &Model,
        options: &SessionOptions,
        folder: &Path,
    ) -> Result<Self, RuntimeError> {
        Self::make(&model.to_bytes(), options, Way::Recorded(folder))
    }

    /// Ends the record of a [`recorded`](Self::recorded) session; the file of its times, in Chrome's trace format
    /// (JSON).
    ///
    /// # Errors
    /// When the session does not record.
    pub fn end_record(&self) -> Result<PathBuf, RuntimeError> {
        let _inside = exit::enter()?;
        self.with_inner(OrtSession::end_profiling)
            .map(PathBuf::from)
            .map_err(|e| RuntimeError::run(&e))
    }

    fn make(bytes: &[u8], options: &SessionOptions, way: Way) -> Result<Self, RuntimeError> {
        let environment = library::environment()?;
        let _inside = exit::enter()?;
        let provider = options.provider.dispatch(options.device)?;
        let level = match way {
            Way::Optimised | Way::Recorded(_) => GraphOptimizationLevel::All,
            Way::AsItStands | Way::OneUse => GraphOptimizationLevel::Disable,
        };
        let mut builder = OrtSession::builder(&environment)
            .map_err(RuntimeError::load)?
            .with_intra_threads(options.threads)
            .map_err(RuntimeError::load)?
            .with_optimization_level(level)
            .map_err(RuntimeError::load)?
            // Threads that spin while they wait fight the rest of the pipeline for the processor: YOLOX-nano with 2
            // threads on 2 virtual cores, chain of 3 parts beside it, took 56 ms of CPU and 93 ms of time with
            // spinning, 15 ms of both without; more parts or a busier machine make it worse.
            .with_intra_op_spinning(false)
            .map_err(RuntimeError::load)?;
        if let Some(provider) = provider {
            builder = builder.with_execution_providers([provider]).map_err(|e| {
                RuntimeError::ProviderFailed {
                    wanted: options.provider.name(),
                    device: options.device,
                    reason: crate::error::one_line(e.message()),
                }
            })?;
        }
        if way == Way::OneUse {
            // The arena keeps what it once got; probing needs all tensors of the model at once.
            let cpu = ort::ep::CPU::default().with_arena_allocator(false).build();
            builder = builder
                .with_execution_providers([cpu])
                .map_err(RuntimeError::load)?
                .with_memory_pattern(false)
                .map_err(RuntimeError::load)?;
        } else {
            builder = builder.with_env_allocators().map_err(RuntimeError::load)?;
        }
        if let Way::Recorded(folder) = way {
            builder = builder
                .with_optimized_model_path(folder.join("optimised.onnx"))
                .map_err(RuntimeError::load)?
                .with_profiling(folder.join("times"))
                .map_err(RuntimeError::load)?;
        }
        let session = builder
            .commit_from_memory(bytes)
            .map_err(RuntimeError::load)?;
        exit::guard_the_end();
        Ok(Self {
            inputs: session.inputs().iter().map(port).collect(),
            outputs: session.outputs().iter().map(port).collect(),
            inner: ManuallyDrop::new(Mutex::new(session)),
            has_run: AtomicBool::new(false),
        })
    }

    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Runs the model; inputs by name in any order, outputs in the model's order.
    ///
    /// # Errors
    /// When an input is missing, unknown, or not of the type and shape the model wants; when ONNX Runtime fails;
    /// when an output is of a type that [`DType`] lacks.
    pub fn run(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>, RuntimeError> {
        self.run_until(inputs, None)
    }

    /// As [`run`](Self::run), but another thread may end it.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`RuntimeError::Stopped`] when it was stopped.
    pub fn run_until(
        &self,
        inputs: &[(&str, &Tensor)],
        stop: Option<&Stop>,
    ) -> Result<Vec<(String, Tensor)>, RuntimeError> {
        let given: Vec<(&str, Given<'_>)> = inputs
            .iter()
            .map(|(name, tensor)| (*name, Given::from(*tensor)))
            .collect();
        let _inside = exit::enter()?;
        self.run_given(&given, stop)?
            .into_iter()
            .map(|(name, value)| to_tensor(&name, &value).map(|t| (name, t)))
            .collect()
    }

    /// As [`run`](Self::run), but inputs may be what ONNX Runtime holds already, and outputs stay there.
    ///
    /// # Errors
    /// As [`run`](Self::run), but for types of outputs.
    pub fn run_held(
        &self,
        inputs: &[(&str, Given<'_>)],
    ) -> Result<Vec<(String, Held)>, RuntimeError> {
        let _inside = exit::enter()?;
        let outputs = self.run_given(inputs, None)?.into_iter();
        Ok(outputs
            .map(|(name, value)| (name, Held::from(value)))
            .collect())
    }

    /// Checks the inputs. The caller has entered.
    fn run_given(
        &self,
        inputs: &[(&str, Given<'_>)],
        stop: Option<&Stop>,
    ) -> Result<Vec<(String, DynValue)>, RuntimeError> {
        for (name, given) in inputs {
            self.check(name, given)?;
        }
        if let Some(port) = self
            .inputs
            .iter()
            .find(|p| inputs.iter().all(|(n, _)| *n != p.name))
        {
            return Err(RuntimeError::InputMissing {
                name: port.name.clone(),
            });
        }
        let views = inputs
            .iter()
            .map(|(name, given)| Ok((Cow::Borrowed(*name), given.view()?)))
            .collect::<ort::Result<_>>()
            .map_err(|e| RuntimeError::run(&e))?;
        self.run_values(views, stop)
    }

    /// As [`run_until`](Self::run_until), but values stay ONNX Runtime's own, so that one session's outputs can be the next
    /// one's inputs without a copy. The inputs are not checked. The caller has entered ([`exit::enter`]), because
    /// releasing the values is a use of ONNX Runtime too.
    pub(crate) fn run_values(
        &self,
        inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)>,
        stop: Option<&Stop>,
    ) -> Result<Vec<(String, DynValue)>, RuntimeError> {
        let inputs: SessionInputs<'_, '_, 0> = SessionInputs::ValueMap(inputs);
        let mut session = self.inner.lock().unwrap();
        let outputs = match stop {
            Some(stop) => session.run_with_options(inputs, stop.options()),
            None => session.run(inputs),
        };
        let outputs = outputs.map_err(|e| match stop.is_some_and(Stop::is_stopped) {
            true => RuntimeError::Stopped,
            false => RuntimeError::run(&e),
        })?;
        let outputs = outputs.into_iter();
        let outputs = outputs
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        if !self.has_run.swap(true, Ordering::Relaxed) {
            exit::guard_the_end();
        }
        Ok(outputs)
    }

    /// ONNX Runtime's own session, for what has to be done with it directly. The caller has entered.
    pub(crate) fn with_inner<T>(
        &self,
        act: impl FnOnce(&mut OrtSession) -> ort::Result<T>,
    ) -> ort::Result<T> {
        act(&mut self.inner.lock().unwrap())
    }

    /// # Errors
    /// When there is no input of this name, or it is of another type or shape.
    pub(crate) fn check(&self, name: &str, given: &Given<'_>) -> Result<(), RuntimeError> {
        let port = self.inputs.iter().find(|p| p.name == name).ok_or_else(|| {
            RuntimeError::NoSuchInput {
                name: name.to_owned(),
                inputs: self.inputs.iter().map(|p| p.name.clone()).collect(),
            }
        })?;
        let kind = given.kind();
        if kind
            .as_ref()
            .is_some_and(|(dtype, shape)| port.takes(*dtype, shape))
        {
            return Ok(());
        }
        Err(RuntimeError::InputMismatch {
            name: name.to_owned(),
            expected: port.to_string(),
            got: kind.map_or("something else".into(), |(dtype, shape)| {
                describe(dtype, &shape)
            }),
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Ok(_inside) = exit::enter() {
            // SAFETY: it is not used again, nor dropped a second time.
            unsafe { ManuallyDrop::drop(&mut self.inner) };
        }
    }
}

impl Port {
    fn takes(&self, dtype: DType, shape: &[usize]) -> bool {
        let mut sizes = self.shape.iter().zip(shape);
        self.dtype == Some(dtype)
            && self.shape.len() == shape.len()
            && sizes.all(|(want, got)| want.is_none_or(|w| w == *got))
    }
}

fn port(outlet: &Outlet) -> Port {
    let value = outlet.dtype();
    Port {
        name: outlet.name().to_owned(),
        dtype: value.tensor_type().and_then(dtype_of),
        shape: value
            .tensor_shape()
            .map(|shape| shape.iter().map(|d| usize::try_from(*d).ok()).collect())
            .unwrap_or_default(),
    }
}

impl std::fmt::Display for Port {
    /// Type and shape: `float32 [1, 3, ?, ?]`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dims: Vec<String> = self
            .shape
            .iter()
            .map(|d| d.map_or_else(|| "?".to_owned(), |n| n.to_string()))
            .collect();
        let dtype = self.dtype.map_or("unknown", DType::name);
        write!(f, "{dtype} [{}]", dims.join(", "))
    }
}
