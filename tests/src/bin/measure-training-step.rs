// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A step of training by crates/grad on ONNX Runtime against PyTorch: `tests/measure.sh training-step [--quick]`.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use splitinfer_tests::measure;
use splitinfer_tests::training::convolution::Convolution;
use splitinfer_tests::training::study::{Comparison, Sample, Study, Time};
use splitinfer_tests::training::{breakdown, profile, python, single, subjects, worker};

const BATCH: usize = 8;
const THREADS: [usize; 2] = [1, 2];
/// The table of single convolutions has so many of each kind from each model that is not shipped.
const DEAREST: usize = 2;

const WHOLE: Sample = Sample {
    warm_up: 3,
    rounds: 31,
    limit: Duration::from_secs(15),
};
const SMALL: Sample = Sample {
    warm_up: 2,
    rounds: 7,
    limit: Duration::from_secs(4),
};

/// The goals' figures: of the shipped students with two threads, the worst ratio of fastest steps. What others do on the
/// machine only ever adds to a time, and medians on a busy one are of how it was shared.
#[derive(Default)]
struct Figures {
    over_pytorch: Option<f64>,
    tail_over_forward: Option<f64>,
}

fn main() -> Result<()> {
    if worker::work_if_asked()? {
        return Ok(());
    }
    let quick = std::env::args().any(|a| a == "--quick");
    let sample = if quick { SMALL } else { WHOLE };
    splitinfer_tests::init();
    println!(
        "# A step of training\n\n{}; {}\n",
        measure::machine(),
        python::heading()
    );
    let mut studies = Vec::new();
    for subject in subjects().into_iter().filter(|s| s.shipped || !quick) {
        let study = Study::new(&subject, BATCH).with_context(|| subject.name.clone())?;
        studies.push((study, subject));
    }
    println!(
        "Forward, loss, backward, Adam, on a batch of {BATCH} pictures (1 where the graph has that fixed). The loss judges \
         what the last convolutions give. Ours is a step as crates/trainer makes it, of a batch that is ready. Times are medians of up to {} steps, the \
         fastest step in brackets; the processes take turns. With two threads PyTorch runs twice, its threads spinning while they wait, as it comes, and asleep, as \
         ours; the better of both counts. Memory: the largest resident set of a process that only trains, in brackets with its libraries loaded \
         and nothing else.\n",
        sample.rounds
    );
    println!(
        "| model | batch | threads | ours ms | {} ms | ours / PyTorch | ours MB | PyTorch MB |",
        python::heading()
    );
    println!("|---|---|---|---|---|---|---|---|");
    let bar = measure::progress(studies.len() * THREADS.len());
    let mut figures = Figures::default();
    let mut tails = Vec::new();
    for (study, subject) in &studies {
        for threads in THREADS {
            let found = study.compare(threads, sample, &bar)?;
            print_step(&subject.name, study, threads, &found);
            if subject.shipped && threads == 2 {
                figures.add(&found);
            }
            tails.push((&subject.name, study, threads, found));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    print_tails(&tails);
    print_breakdowns(&studies, if quick { 3 } else { 10 })?;
    print_convolutions(&studies, if quick { 3 } else { 15 }, quick)?;
    println!(
        "\n{}",
        json!({ "over_pytorch_ratio": figures.over_pytorch, "tail_over_forward_ratio": figures.tail_over_forward })
    );
    Ok(())
}

impl Figures {
    fn add(&mut self, found: &Comparison) {
        let worse = |old: Option<f64>, new: f64| Some(old.map_or(new, |old| old.max(new)));
        if let Some(pytorch) = found.pytorch {
            self.over_pytorch = worse(self.over_pytorch, found.ours.fastest / pytorch.fastest);
        }
        let tail = found.tail.fastest / found.forward.fastest;
        self.tail_over_forward = worse(self.tail_over_forward, tail);
    }
}

fn shown(time: Time) -> String {
    format!("{:.2} ({:.2})", time.median * 1e3, time.fastest * 1e3)
}

/// What is left empty where there is no PyTorch.
fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

fn print_step(name: &str, study: &Study, threads: usize, found: &Comparison) {
    let memory = |m: splitinfer_tests::training::child::Memory| {
        format!("{:.0} ({:.0})", m.peak as f64 / 1e6, m.at_rest as f64 / 1e6)
    };
    println!(
        "| {name} | {} | {threads} | {} | {} | {} | {} | {} |",
        study.trainee.batch,
        shown(found.ours),
        or_dash(found.pytorch.map(shown)),
        or_dash(found.pytorch.map(|p| ratio(found.ours, p))),
        memory(found.memory),
        or_dash(found.pytorch_memory.map(memory)),
    );
}

/// Of medians, and in brackets of the fastest.
fn ratio(a: Time, b: Time) -> String {
    format!("{:.2} ({:.2})", a.median / b.median, a.fastest / b.fastest)
}

fn print_tails(rows: &[(&String, &Study, usize, Comparison)]) {
    println!(
        "\n## The tail alone\n\nTrained from a cut on, the tensors there given: of the cuts that leave a tenth to a third of the \
         multiply–accumulate operations and all losses behind them, the one with the smallest tensors (where there is none, \
         the one that leaves least). Forward passes: as inference runs them.\n"
    );
    println!(
        "| model | from | % of MACs | threads | step ms | PyTorch ms | whole forward ms | step / whole forward | tail forward ms | step / tail forward |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, study, threads, found) in rows {
        let cut = &study.cut;
        println!(
            "| {name} | `{}` | {:.0} | {threads} | {} | {} | {} | {} | {} | {} |",
            measure::short(&cut.name),
            cut.tail_macs as f64 * 100.0 / (cut.head_macs + cut.tail_macs) as f64,
            shown(found.tail),
            or_dash(found.pytorch_tail.map(shown)),
            shown(found.forward),
            ratio(found.tail, found.forward),
            shown(found.tail_forward),
            ratio(found.tail, found.tail_forward),
        );
    }
}

fn print_breakdowns(
    studies: &[(Study, splitinfer_tests::training::Subject)],
    runs: usize,
) -> Result<()> {
    println!(
        "\n## Where the time goes\n\nEach node's time by ONNX Runtime's profiler, one thread, mean of {runs} steps. dX: what \
         the gradients of several parameters need; dW: what one needs alone, its bias's counted with its layer."
    );
    for (study, subject) in studies {
        let times = profile::node_times(&study.trainee, 1, runs)?;
        println!("\n### {}\n", subject.name);
        breakdown::print_parts(&times);
        breakdown::print_layers(&times, &study.trainee);
    }
    Ok(())
}

fn print_convolutions(
    studies: &[(Study, splitinfer_tests::training::Subject)],
    rounds: usize,
    quick: bool,
) -> Result<()> {
    println!(
        "\n## Single convolutions\n\nThe gradient of the weights alone, in several forms, one thread, the fastest of {rounds}, in \
         ms; each form's time over PyTorch's in brackets. *flat*: the pictures' rows are one run, and the gradient has \
         zeros between its rows; *folded*: all pictures in one product; *taps*: one product for each place of the window.\n"
    );
    println!(
        "| convolution | PyTorch forward | PyTorch dW | forms of dW, fastest first |\n|---|---|---|---|"
    );
    let all = selected(studies, quick);
    let bar = measure::progress(all.len());
    for convolution in all {
        let row = single::measure(&convolution, 1, rounds, &bar)?;
        let mut forms = row.forms.clone();
        forms.sort_by(|a, b| a.1.total_cmp(&b.1));
        let over = |ms: f64| {
            row.pytorch
                .map_or(String::new(), |p| format!(" ({:.1})", ms / p[0]))
        };
        let forms: Vec<String> = forms
            .iter()
            .map(|(name, ms)| format!("{name} {ms:.2}{}", over(*ms)))
            .collect();
        let pytorch = |i: usize| or_dash(row.pytorch.map(|p| format!("{:.2}", p[i])));
        println!(
            "| {convolution} | {} | {} | {} |",
            pytorch(1),
            pytorch(0),
            forms.join(", ")
        );
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Those of the students, the dearest of other models, and one that architecture notes speak of.
fn selected(
    studies: &[(Study, splitinfer_tests::training::Subject)],
    quick: bool,
) -> Vec<Convolution> {
    let known = Convolution {
        pictures: 8,
        inputs: 32,
        height: 80,
        width: 80,
        outputs: 64,
        kernel: 3,
        stride: 1,
        dilation: 1,
        padding: 1,
        groups: 1,
    };
    let mut chosen = BTreeSet::from([known]);
    for (study, subject) in studies {
        let all = Convolution::all(&study.trainee.model, &study.trainee.facts);
        let mut all: Vec<Convolution> = all
            .into_iter()
            .map(|(c, _)| c)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        all.sort_by_key(|c| std::cmp::Reverse(c.macs()));
        let kinds: [fn(&Convolution) -> bool; 3] = [
            Convolution::is_depthwise,
            |c| c.kernel == 1,
            |c| c.kernel > 1 && c.groups == 1,
        ];
        match subject.shipped {
            true if quick => chosen.extend(all.into_iter().take(2)),
            true => chosen.extend(all),
            false => kinds
                .iter()
                .for_each(|kind| chosen.extend(all.iter().filter(|c| kind(c)).take(DEAREST))),
        }
    }
    chosen.into_iter().collect()
}
