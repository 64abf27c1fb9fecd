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
use splitinfer_graph::{Model, read_constant};
use splitinfer_runtime::{CarriedSession, Session, load_library};
use splitinfer_tensor::Tensor;

use super::Job;
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
    let mut data = read_tensors(&job.data)?;
    let model = Model::load(&job.model)?;
    let mut take = |key: &str| {
        data.remove(key)
            .with_context(|| format!("there is no {key}"))
    };
    let feeds = job
        .feeds
        .iter()
        .map(|(key, input)| Ok((input.clone(), take(key)?)));
    let mut feeds = feeds.collect::<Result<Vec<(String, Tensor)>>>()?;
    if !job.train {
        let session = Session::from_model(&model, &options(job.threads))?;
        return Ok(Box::new(move || {
            let given: Vec<(&str, &Tensor)> = feeds.iter().map(|(n, t)| (n.as_str(), t)).collect();
            let start = Instant::now();
            session.run(&given)?;
            Ok((start.elapsed().as_secs_f64(), 0.0))
        }));
    }
    feeds.push((
        job.learning_rate.clone(),
        Tensor::new(vec![], vec![job.rate])?,
    ));
    let initial = job
        .carried
        .iter()
        .map(|(input, _)| take(&format!("initial:{input}")));
    let initial = initial.collect::<Result<Vec<Tensor>>>()?;
    let carried: Vec<(&str, &str, &Tensor)> = job
        .carried
        .iter()
        .zip(&initial)
        .map(|((i, o), t)| (i.as_str(), o.as_str(), t))
        .collect();
    let mut session = CarriedSession::new(&model, &carried, &options(job.threads))?;
    Ok(Box::new(move || {
        let given = feeds.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
        let start = Instant::now();
        let outputs = session.step(given)?;
        let seconds = start.elapsed().as_secs_f64();
        let loss = outputs
            .iter()
            .find(|(n, _)| n == "loss")
            .context("no loss")?;
        Ok((seconds, loss.1.to_f32_vec()[0]))
    }))
}

/// All inputs of our training graph, by name.
///
/// # Errors
/// When the job's files lack one.
pub fn step_inputs(job: &Job) -> Result<Vec<(String, Tensor)>> {
    let mut data = read_tensors(&job.data)?;
    let carried = job
        .carried
        .iter()
        .map(|(input, _)| (format!("initial:{input}"), input.clone()));
    let keys = job.feeds.iter().cloned().chain(carried);
    let take = |(key, input): (String, String)| {
        let tensor = data
            .remove(&key)
            .with_context(|| format!("there is no {key}"))?;
        Ok((input, tensor))
    };
    let mut inputs = keys.map(take).collect::<Result<Vec<_>>>()?;
    inputs.push((
        job.learning_rate.clone(),
        Tensor::new(vec![], vec![job.rate])?,
    ));
    Ok(inputs)
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
