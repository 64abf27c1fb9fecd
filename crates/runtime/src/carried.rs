// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A model that runs again and again on what it gave the last time, such as a training step on its parameters.
//!
//! Each carried tensor has two places in memory. A run reads one and writes the other, the next run the other
//! way round; both ways are bound once (ONNX Runtime's I/O binding), so that a step copies and allocates none
//! of them. One place would not do: operators that come later in a step still read the old value.

use crate::error::RuntimeError;
use crate::exit;
use crate::held::{Given, Held};
use crate::session::{Session, SessionOptions};
use crate::value::{self, to_tensor};
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session as OrtSession};
use ort::value::{DynTensor, DynValue};
use splitinfer_graph::Model;
use splitinfer_tensor::Tensor;
use std::mem::ManuallyDrop;

/// A session some of whose outputs are inputs of the next run.
#[derive(Debug)]
pub struct CarriedSession {
    session: Session,
    ways: ManuallyDrop<[Way; 2]>,
    inputs: Vec<String>,
    /// The way whose inputs are current.
    turn: usize,
}

/// One direction: from these values to those of the other way.
#[derive(Debug)]
struct Way {
    binding: IoBinding,
    /// Names of the carried outputs.
    outputs: Vec<String>,
    /// Where the carried inputs lie.
    values: Vec<DynTensor>,
}

impl CarriedSession {
    /// `carried`: of each carried tensor the input, the output that takes its place, and the first value.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model, or a carried tensor is not as the model declares it.
    pub fn new(
        model: &Model,
        carried: &[(&str, &str, &Tensor)],
        options: &SessionOptions,
    ) -> Result<Self, RuntimeError> {
        let _inside = exit::enter()?;
        let session = Session::from_model(model, options)?;
        for (input, _, initial) in carried {
            session.check(input, &Given::from(*initial))?;
        }
        let failed = |e: ort::Error| RuntimeError::run(&e);
        let ways = session
            .with_inner(|inner| Ok([way(inner, carried)?, way(inner, carried)?]))
            .and_then(|mut ways| bind(&mut ways, carried, &session).map(|()| ways))
            .map_err(failed)?;
        let mut this = Self {
            inputs: carried.iter().map(|(i, _, _)| (*i).to_owned()).collect(),
            session,
            ways: ManuallyDrop::new(ways),
            turn: 0,
        };
        this.set(&carried.iter().map(|(_, _, t)| *t).collect::<Vec<_>>())?;
        Ok(this)
    }

    /// One run. `inputs`: all that are not carried; the carried outputs become the carried inputs of the next
    /// run. Gives the other outputs.
    ///
    /// # Errors
    /// When an input is missing, unknown, or not of the type and shape the model wants; when ONNX Runtime
    /// fails. The carried tensors are then as before.
    pub fn step(
        &mut self,
        inputs: &[(&str, &Held)],
    ) -> Result<Vec<(String, Tensor)>, RuntimeError> {
        let _inside = exit::enter()?;
        for (name, held) in inputs {
            self.session.check(name, &Given::from(*held))?;
        }
        let given = |name: &str| inputs.iter().any(|(n, _)| *n == name);
        let ports = self.session.inputs().iter();
        let mut missing = ports.filter(|p| !given(&p.name) && !self.inputs.contains(&p.name));
        if let Some(port) = missing.next() {
            return Err(RuntimeError::InputMissing {
                name: port.name.clone(),
            });
        }
        let failed = |e: ort::Error| RuntimeError::run(&e);
        let way = &mut self.ways[self.turn];
        for (name, held) in inputs {
            way.binding
                .bind_input(*name, held.value())
                .map_err(failed)?;
        }
        let outputs = self
            .session
            .with_inner(|inner| {
                let outputs = inner.run_binding(&way.binding)?;
                Ok(outputs
                    .into_iter()
                    .filter(|(name, _)| !way.carries(name))
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect::<Vec<(String, DynValue)>>())
            })
            .map_err(failed)?;
        self.turn = 1 - self.turn;
        outputs
            .into_iter()
            .map(|(name, value)| to_tensor(&name, &value).map(|t| (name, t)))
            .collect()
    }

