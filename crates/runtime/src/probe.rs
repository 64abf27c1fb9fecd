// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What cannot be read off a graph without running it: types and shapes of the tensors inside.

use crate::error::RuntimeError;
use crate::exit;
use crate::sample::sample;
use crate::session::{Session, SessionOptions};
use crate::shape::fixed;
use crate::value::{kind, to_tensor, view};
use splitinfer_graph::{Facts, Model, TensorFact};
use splitinfer_tensor::{DType, Tensor};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Runs the model on two different inputs and records every tensor that may cross a cut.
///
/// # Errors
/// [`RuntimeError::ShapeNotFixed`] for an input with symbolic dimensions (see [`fix_shapes`](crate::fix_shapes));
/// whatever ONNX Runtime finds wrong with the model.
pub fn probe(model: &Model, options: &SessionOptions) -> Result<Facts, RuntimeError> {
    collect(
        model,
        &model.probe_model(),
        &model.shape_only(),
        &[],
        options,
    )
}

/// As [`probe`], for every tensor, and with the values of those that constants alone decide: what
/// differentiation asks for.
///
/// `given`: inputs for which noise will not do, such as indices into a table; they are the same in both runs.
///
/// # Errors
/// As [`probe`].
pub fn probe_all(
    model: &Model,
    given: &[(&str, &Tensor)],
    options: &SessionOptions,
) -> Result<Facts, RuntimeError> {
    let (all, keep) = (model.probe_all_model(), model.without_data());
    collect(model, &all, &keep, given, options)
}

/// Runs `probe`, a form of `model` that gives more tensors, twice; values are kept of those in `keep`.
fn collect(
    model: &Model,
    probe: &Model,
    keep: &HashSet<String>,
    given: &[(&str, &Tensor)],
    options: &SessionOptions,
) -> Result<Facts, RuntimeError> {
    for input in &model.inputs() {
        fixed(input)?;
    }
    let _inside = exit::enter()?;
    let session = Session::for_one_use(probe, options)?;
    let first = run(&session, model, keep, given, 1)?;
    let second = run(&session, model, keep, given, 2)?;
    drop(session);
    give_back();
    let fact = |(name, seen): (String, Seen)| {
        let fact = compare(seen, second.get(&name));
        (name, fact)
    };
    Ok(Facts(first.into_iter().map(fact).collect()))
}

/// Hands the memory of all those tensors back to the system. The C library would keep most of it: 190 MB for
/// YOLOX-nano, several times what running the model takes.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// What one run showed of a tensor.
#[derive(PartialEq)]
struct Seen {
    dtype: DType,
    shape: Vec<usize>,
    /// Kept only of those that depend on shapes alone: all tensors of a model together are large.
    value: Option<Tensor>,
}

fn run(
    session: &Session,
    model: &Model,
    keep: &HashSet<String>,
    fixed: &[(&str, &Tensor)],
    seed: u64,
) -> Result<HashMap<String, Seen>, RuntimeError> {
    let mut seen = HashMap::new();
    let mut given = Vec::new();
    for input in model.inputs() {
        let tensor = match fixed.iter().find(|(name, _)| *name == input.name) {
            Some((_, tensor)) => (*tensor).clone(),
            None => sample(&input, seed)?,
        };
        let (dtype, shape) = (tensor.dtype(), tensor.shape().to_vec());
        let value = None;
        seen.insert(
            input.name.clone(),
            Seen {
                dtype,
                shape,
                value,
            },
        );
        given.push((input.name, tensor));
    }
    let views = given
        .iter()
        .map(|(name, tensor)| Ok((Cow::Borrowed(name.as_str()), view(tensor)?)))
        .collect::<ort::Result<_>>()
        .map_err(|e| RuntimeError::run(&e))?;
    for (name, value) in session.run_values(views, None)? {
        // Sequences, maps and strings cannot cross; they get no fact and so no cut.
        let Some((dtype, shape)) = kind(value.dtype()) else {
            continue;
        };
        let value = keep
            .contains(&name)
            .then(|| to_tensor(&name, &value))
            .transpose()?;
        seen.insert(
            name,
            Seen {
                dtype,
                shape,
                value,
            },
        );
    }
    Ok(seen)
}

fn compare(seen: Seen, again: Option<&Seen>) -> TensorFact {
    // Noise may well leave a data-dependent list (of detections, say) empty both times.
    let empty = seen.shape.contains(&0);
    let same_shape = again.is_some_and(|a| a.shape == seen.shape);
    let same_value = again.is_some_and(|a| a.value == seen.value);
    TensorFact {
        stable: !empty && same_shape,
        value: seen.value.filter(|_| same_value),
        dtype: seen.dtype,
        shape: seen.shape,
    }
}
