// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A step of training by crates/grad on ONNX Runtime against PyTorch: `tests/measure.sh training-step [--quick]`.

use std::collections::HashMap;

use anyhow::Result;
use serde_json::json;
use splitinfer_graph::Cut;
use splitinfer_tensor::Tensor;
use splitinfer_tests::measure;
use splitinfer_tests::training::child::take_turns;
use splitinfer_tests::training::convolution::Convolution;
use splitinfer_tests::training::job::Jobs;
use splitinfer_tests::training::profile::{self, Part};
use splitinfer_tests::training::{Child, Subject, Trainee, python, subjects, worker};
use tempfile::TempDir;

const BATCH: usize = 8;

/// How much is measured.
struct Sample {
    warm_up: usize,
    rounds: usize,
}

fn main() -> Result<()> {
    if worker::work_if_asked()? {
        return Ok(());
    }
    let quick = std::env::args().any(|a| a == "--quick");
    let sample = match quick {
        true => Sample {
            warm_up: 2,
            rounds: 5,
        },
        false => Sample {
            warm_up: 3,
            rounds: 25,
        },
    };
    splitinfer_tests::init();
    println!(
        "# A step of training\n\n{}; {}\n",
        measure::machine(),
        python::heading()
    );
    println!(
        "| model | batch | threads | ours ms | PyTorch ms | ours / PyTorch | ours MB (at rest) | PyTorch MB (at rest) | tail | tail step ms | PyTorch ms | forward ms | tail step / forward |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut worst: Option<f64> = None;
    let mut worst_tail: Option<f64> = None;
    for subject in subjects() {
        if quick && !subject.shipped {
            continue;
        }
        let study = Study::new(&subject)?;
        for threads in [1, 2] {
            let (ratio, tail) = row(&subject, &study, threads, &sample)?;
            if subject.shipped && threads == 2 {
                worst = ratio.map(|r| worst.unwrap_or(0.0).max(r));
                worst_tail = Some(worst_tail.unwrap_or(0.0).max(tail));
            }
        }
    }
    println!("\n## Where the time goes\n\nOne thread, by ONNX Runtime's profiler.\n");
    for subject in subjects() {
        if quick && !subject.shipped {
            continue;
        }
        breakdown(&subject, 5)?;
    }
    println!(
        "\n{}",
        json!({ "over_pytorch_ratio": worst, "tail_over_forward_ratio": worst_tail })
    );
    Ok(())
}

struct Study {
    trainee: Trainee,
    cut: Cut,
    jobs: Jobs,
    tail_jobs: Jobs,
    _folders: [TempDir; 2],
}

impl Study {
    fn new(subject: &Subject) -> Result<Self> {
        let trainee = Trainee::load(&subject.path, BATCH)?;
        let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
        let cut = trainee.late_cut()?;
        Ok(Self {
            jobs: Jobs::new(&trainee, folders[0].path())?,
            tail_jobs: Jobs::new(&trainee.tail(&cut)?, folders[1].path())?,
            trainee,
            cut,
            _folders: folders,
        })
    }
}

fn row(
    subject: &Subject,
    study: &Study,
    threads: usize,
    sample: &Sample,
) -> Result<(Option<f64>, f64)> {
    let Study { trainee, cut, .. } = study;
    let jobs = study.jobs.with_threads(threads);
    let tail_jobs = study.tail_jobs.with_threads(threads);
    let mut ours = Child::ours(&jobs.ours)?;
    let mut torch = Child::pytorch(&jobs.pytorch)?;
    let mut tail = Child::ours(&tail_jobs.ours)?;
    let mut torch_tail = Child::pytorch(&tail_jobs.pytorch)?;
    let mut forward = Child::ours(&jobs.forward)?;
    let mut all = vec![&mut ours, &mut tail, &mut forward];
    all.extend(torch.as_mut());
    all.extend(torch_tail.as_mut());
    let bar = measure::progress(sample.rounds);
    let turns = take_turns(&mut all, sample.warm_up, sample.rounds, &bar)?;
    bar.finish_and_clear();
    let t: Vec<f64> = turns.seconds.iter().map(|s| s * 1e3).collect();
    let memory = ours.memory()?;
    let torch_memory = torch.as_mut().map(|t| t.memory()).transpose()?;
    let mb = |b: u64| b as f64 / 1e6;
    let ratio = t.get(3).map(|p| t[0] / p);
    eprintln!(
        "losses ours {:?} torch {:?}",
        &turns.losses[0][..3],
        turns.losses.get(3).map(|l| &l[..3])
    );
    println!(
        "| {} | {} | {threads} | {:.2} | {:.2} | {:.2} | {:.0} ({:.0}) | {:.0} ({:.0}) | {} ({:.0} %) | {:.2} | {:.2} | {:.2} | {:.2} |",
        subject.name,
        trainee.batch,
        t[0],
        t.get(3).unwrap_or(&f64::NAN),
        ratio.unwrap_or(f64::NAN),
        mb(memory.peak),
        mb(memory.at_rest),
        torch_memory.map_or(f64::NAN, |m| mb(m.peak)),
        torch_memory.map_or(f64::NAN, |m| mb(m.at_rest)),
        measure::short(&cut.name),
        cut.tail_macs as f64 * 100.0 / (cut.head_macs + cut.tail_macs) as f64,
        t[1],
        t.get(4).unwrap_or(&f64::NAN),
        t[2],
        t[1] / t[2],
    );
    Ok((ratio, t[1] / t[2]))
}

fn breakdown(subject: &Subject, runs: usize) -> Result<()> {
    let trainee = Trainee::load(&subject.path, BATCH)?;
    let folder = tempfile::tempdir()?;
    let jobs = Jobs::new(&trainee, folder.path())?;
    let inputs = worker::step_inputs(&jobs.ours)?;
    let given: Vec<(&str, &Tensor)> = inputs.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let times = profile::node_times(&jobs.step, &given, 1, runs)?;
    let total: f64 = times.iter().map(|t| t.seconds).sum();
    println!("### {} ({:.2} ms)\n", subject.name, total * 1e3);
    for part in Part::ALL {
        let of: Vec<_> = times.iter().filter(|t| t.part == part).collect();
        let mut ops: HashMap<&str, f64> = HashMap::new();
        for time in &of {
            *ops.entry(&time.op).or_default() += time.seconds * 1e3;
        }
        let mut ops: Vec<_> = ops.into_iter().collect();
        ops.sort_by(|a, b| b.1.total_cmp(&a.1));
        let ops: Vec<String> = ops
            .iter()
            .take(6)
            .map(|(op, ms)| format!("{op} {ms:.2}"))
            .collect();
        let sum: f64 = of.iter().map(|t| t.seconds).sum();
        println!(
            "| {} | {:.2} | {} |",
            part.name(),
            sum * 1e3,
            ops.join(", ")
        );
    }
    let convolutions = Convolution::all(&trainee.model, &trainee.facts);
    let mut layers: HashMap<String, (usize, f64, HashMap<&str, f64>)> = HashMap::new();
    for time in times.iter().filter(|t| t.part == Part::Weight) {
        let Some(layer) = convolutions
            .iter()
            .find(|(_, names)| time.parameter.as_ref().is_some_and(|p| names.contains(p)))
            .map(|(c, _)| c.to_string())
        else {
            continue;
        };
        let entry = layers.entry(layer).or_default();
        entry.1 += time.seconds * 1e3;
        *entry.2.entry(&time.op).or_default() += time.seconds * 1e3;
    }
    let mut layers: Vec<_> = layers.into_iter().collect();
    layers.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
    for (layer, (_, ms, ops)) in layers.iter().take(12) {
        let mut ops: Vec<_> = ops.iter().collect();
        ops.sort_by(|a, b| b.1.total_cmp(a.1));
        let ops: Vec<String> = ops
            .iter()
            .take(5)
            .map(|(op, ms)| format!("{op} {ms:.2}"))
            .collect();
        println!("| {layer} | {ms:.2} | {} |", ops.join(", "));
    }
    Ok(())
}
