// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Gradients of a whole model against PyTorch's, parameter by parameter.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use splitinfer_grad_reference::compare::{relative_error, size};
use splitinfer_grad_reference::drawn::uniform;
use splitinfer_grad_reference::gradients::{Fusion, of_model};
use splitinfer_grad_reference::{Trainee, options};
use splitinfer_runtime::Session;
use splitinfer_tensor::Tensor;

use super::Subject;
use super::job::save_tensors;
use super::python::{self, Waiting};
use super::worker::read_tensors;

/// A parameter, and how far its gradient is from PyTorch's in float64, relative to its largest element.
pub struct Error {
    pub parameter: String,
    pub ours: f64,
    /// Without what ONNX Runtime fuses, and with PyTorch on our side of every kink: the error of the arithmetic.
    pub decided: f64,
    /// PyTorch in float32: what single precision costs on the same graph.
    pub float32: f64,
    /// The same on our side of every kink.
    pub floor: f64,
    /// The same with the sums of the gradients of weights and biases in double precision.
    pub double_sums: f64,
}

/// The errors of all parameters; `None` where PyTorch or the video is missing. `random`: dL/dtensor of the judged tensors
/// is noise; else it is the tensor itself, as of a mean square.
///
/// # Errors
/// When the model cannot be trained, or PyTorch cannot run it.
pub fn errors(subject: &Subject, random: bool) -> Result<Option<Vec<Error>>> {
    let trainee = Trainee::load(&subject.path, 1)?;
    let mut inputs = Vec::new();
    for (name, dtype, shape) in trainee.inputs() {
        let Some(picture) = subject.picture(dtype, &shape)? else {
            return Ok(None);
        };
        inputs.push((name, picture));
    }
    let seeds = seeds(&trainee, &inputs, random)?;
    let wanted: Vec<String> = trainee.parameters().into_iter().map(|p| p.name).collect();
    let gradients = |fusion| {
        of_model(
            &trainee.model,
            &trainee.facts,
            &borrowed(&inputs),
            &borrowed(&seeds),
            &wanted,
            fusion,
        )
    };
    let (ours, unfused) = (gradients(Fusion::Allowed)?, gradients(Fusion::Off)?);
    let folder = tempfile::tempdir()?;
    trainee.model.save(&folder.path().join("model.onnx"))?;
    let labelled = |kind: &str, tensors: Vec<(String, Tensor)>| -> Vec<(String, Tensor)> {
        tensors
            .into_iter()
            .map(|(name, t)| (format!("{kind}:{name}"), t))
            .collect()
    };
    let sides = sides(&trainee, &inputs)?;
    let data = [
        labelled("in", inputs),
        labelled("seed", seeds),
        labelled("side", sides),
    ]
    .concat();
    save_tensors(&folder.path().join("data.onnx"), &data)?;
    if !run_pytorch(folder.path(), &wanted)? {
        return Ok(None);
    }
    let theirs = read_tensors(&folder.path().join("found.onnx"))?;
    let of = |name: &str| {
        theirs
            .get(name)
            .with_context(|| format!("PyTorch gave no {name}"))
    };
    let references = wanted.iter().map(|p| of(&format!("float64:{p}")));
    let references = references.collect::<Result<Vec<_>>>()?;
    let scale = references.iter().map(|t| size(t)).fold(0.0, f64::max);
    let mut errors = Vec::new();
    for (parameter, reference) in wanted.iter().zip(references) {
        let find = |all: &[(String, Tensor)], reference| {
            let found = all.iter().find(|(n, _)| n == parameter);
            let found = found.with_context(|| format!("'{parameter}' has no gradient"))?;
            Ok::<_, anyhow::Error>(relative_error(reference, &found.1, scale))
        };
        let sided = of(&format!("sides64:{parameter}"))?;
        errors.push(Error {
            parameter: parameter.clone(),
            ours: find(&ours, reference)?,
            decided: find(&unfused, sided)?,
            float32: relative_error(reference, of(&format!("float32:{parameter}"))?, scale),
            floor: relative_error(sided, of(&format!("sides32:{parameter}"))?, scale),
            double_sums: relative_error(sided, of(&format!("sums:{parameter}"))?, scale),
        });
    }
    Ok(Some(errors))
}

fn seeds(
    trainee: &Trainee,
    inputs: &[(String, Tensor)],
    random: bool,
) -> Result<Vec<(String, Tensor)>> {
    let judged = trainee.losses.iter().map(|l| l.tensor.clone());
    if !random {
        let session = splitinfer_runtime::Session::from_model(
            &trainee.model,
            &splitinfer_grad_reference::options(1),
        )?;
        return Ok(session.run(&borrowed(inputs))?);
    }
    let seed = |tensor: String| {
        let fact = trainee
            .facts
            .get(&tensor)
            .context("a loss's tensor is known")?;
        let seed = uniform(&format!("seed:{tensor}"), &fact.shape)?;
        Ok((tensor, seed))
    };
    judged.map(seed).collect()
}

/// What goes into each operator with kinks, as ONNX Runtime computes it without fusing.
fn sides(trainee: &Trainee, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
    let kinked = trainee
        .model
        .ordered_nodes()
        .filter(|n| matches!(n.op_type(), "Clip" | "MaxPool" | "Relu"));
    let names: BTreeSet<String> = kinked.filter_map(|n| n.input.first().cloned()).collect();
    if names.is_empty() {
        return Ok(vec![]);
    }
    let from: Vec<String> = inputs.iter().map(|(n, _)| n.clone()).collect();
    let names: Vec<String> = names.into_iter().collect();
    let model = trainee.model.part(&trainee.facts, &from, &names)?;
    Ok(Session::unoptimised(&model, &options(1))?.run(&borrowed(inputs))?)
}

fn borrowed(tensors: &[(String, Tensor)]) -> Vec<(&str, &Tensor)> {
    tensors.iter().map(|(n, t)| (n.as_str(), t)).collect()
}

/// Writes `found.onnx`; says whether there is a PyTorch.
fn run_pytorch(folder: &Path, parameters: &[String]) -> Result<bool> {
    let Some(mut command) = python::module("pytorch.gradients", Waiting::Asleep) else {
        return Ok(false);
    };
    let file = |name: &str| folder.join(name);
    let job = json!({
        "model": file("model.onnx"), "data": file("data.onnx"), "output": file("found.onnx"),
        "parameters": parameters, "threads": 1,
    });
    std::fs::write(file("job.json"), serde_json::to_vec(&job)?)?;
    let status = command.arg(file("job.json")).status()?;
    ensure!(
        status.success(),
        "PyTorch cannot run the model; its message is above"
    );
    Ok(true)
}
