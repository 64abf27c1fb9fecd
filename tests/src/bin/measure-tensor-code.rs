// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the tensor code costs and what it does to the answers, against everything else that could be sent:
//! `tests/measure.sh tensor-code [--quick] [--json FILE] [--plots FOLDER] [--clip WORD] [--own] [--even]
//! [--frames N]`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use splitinfer_tests::measure;
use splitinfer_tests::tensor_code::accuracy::{LEAST_VISIBLE, SMALLEST};
use splitinfer_tests::tensor_code::codes::Codes;
use splitinfer_tests::tensor_code::report::{COARSE, ENOUGH, NEAR, Report};
use splitinfer_tests::tensor_code::subject::{Clip, Subject, clips};
use splitinfer_tests::tensor_code::{agreement, at_error, loss_run, plot, run, summary};

struct Arguments {
    quick: bool,
    /// All points, for further use.
    json: Option<PathBuf>,
    plots: Option<PathBuf>,
    /// Only clips whose names contain it.
    clip: Option<String>,
    /// Only the project's codes and those that they are compared with in every row.
    own: bool,
    /// The project's codes with the same step for all channels and tensors.
    even: bool,
    /// Of each clip.
    frames: usize,
}

fn arguments() -> Result<Arguments> {
    let mut found = Arguments {
        quick: false,
        json: None,
        plots: None,
        clip: None,
        own: false,
        even: false,
        frames: 0,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut what = || words.next().context(format!("{word} what?"));
        match word.as_str() {
            "--quick" => found.quick = true,
            "--own" => found.own = true,
            "--even" => found.even = true,
            "--json" => found.json = Some(what()?.into()),
            "--plots" => found.plots = Some(what()?.into()),
            "--clip" => found.clip = Some(what()?),
            "--frames" => found.frames = what()?.parse().context("how many frames?")?,
            _ => bail!(
                "`{word}`? There are --quick, --json FILE, --plots FOLDER, --clip WORD, --own, --even and --frames N"
            ),
        }
    }
    if found.frames == 0 {
        found.frames = if found.quick { 20 } else { 60 };
    }
    Ok(found)
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    splitinfer_tests::init();
    let mut codes = Codes::new(arguments.quick);
    if arguments.own {
        codes.keep_own();
    }
    introduce(&codes);
    let mut reports = Vec::new();
    for clip in chosen(&arguments) {
        let report = measure_clip(&clip, &codes, &arguments)?;
        report.print();
        if let Some(folder) = &arguments.plots {
            let file = folder.join(format!("tensor-code-{}.svg", plain_name(&report.clip)));
            plot::draw(&report, &file)?;
        }
        reports.push(report);
    }
    summary::print(&reports, &codes.absent);
    agreement::print(&reports);
    at_error::print(&reports);
    if let Some(file) = &arguments.json {
        write_json(file, &reports)?;
    }
    println!("\n{}", summary::figures(&reports));
    Ok(())
}

/// All clips; with `quick` a student and a real detector; with `clip` those that are asked for.
fn chosen(arguments: &Arguments) -> Vec<Clip> {
    let wanted = |c: &Clip| match &arguments.clip {
        Some(word) => c.name.contains(word),
        None if arguments.quick => QUICK.contains(&c.name.as_str()),
        None => true,
    };
    clips().into_iter().filter(wanted).collect()
}

const QUICK: [&str; 2] = ["walker-student", "FastestDet, from frame 180"];

fn measure_clip(clip: &Clip, codes: &Codes, arguments: &Arguments) -> Result<Report> {
    let mut subject = Subject::load(clip, arguments.frames)?;
    subject.even = arguments.even;
    let count = subject.model.split.candidates().len();
    let cuts: Vec<usize> = match arguments.quick {
        true => (0..count).step_by(2).collect(),
        false => (0..count).collect(),
    };
    let bar = measure::progress(codes.steps(cuts.len()));
    let points = run::sweep(&mut subject, &cuts, codes, &bar)?;
    bar.finish_and_clear();
    let mut report = Report::new(&subject, &cuts, points);
    report.loss = loss_run::loss(&subject, codes, &report)?;
    Ok(report)
}

fn introduce(codes: &Codes) {
    println!("# Tensor code\n\n{}\n", measure::machine());
    println!(
        "Consecutive frames, each through every code at every setting, in order, so that codes may predict. One thread. \
         *key kB*: the first frame; *kB/frame* and *bits/value*: mean of the others. *ms*: encode / decode, median, for \
         131,072 values or for a frame. *Error*: change of the model's raw outputs against the whole model on the untouched frame, as \
         splitinfer-edge has it: root mean square over all values, each in units of its feature's standard deviation over the \
         positions. *F1*: objects against the whole model's own (same class, IoU ≥ 0.5; keypoints within 5 % of \
         the person's size). *Loss*: of AP50 (whatever the class) or PCK@.05 against the truth, relative to the whole \
         model's, both as splitinfer-eval has them: COCO's matching, in which an ignored object pardons one answer, and \
         joints within 5 % of the longer side of the person's box. What is under {SMALLEST} pixels of the model's picture \
         or less than {:.0} % visible is ignored, and of people all but the largest. Only objects above the model's own \
         threshold are seen, so AP50 is less than from all scores. *Knee*: mean change of the knees' flexion. The setting shown is the coarsest that, as all finer ones, \
         keeps F1 ≥ {:.3}, loss ≤ {NEAR} % and knee ≤ {NEAR}°, as far as measured (with fewer than {ENOUGH} objects: error ≤ {:.2}); † where there is none: the finest. \
         *BD*: mean difference in bytes in % at equal output error (Bjøntegaard, PCHIP over log error; by F1 in the last \
         column) to the named code; ~: over less than half of the shorter curve; *above* and *below*: better or worse throughout than \
         the other's whole range. *At ≤ \
         {COARSE} %*: the coarsest setting with F1 and loss within that.\n",
        LEAST_VISIBLE * 100.0,
        1.0 - NEAR / 100.0,
        COARSE / 100.0
    );
    println!(
        "Codes at a cut: {}. Of the picture: {}. Mosaics: all channels in one grey picture with one range for the tensor, \
         a picture or video a tensor. Video: zero latency, one thread, veryfast, one key frame; of mosaics by constant \
         quantiser without psychovisual tuning. Loss behind a network: {} % of packets of 1200 bytes in bursts of {} \
         (Gilbert–Elliott), {} runs. Ours gives channels finer or \
         coarser steps as told by trials on the first three frames. The last line: of clips with at least {ENOUGH} objects; bits a \
         value the median over all their cuts (one that no setting serves counts as infinitely many) at the coarsest setting with \
         a loss ≤ {NEAR} % (without a truth: F1 ≥ {:.3}), *same answers*: at the setting shown; times and knees over the operating points, \
         loss the mean over the clips, gain over JPEG the best at equal output error.",
        summary::settings(&codes.tensor),
        summary::settings(&codes.picture),
        loss_run::MEAN_LOSS * 100.0,
        loss_run::MEAN_BURST,
        loss_run::SEEDS,
        1.0 - NEAR / 100.0
    );
}

fn write_json(file: &Path, reports: &[Report]) -> Result<()> {
    let text = serde_json::to_string(reports)?;
    std::fs::write(file, text).with_context(|| file.display().to_string())
}

/// A name as part of a file's name.
fn plain_name(name: &str) -> String {
    let words: Vec<&str> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|w| !w.is_empty())
        .collect();
    words.join("-").to_lowercase()
}
