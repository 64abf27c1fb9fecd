// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A process that trains, and nothing else: it makes a step for each line it reads, so that the steps of several
//! processes can take turns, and says how much memory it took.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use splitinfer_grad::{Optimizer, Spec};
use splitinfer_graph::{Model, read_constant};
use splitinfer_runtime::{Session, load_library};
use splitinfer_tensor::Tensor;
use splitinfer_trainer::Sample;

use super::Job;
use super::job::Term;
use splitinfer_grad_reference::options;

/// The argument that makes a measurement's program a worker.
pub const ARGUMENT: &str = "--worker";

/// Works if this process was started to; says whether it was.
///
/// # Errors
/// When the job cannot be done.
pub fn work_if_asked() -> Result<bool> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ARGUMENT) {
        return Ok(false);
    }
    let job = arguments.next().context("the worker needs a job")?;
    work(Path::new(&job))?;
    Ok(true)
}

fn work(file: &Path) -> Result<()> {
    load_library(Some(&crate::build_folder()))?;
    let job: Job = serde_json::from_slice(&std::fs::read(file)?)?;
    let before = resident("VmRSS:")?;
    let mut step = stepper(&job)?;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            "peak" => println!("{} {before}", resident("VmHWM:")?),
            _ => {
                let (seconds, loss) = step()?;
                println!("{seconds} {loss}");
            }
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}

type Stepper = Box<dyn FnMut() -> Result<(f64, f32)>>;

/// What makes a step and gives its time in seconds, and the loss before it.
fn stepper(job: &Job) -> Result<Stepper> {
    let model = Model::load(&job.model)?;
    let data = read_tensors(&job.data)?;
    if job.train {
        return trainer(job, &model, &data);
    }
    let inputs = data
        .into_iter()
        .filter_map(|(key, tensor)| Some((key.strip_prefix("in:")?.to_owned(), tensor)));
    let inputs: Vec<(String, Tensor)> = inputs.collect();
    let session = Session::from_model(&model, &options(job.threads))?;
    Ok(Box::new(move || {
        let given: Vec<(&str, &Tensor)> = inputs.iter().map(|(n, t)| (n.as_str(), t)).collect();
        let start = Instant::now();
        session.run(&given)?;
        Ok((start.elapsed().as_secs_f64(), 0.0))
    }))
}

/// Steps as a trainer makes them, of a batch that is ready.
fn trainer(job: &Job, model: &Model, data: &HashMap<String, Tensor>) -> Result<Stepper> {
    let spec = Spec {
        parameters: job.parameters.clone(),
        losses: job.losses.iter().map(Term::loss).collect(),
        optimizer: Optimizer::adam(),
        clip_norm: None,
    };
    let options = options(job.threads);
    let mut stepper = splitinfer_trainer::Stepper::new(model, &spec, job.batch, &options)?;
    let inputs: Vec<String> = model.inputs().into_iter().map(|i| i.name).collect();
    let samples = (0..job.batch).map(|i| sample(job, &inputs, data, i));
    let samples = samples.collect::<Result<Vec<Sample>>>()?;
    let batch = stepper.batch(&samples.iter().collect::<Vec<_>>())?;
    let rate = f64::from(job.rate);
    Ok(Box::new(move || {
        let start = Instant::now();
        let report = stepper.step(&batch, rate)?;
        Ok((start.elapsed().as_secs_f64(), report.loss))
    }))
}

/// Picture `i` of the batch.
fn sample(
    job: &Job,
    inputs: &[String],
    data: &HashMap<String, Tensor>,
    i: usize,
) -> Result<Sample> {
    let own = |key: String| {
        let tensor = data
            .get(&key)
            .with_context(|| format!("there is no {key}"))?;
        part(tensor, i, job.batch)
    };
    let inputs = inputs.iter().map(|n| own(format!("in:{n}")));
    let targets = job
        .losses
        .iter()
        .map(|t| own(format!("target:{}", t.tensor)));
    Ok(Sample::new(
        inputs.collect::<Result<_>>()?,
        targets.collect::<Result<_>>()?,
    ))
}

/// Part `i` of `count` along the first axis.
fn part(tensor: &Tensor, i: usize, count: usize) -> Result<Tensor> {
    let mut shape = tensor.shape().to_vec();
    *shape.first_mut().context("a batch has an axis")? /= count;
    let size = tensor.byte_len() / count;
    let bytes = &tensor.to_le_bytes()[i * size..(i + 1) * size];
    Ok(Tensor::from_le_bytes(tensor.dtype(), shape, bytes)?)
}

/// The tensors of a file that `job::save_tensors` wrote.
///
/// # Errors
/// When it cannot be read.
pub fn read_tensors(file: &Path) -> Result<HashMap<String, Tensor>> {
    let model = Model::load(file)?;
    let tensors = model.proto().graph.iter().flat_map(|g| &g.initializer);
    let read = |t| {
        Some((
            String::from(splitinfer_graph::proto::TensorProto::name(t)),
            read_constant(t)?,
        ))
    };
    tensors
        .map(|t| read(t).context("a tensor cannot be read"))
        .collect()
}

/// Bytes, from Linux's account of this process.
fn resident(key: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix(key))
        .context("no such line in /proc/self/status")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
