// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Input shapes: symbols get their numbers here, before anything runs.

use crate::error::RuntimeError;
use splitinfer_graph::{Dim, Model, ValueInfo};
use splitinfer_tensor::DType;

/// The model with the given input shapes, and with a batch of one wherever only the first of several dimensions
/// is still a symbol: video comes frame by frame.
///
/// # Errors
/// When a given shape does not fit its input, or [`RuntimeError::ShapeNotFixed`] when other dimensions remain
/// symbols (it names the input, the symbols and a shape to give).
pub fn fix_shapes(model: &Model, given: &[(String, Vec<usize>)]) -> Result<Model, RuntimeError> {
    let mut model = model.clone();
    for (name, shape) in given {
        model = model.with_input_shape(name, shape)?;
    }
    for input in model.inputs() {
        if let Some([Dim::Symbol(_), rest @ ..]) = input.shape.as_deref()
            && !rest.is_empty()
            && let Some(mut shape) = sizes(rest)
        {
            shape.insert(0, 1);
            model = model.with_input_shape(&input.name, &shape)?;
        }
    }
    model
        .inputs()
        .iter()
        .try_for_each(|input| fixed(input).map(drop))?;
    Ok(model)
}

/// Type and shape of an input without symbols.
pub(crate) fn fixed(input: &ValueInfo) -> Result<(DType, Vec<usize>), RuntimeError> {
    let (Some(dtype), Some(dims)) = (input.dtype, &input.shape) else {
        return Err(RuntimeError::InputUnknown(input.name.clone()));
    };
    let shape = sizes(dims).ok_or_else(|| not_fixed(&input.name, dims))?;
    Ok((dtype, shape))
}

fn sizes(dims: &[Dim]) -> Option<Vec<usize>> {
    let size = |d: &Dim| match d {
        Dim::Fixed(n) => Some(*n),
        Dim::Symbol(_) => None,
    };
    dims.iter().map(size).collect()
}

fn not_fixed(input: &str, dims: &[Dim]) -> RuntimeError {
    let text = |d: &Dim| match d {
        Dim::Fixed(n) => n.to_string(),
        Dim::Symbol(s) if s.is_empty() => "?".to_owned(),
        Dim::Symbol(s) => s.clone(),
    };
    // A batch of one, and a size that most vision models take.
    let example = |(i, d): (usize, &Dim)| match d {
        Dim::Fixed(n) => n.to_string(),
        Dim::Symbol(_) if i == 0 => "1".to_owned(),
        Dim::Symbol(_) => "416".to_owned(),
    };
    let symbols = dims
        .iter()
        .filter(|d| matches!(d, Dim::Symbol(_)))
        .map(text);
    RuntimeError::ShapeNotFixed {
        input: input.to_owned(),
        shape: format!("[{}]", dims.iter().map(text).collect::<Vec<_>>().join(", ")),
        symbols: symbols.collect(),
        example: dims
            .iter()
            .enumerate()
            .map(example)
            .collect::<Vec<_>>()
            .join("x"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_graph::build::GraphBuilder;
    use splitinfer_graph::proto::DimensionValue::{Param, Value};

    fn model(dims: &[&str]) -> Model {
        let dims: Vec<_> = dims
            .iter()
            .map(|d| d.parse().map_or_else(|_| Param((*d).to_owned()), Value))
            .collect();
        GraphBuilder::new(17)
            .symbolic_input("x", DType::F32, &dims)
            .node("Relu", &["x"], &["y"], vec![])
            .untyped_output("y")
            .model()
            .unwrap()
    }

    fn shape(model: &Model) -> Vec<usize> {
        fixed(&model.inputs()[0]).unwrap().1
    }

    #[test]
    fn a_symbolic_batch_alone_becomes_one() {
        assert_eq!(
            shape(&fix_shapes(&model(&["n", "3", "8", "8"]), &[]).unwrap()),
            [1, 3, 8, 8]
        );
        assert_eq!(
            shape(&fix_shapes(&model(&["2", "3"]), &[]).unwrap()),
            [2, 3]
        );
    }

    #[test]
    fn other_symbols_must_be_given() {
        let model = model(&["n", "3", "h", "w"]);
        let e = fix_shapes(&model, &[]).unwrap_err().to_string();
        assert!(
            e.contains("(n, h, w)") && e.contains("x=1x3x416x416"),
            "{e}"
        );
        let given = [("x".to_owned(), vec![1, 3, 5, 6])];
        assert_eq!(shape(&fix_shapes(&model, &given).unwrap()), [1, 3, 5, 6]);
        let given = [("images".to_owned(), vec![1])];
        assert!(
            fix_shapes(&model, &given)
                .unwrap_err()
                .to_string()
                .contains("images")
        );
        assert!(
            fix_shapes(&self::model(&["n"]), &[]).is_err(),
            "a vector has no batch"
        );
    }
}
