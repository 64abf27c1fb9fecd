// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One application of an operator, as its rule sees it.

use std::cell::RefCell;
use std::collections::HashMap;

use splitinfer_graph::proto::{AttributeProto, NodeProto};
use splitinfer_tensor::{DType, Tensor};

use crate::value::Value;

/// A node with its tensors and the gradients that reach it.
pub(crate) struct Call<'a> {
    pub node: &'a NodeProto,
    /// `None` for optional inputs that are left out.
    pub inputs: Vec<Option<Value>>,
    /// `None` for optional outputs that are left out.
    pub outputs: Vec<Option<Value>>,
    /// Gradient of each output, `None` where nothing depends on it.
    pub grads: Vec<Option<Value>>,
    /// Which inputs need a gradient.
    pub wanted: Vec<bool>,
    /// Values that are known without running the model.
    pub constants: &'a HashMap<String, Tensor>,
    /// The nodes that make the inputs.
    pub makers: Vec<Option<&'a NodeProto>>,
    /// Optional outputs that the rule wants the node to give besides: place, name.
    pub taps: &'a RefCell<Vec<(usize, String)>>,
}

/// The gradient of each input, or why there is none.
pub(crate) type Gradients = Result<Vec<Option<Value>>, String>;

impl Call<'_> {
    /// # Errors
    /// When the operator got fewer inputs than it needs.
    pub fn input(&self, i: usize) -> Result<&Value, String> {
        let input = self.inputs.get(i).and_then(Option::as_ref);
        input.ok_or_else(|| format!("its input {i} is missing"))
    }

    pub fn has_input(&self, i: usize) -> bool {
        self.inputs.get(i).is_some_and(Option::is_some)
    }

    pub fn output(&self) -> Result<&Value, String> {
        let output = self.outputs.first().and_then(Option::as_ref);
        output.ok_or_else(|| "its first output is missing".to_owned())
    }

    /// The gradient of the only output.
    pub fn grad(&self) -> Result<&Value, String> {
        let grad = self.grads.first().and_then(Option::as_ref);
        grad.ok_or_else(|| "only outputs without a gradient rule are used".to_owned())
    }

    pub fn wants(&self, i: usize) -> bool {
        self.wanted.get(i).copied().unwrap_or(false)
    }

    /// Whether input `i` is `op` of input `of` and nothing else.
    pub fn is_made_of(&self, i: usize, op: &str, of: usize) -> bool {
        let maker = self.makers.get(i).copied().flatten();
        let made = maker.filter(|m| m.op_type() == op && m.input.len() == 1);
        made.is_some_and(|m| Some(&m.input[0]) == self.node.input.get(of))
    }

    /// The value of an input that is known beforehand.
    ///
    /// # Errors
    /// When it depends on data.
    pub fn constant(&self, i: usize, what: &str) -> Result<&Tensor, String> {
        let name = self.node.input.get(i).map_or("", String::as_str);
        let value = self.constants.get(name);
        value.ok_or_else(|| format!("its {what} ('{name}') depend on data"))
    }

    /// Integers of an input that is known beforehand; `None` when it is left out.
    ///
    /// # Errors
    /// When they depend on data.
    pub fn constant_ints(&self, i: usize, what: &str) -> Result<Option<Vec<i64>>, String> {
        if self.node.input.get(i).is_none_or(String::is_empty) {
            return Ok(None);
        }
        let tensor = self.constant(i, what)?;
        Ok(Some(match tensor.as_slice::<i64>() {
            Some(values) => values.to_vec(),
            None => tensor.to_f32_vec().iter().map(|v| *v as i64).collect(),
        }))
    }

    /// An optional output that the node is made to give if it does not yet.
    pub fn tap(&self, place: usize, shape: &[usize], dtype: DType, name: String) -> Value {
        if let Some(Some(value)) = self.outputs.get(place) {
            return value.clone();
        }
        let value = Value::new(&name, shape, dtype);
        self.taps.borrow_mut().push((place, name));
        value
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node.attribute.iter().find(|a| a.name() == name)
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, AttributeProto::i)
    }

    pub fn float(&self, name: &str, default: f64) -> f64 {
        self.attribute(name).map_or(default, |a| f64::from(a.f()))
    }

    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|a| a.ints.as_slice())
    }

    pub fn string(&self, name: &str, default: &str) -> String {
        let text = self.attribute(name).and_then(|a| a.s.as_deref());
        text.map_or_else(
            || default.to_owned(),
            |s| String::from_utf8_lossy(s).into_owned(),
        )
    }

    /// Gradients for the inputs one by one, made only where they are wanted.
    pub fn each(
        &self,
        mut gradient: impl FnMut(usize) -> Result<Option<Value>, String>,
    ) -> Gradients {
        (0..self.inputs.len())
            .map(|i| match self.wants(i) {
                true => gradient(i),
                false => Ok(None),
            })
            .collect()
    }

    /// The gradient of the first input alone.
    pub fn first(&self, gradient: Value) -> Gradients {
        let mut all = vec![None; self.inputs.len()];
        if self.wants(0) && !all.is_empty() {
            all[0] = Some(gradient);
        }
        if (1..all.len()).any(|i| self.wants(i)) {
            let which = (1..all.len()).find(|i| self.wants(*i)).unwrap_or(1);
            let name = &self.node.input[which];
            return Err(format!("there is no gradient for its input '{name}'"));
        }
        Ok(all)
    }
}