    /// The carried tensors as they are now, in the order in which they were named.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn carried(&self) -> Result<Vec<Tensor>, RuntimeError> {
        let _inside = exit::enter()?;
        let values = self.ways[self.turn].values.iter().zip(&self.inputs);
        values
            .map(|(value, name)| value::copy_out(name, value))
            .collect()
    }

    /// The carried tensors as they are now, by the names of their inputs, for other sessions to be given.
    pub fn given(&self) -> impl Iterator<Item = (&str, Given<'_>)> {
        let values = self.ways[self.turn].values.iter().map(Given::carried);
        self.inputs.iter().map(String::as_str).zip(values)
    }

    /// Sets the carried tensors.
    ///
    /// # Errors
    /// When they are not as many, or not of the types and shapes, as the model has.
    pub fn set(&mut self, tensors: &[&Tensor]) -> Result<(), RuntimeError> {
        let _inside = exit::enter()?;
        if tensors.len() != self.inputs.len() {
            return Err(RuntimeError::Run(format!(
                "{} tensors are carried, but {} were given",
                self.inputs.len(),
                tensors.len()
            )));
        }
        for (name, tensor) in self.inputs.iter().zip(tensors) {
            self.session.check(name, &Given::from(*tensor))?;
        }
        let values = self.ways[self.turn].values.iter_mut();
        for ((value, tensor), name) in values.zip(tensors).zip(&self.inputs) {
            value::copy_in(name, value, tensor)?;
        }
        Ok(())
    }
}

impl Way {
    /// Whether this output is written into one of the carried places.
    fn carries(&self, output: &str) -> bool {
        self.outputs.iter().any(|o| o == output)
    }
}

/// A direction with places for its inputs, nothing bound yet.
fn way(session: &OrtSession, carried: &[(&str, &str, &Tensor)]) -> ort::Result<Way> {
    let allocator = Allocator::default();
    let values = carried
        .iter()
        .map(|(_, _, t)| DynTensor::new(&allocator, value::element(t.dtype()), t.shape()))
        .collect::<ort::Result<_>>()?;
    Ok(Way {
        binding: session.create_binding()?,
        outputs: carried.iter().map(|(_, o, _)| (*o).to_owned()).collect(),
        values,
    })
}

/// Binds each direction's inputs to its own places and its outputs to those of the other; what is not carried
/// goes wherever ONNX Runtime puts it.
fn bind(
    ways: &mut [Way; 2],
    carried: &[(&str, &str, &Tensor)],
    session: &Session,
) -> ort::Result<()> {
    let [a, b] = ways;
    bind_one_way(a, b, carried, session)?;
    bind_one_way(b, a, carried, session)
}

fn bind_one_way(
    from: &mut Way,
    to: &mut Way,
    carried: &[(&str, &str, &Tensor)],
    session: &Session,
) -> ort::Result<()> {
    for (i, (input, output, _)) in carried.iter().enumerate() {
        from.binding.bind_input(*input, &from.values[i])?;
        from.binding.bind_output(*output, &mut to.values[i])?;
    }
    for output in session.outputs() {
        if !carried.iter().any(|(_, o, _)| *o == output.name) {
            let cpu = MemoryInfo::new(
                AllocationDevice::CPU,
                0,
                AllocatorType::Device,
                MemoryType::CPUOutput,
            )?;
            from.binding.bind_output_to_device(&output.name, &cpu)?;
        }
    }
    Ok(())
}

impl Drop for CarriedSession {
    fn drop(&mut self) {
        if let Ok(_inside) = exit::enter() {
            // SAFETY: it is not used again, nor dropped a second time.
            unsafe { ManuallyDrop::drop(&mut self.ways) };
        }
    }
}
