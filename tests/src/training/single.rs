// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Single convolutions: every form of the gradient of the weights in ONNX Runtime, against PyTorch's own.

use std::time::Instant;

use anyhow::{Result, ensure};
use indicatif::ProgressBar;
use serde_json::json;
use splitinfer_runtime::{Session, random_tensor};
use splitinfer_tensor::{DType, Tensor};

use super::Child;
use super::convolution::Convolution;
use super::python::Waiting;
use super::weight_forms::{forms, only};
use splitinfer_grad_reference::options;

/// Milliseconds, the fastest of all rounds: what others do on the machine only ever adds to a time, and these are short.
pub struct Row {
    pub forms: Vec<(&'static str, f64)>,
    /// Gradient of the weights, forward pass.
    pub pytorch: Option<[f64; 2]>,
}

/// Sums of this many products in another order differ by less, relative to the largest.
const AGREEMENT: f32 = 1e-3;

/// # Errors
/// When a form does not run, or gives another gradient than the first.
pub fn measure(c: &Convolution, threads: usize, rounds: usize, bar: &ProgressBar) -> Result<Row> {
    let [height, width] = c.output();
    let x = random_tensor(
        DType::F32,
        &[c.pictures, c.inputs, c.height, c.width],
        1.0,
        1,
    );
    let dy = random_tensor(DType::F32, &[c.pictures, c.outputs, height, width], 1.0, 2);
    let given: [(&str, &Tensor); 2] = [("x", &x), ("seed/y", &dy)];
    let mut sessions = Vec::new();
    let mut first: Option<Tensor> = None;
    for (name, model) in forms(c)? {
        let session = Session::from_model(&model, &options(threads))?;
        let dw = only(session.run(&given)?)?;
        let reference = first.get_or_insert_with(|| dw.clone());
        let difference =
            crate::model::largest_difference(&[("".into(), reference.clone())], &[("".into(), dw)]);
        let largest = reference
            .to_f32_vec()
            .iter()
            .fold(0f32, |m, v| m.max(v.abs()));
        ensure!(
            difference <= AGREEMENT * largest,
            "'{name}' of {c} differs by {difference} of {largest}"
        );
        sessions.push((name, session, Vec::new()));
    }
    let job = json!({
        "x": x.shape(), "dy": dy.shape(), "w": [c.outputs, c.inputs / c.groups, c.kernel, c.kernel],
        "stride": c.stride, "padding": c.padding, "dilation": c.dilation, "groups": c.groups, "threads": threads,
    });
    let mut pytorch = Child::pytorch("pytorch.convolution", &job, Waiting::Default)?;
    let mut theirs = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for (_, session, times) in &mut sessions {
            let start = Instant::now();
            session.run(&given)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        if let Some(pytorch) = &mut pytorch {
            theirs[0].push(pytorch.time("dw")? * 1e3);
            theirs[1].push(pytorch.time("forward")? * 1e3);
        }
        if round == 0 {
            sessions.iter_mut().for_each(|(_, _, times)| times.clear());
            theirs.iter_mut().for_each(Vec::clear);
        }
        bar.tick();
    }
    Ok(Row {
        forms: sessions
            .into_iter()
            .map(|(name, _, times)| (name, fastest(&times)))
            .collect(),
        pytorch: pytorch.is_some().then(|| theirs.map(|t| fastest(&t))),
    })
}

fn fastest(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}
