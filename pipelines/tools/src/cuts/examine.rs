// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From a request to a report.

use super::Request;
use super::load::{Loaded, load};
use super::report::{Picture, Report, Row, TensorColumn};
use super::samples::{Samples, median};
use super::verify::{Truth, decodes};
use crate::progress::Progress;
use anyhow::{Context, Result, bail};
use splitinfer_graph::{Cut, Dim, TensorSpec, ValueInfo};
use splitinfer_runtime::{Profile, SplitModel};
use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::encoder;
use std::time::Duration;

/// So many candidates share a chain of parts. Every boundary costs a little time, so the times of many candidates
/// would be those of a chain that nobody uses; the elements' own has this length.
const CHAIN: usize = splitinfer_runtime::DEFAULT_CANDIDATES;

/// Makes the table. Takes from seconds to, for every cut of a large model, minutes.
///
/// # Errors
/// When model, sidecar or video cannot be used, or ONNX Runtime is missing or fails. A candidate that is not the
/// whole model is no error here: see [`Report::failed`].
pub fn report(request: &Request) -> Result<Report> {
    let progress = Progress::new();
    progress.say("loading the model");
    let loaded = load(request)?;
    let (model, facts) = (&loaded.model, &loaded.facts);
    let legal = model.cuts(facts);
    let legal_cuts = legal.len();
    let candidates = match request.limit {
        Some(limit) => model.candidates(facts, limit),
        None => legal,
    };
    progress.expect(candidates.len());
    let whole = SplitModel::new(model, facts, Vec::new(), &request.options)
        .with_context(|| request.model.display().to_string())?;
    let samples = {
        progress.say("preparing what the model is fed");
        Samples::take(request, &loaded, whole.input())?
    };
    let truth = match request.verify {
        true => {
            let plain = SplitModel::new(model, facts, Vec::new(), &request.options)?.unoptimised();
            Some(Truth::find(&whole, &plain, facts, &samples.inputs)?)
        }
        false => None,
    };
    let whole_ms = ms(whole.profile_on(&samples.inputs[0], request.runs)?.whole);
    let mut rows = Vec::new();
    for cuts in candidates.chunks(CHAIN) {
        let split = SplitModel::new(model, facts, cuts.to_vec(), &request.options)?;
        let plain = SplitModel::new(model, facts, cuts.to_vec(), &request.options)?.unoptimised();
        let profile = split.profile_on(&samples.inputs[0], request.runs)?;
        for (i, cut) in cuts.iter().enumerate() {
            progress.say(&cut.name);
            let mut examined = examine(&split, i, &samples.inputs, truth.as_ref(), request)?;
            if let (Some(truth), None) = (&truth, &examined.failure) {
                examined.failure = prove(&plain, i, &samples.inputs, truth)?;
            }
            rows.push(row(rows.len(), cut, &profile, i, examined));
            progress.step();
        }
    }
    let verified = request
        .verify
        .then(|| rows.iter().all(|r| r.failure.is_none()));
    let input = input_column(whole.input())?;
    Ok(Report {
        model: request
            .model
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        input,
        parameters: model.parameters(),
        macs: model.macs(facts),
        whole_ms,
        provider: request.options.provider.name(),
        threads: request.options.threads,
        legal_cuts,
        fed: samples.described.clone(),
        bits: request.bits,
        picture: picture(&loaded, &samples),
        candidates: rows,
        verified,
        assumptions: assumptions(request, &loaded),
        onnxruntime: loaded.runtime,
    })
}

struct Examined {
    coded_bytes: u64,
    max_difference: Option<f64>,
    failure: Option<String>,
}

/// Runs one candidate on every sample.
fn examine(
    split: &SplitModel,
    candidate: usize,
    inputs: &[Tensor],
    truth: Option<&Truth>,
    request: &Request,
) -> Result<Examined> {
    let mut encoder = encoder();
    let mut coded = Vec::new();
    let mut worst = Ok(0.0f64);
    for (sample, input) in inputs.iter().enumerate() {
        let tensors = split.head(candidate, input)?;
        // The samples are no stream: each must stand for itself.
        encoder.reset();
        let bytes = encoder.encode(sample as u64, &tensors, request.bits)?;
        coded.push(bytes.len() as u64);
        if let Some(truth) = truth
            && worst.is_ok()
        {
            let outputs = split.tail(candidate, &tensors)?;
            let found = decodes(&tensors, &bytes).and_then(|()| truth.distance(&outputs, sample));
            worst = worst.and_then(|w| found.map(|d| w.max(d)));
        }
    }
    Ok(Examined {
        coded_bytes: median(coded),
        max_difference: worst.as_ref().ok().copied().filter(|_| request.verify),
        failure: worst.err(),
    })
}

fn prove(
    plain: &SplitModel,
    candidate: usize,
    inputs: &[Tensor],
    truth: &Truth,
) -> Result<Option<String>> {
    for (sample, input) in inputs.iter().enumerate() {
        if let Some(failure) = truth.prove(plain, candidate, input, sample)? {
            return Ok(Some(failure));
        }
    }
    Ok(None)
}

fn row(number: usize, cut: &Cut, profile: &Profile, i: usize, examined: Examined) -> Row {
    let tensor = |t: &TensorSpec| TensorColumn {
        name: t.name.clone(),
        dtype: t.dtype.name(),
        shape: t.shape.clone(),
    };
    Row {
        candidate: number,
        name: cut.name.clone(),
        tensors: cut.tensors.iter().map(tensor).collect(),
        raw_bytes: cut.raw_bytes,
        coded_bytes: examined.coded_bytes,
        head_parameters: cut.head_params,
        tail_parameters: cut.tail_params,
        head_macs: cut.head_macs,
        tail_macs: cut.tail_macs,
        head_ms: ms(profile.head[i]),
        tail_ms: ms(profile.tail[i]),
        max_difference: examined.max_difference,
        failure: examined.failure,
    }
}

fn picture(loaded: &Loaded, samples: &Samples) -> Option<Picture> {
    let (info, _) = loaded.info.as_ref().ok()?;
    Some(Picture {
        raw_bytes: u64::from(info.input.width) * u64::from(info.input.height) * 3,
        coded_bytes: (!samples.jpeg_bytes.is_empty()).then(|| median(samples.jpeg_bytes.clone())),
    })
}

/// Of interest only where pictures were fed.
fn assumptions(request: &Request, loaded: &Loaded) -> Vec<String> {
    match &loaded.info {
        Ok((_, assumptions)) if request.video.is_some() => assumptions.clone(),
        _ => Vec::new(),
    }
}

fn input_column(input: &ValueInfo) -> Result<TensorColumn> {
    let (Some(dtype), Some(dims)) = (input.dtype, &input.shape) else {
        bail!("input {} has no known type", input.name);
    };
    let size = |d: &Dim| match d {
        Dim::Fixed(n) => *n,
        Dim::Symbol(_) => 0,
    };
    Ok(TensorColumn {
        name: input.name.clone(),
        dtype: dtype.name(),
        shape: dims.iter().map(size).collect(),
    })
}

fn ms(time: Duration) -> f64 {
    // Microseconds are as fine as these times are true.
    (time.as_secs_f64() * 1e6).round() / 1e3
}
