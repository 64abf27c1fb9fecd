// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Whole models: every parameter's gradient against what PyTorch gives in float64 (tests/fixtures/make/whole.py).

mod common;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use common::runtime;
use serde_json::Value;
use splitinfer_grad_reference::compare::doubles;
use splitinfer_grad_reference::drawn::{signs, test_card, uniform};
use splitinfer_grad_reference::gradients::{Fusion, of_model};
use splitinfer_grad_reference::{Trainee, fixture};
use splitinfer_tensor::Tensor;

/// How far norm and projections of a parameter's gradient may be from the references, relative to the norm.
struct Tolerance {
    worst: f64,
    median: f64,
}

/// The limit of single precision through a hundred layers.
const ROUNDING: Tolerance = Tolerance {
    worst: 1e-4,
    median: 2e-5,
};

/// Where a rounding puts one of a million values on the other side of a Relu's or Clip's kink, the gradients of all
/// layers before it differ by a part of what passed there; which value it is changes with the processor. PyTorch's own
/// float32 is as far from its float64: docs/measurements/gradients.md.
const KINKS: Tolerance = Tolerance {
    worst: 3e-2,
    median: 1e-2,
};

#[test]
fn gradients_of_the_shipped_students_agree_with_pytorch() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    all(&["walker-student", "traffic-student"], &folder, &ROUNDING)
}

#[test]
fn gradients_of_real_models_agree_with_pytorch() -> Result<()> {
    let Some(data) = std::env::var_os("SPLITINFER_DATA") else {
        eprintln!("SKIPPED: set SPLITINFER_DATA to the folder that holds the real models");
        return Ok(());
    };
    let folder = PathBuf::from(data).join("models");
    all(
        &["yolox_nano_416", "light_person_detector_192"],
        &folder,
        &ROUNDING,
    )?;
    let kinked = [
        "FastestDet",
        "mobilenet_v1_0.25_128_f32",
        "mobilenet_v2_1.0_224_f32",
        "movenet_lightning_f32_192",
        "blazepose_landmark_lite",
    ];
    all(&kinked, &folder, &KINKS)
}

fn all(models: &[&str], folder: &Path, tolerance: &Tolerance) -> Result<()> {
    if !runtime() {
        return Ok(());
    }
    let mut wrong = Vec::new();
    for name in models {
        let file = folder.join(format!("{name}.onnx"));
        match file.exists() {
            true => {
                wrong.extend(check(name, &file, tolerance).with_context(|| (*name).to_owned())?)
            }
            false => eprintln!("SKIPPED: there is no {}", file.display()),
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

/// What is wrong with one model's gradients.
fn check(name: &str, file: &Path, tolerance: &Tolerance) -> Result<Vec<String>> {
    let reference = fixture::folder().join(format!("whole/{name}.json"));
    let reference: Value = serde_json::from_slice(&std::fs::read(reference)?)?;
    let trainee = Trainee::load(file, 1)?;
    let range = [0, 1].map(|i| reference["range"][i].as_f64().unwrap_or_default() as f32);
    let mut inputs = Vec::new();
    for (input, dtype, shape) in trainee.inputs() {
        inputs.push((input, test_card(dtype, &shape, range)?));
    }
    let mut seeds = Vec::new();
    for term in &trainee.losses {
        let shape = &trainee
            .facts
            .get(&term.tensor)
            .context("a loss's tensor is known")?
            .shape;
        seeds.push((
            term.tensor.clone(),
            uniform(&format!("seed:{}", term.tensor), shape)?,
        ));
    }
    let judged: Vec<&str> = seeds.iter().map(|(n, _)| n.as_str()).collect();
    let expected: Vec<&str> = reference["judged"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    ensure!(
        judged == expected,
        "the last convolutions are {judged:?}, not {expected:?}"
    );
    let wanted: Vec<String> = trainee.parameters().into_iter().map(|p| p.name).collect();
    let expected = reference["parameters"]
        .as_object()
        .context("the reference has parameters")?;
    ensure!(
        wanted.len() == expected.len(),
        "{} parameters, not {}",
        wanted.len(),
        expected.len()
    );
    let found = of_model(
        &trainee.model,
        &trainee.facts,
        &borrowed(&inputs),
        &borrowed(&seeds),
        &wanted,
        Fusion::Allowed,
    )?;
    ensure!(
        found.len() == wanted.len(),
        "{} of {} parameters have gradients",
        found.len(),
        wanted.len()
    );
    let mut errors = Vec::new();
    for (parameter, gradient) in &found {
        let expected = expected
            .get(parameter)
            .with_context(|| format!("no reference of '{parameter}'"))?;
        errors.push((error(parameter, gradient, expected), parameter));
    }
    errors.sort_by(|a, b| a.0.total_cmp(&b.0));
    let median = errors[errors.len() / 2].0;
    eprintln!(
        "{name}: median {median:.1e}, worst {:.1e}",
        errors[errors.len() - 1].0
    );
    // A NaN comes last in the order and is no less than anything.
    let far = errors
        .iter()
        .filter(|(e, _)| e.is_nan() || *e > tolerance.worst);
    let mut wrong: Vec<String> = far
        .map(|(e, p)| format!("{name}: {p}: error {e:.1e}"))
        .collect();
    if median.is_nan() || median > tolerance.median {
        wrong.push(format!("{name}: the median of all errors is {median:.1e}"));
    }
    Ok(wrong)
}

fn borrowed(tensors: &[(String, Tensor)]) -> Vec<(&str, &Tensor)> {
    tensors.iter().map(|(n, t)| (n.as_str(), t)).collect()
}

/// The largest difference of norm and both projections, relative to the norm.
fn error(parameter: &str, gradient: &Tensor, expected: &Value) -> f64 {
    let values = doubles(gradient);
    let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let along = |which: &str| -> f64 {
        let direction = signs(&format!("{which}:{parameter}"), values.len());
        values.iter().zip(direction).map(|(v, s)| v * s).sum()
    };
    let expected = [0, 1, 2].map(|i| expected[i].as_f64().unwrap_or(f64::NAN));
    let differences = [norm, along("a"), along("b")]
        .into_iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs());
    differences.fold(
        0.0,
        |m: f64, d| if d.is_nan() { f64::NAN } else { m.max(d) },
    ) / expected[0]
}
