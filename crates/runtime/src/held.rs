// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Tensors that stay in ONNX Runtime, so that what one session gives is another's input without a copy.

use crate::error::RuntimeError;
use crate::exit;
use crate::value::{kind, owned, to_tensor, view};
use ort::session::SessionInputValue;
use ort::value::{DynTensor, DynValue};
use splitinfer_tensor::{DType, Tensor};
use std::mem::ManuallyDrop;

/// A tensor in ONNX Runtime's memory.
#[derive(Debug)]
pub struct Held(ManuallyDrop<DynValue>);

impl Held {
    /// The tensor, without a copy.
    ///
    /// # Errors
    /// When ONNX Runtime is missing.
    pub fn new(tensor: Tensor) -> Result<Self, RuntimeError> {
        let _inside = exit::enter()?;
        let value = owned(tensor).map_err(|e| RuntimeError::run(&e))?;
        Ok(Self::from(value))
    }

    /// A copy; `name` is for the error.
    ///
    /// # Errors
    /// When it is of a type that [`DType`] lacks.
    pub fn tensor(&self, name: &str) -> Result<Tensor, RuntimeError> {
        let _inside = exit::enter()?;
        to_tensor(name, &self.0)
    }

    pub(crate) fn value(&self) -> &DynValue {
        &self.0
    }
}

impl From<DynValue> for Held {
    fn from(value: DynValue) -> Self {
        Self(ManuallyDrop::new(value))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Ok(_inside) = exit::enter() {
            // SAFETY: it is not used again, nor dropped a second time.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}

/// What a session is given: a tensor of ours, or one that ONNX Runtime has.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Tensor(&'a Tensor),
    Held(&'a DynValue),
    Carried(&'a DynTensor),
}

impl<'a> From<&'a Tensor> for Given<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Self(Source::Tensor(tensor))
    }
}

impl<'a> From<&'a Held> for Given<'a> {
    fn from(held: &'a Held) -> Self {
        Self(Source::Held(&held.0))
    }
}

impl<'a> Given<'a> {
    pub(crate) fn carried(tensor: &'a DynTensor) -> Self {
        Self(Source::Carried(tensor))
    }

    /// As an input of a session, without a copy (but of booleans).
    pub(crate) fn view(self) -> ort::Result<SessionInputValue<'a>> {
        Ok(match self.0 {
            Source::Tensor(tensor) => view(tensor)?,
            Source::Held(value) => value.into(),
            Source::Carried(value) => value.into(),
        })
    }

    /// Type and shape; `None` where [`DType`] lacks the type.
    pub(crate) fn kind(&self) -> Option<(DType, Vec<usize>)> {
        match self.0 {
            Source::Tensor(tensor) => Some((tensor.dtype(), tensor.shape().to_vec())),
            Source::Held(value) => kind(value.dtype()),
            Source::Carried(value) => kind(value.dtype()),
        }
    }
}
