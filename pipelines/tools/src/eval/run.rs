// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From a request to a report.

use super::labels::{Labels, compare};
use super::model::Lowered;
use super::pipeline::Inference;
use super::report::{Report, Row, Table};
use super::{
    Input, Models, NamedModel, Request, ResultFile, Source, results, scenes, truth, video,
};
use crate::progress::Progress;
use anyhow::{Context, Result, bail};
use splitinfer_evaluate::{Frame, Rules};
use std::collections::{BTreeMap, BTreeSet};

/// Reads or makes the results, and compares them with the truth.
///
/// # Errors
/// When a file cannot be used, the pipeline fails, or results and truth have nothing to do with each other.
pub fn evaluate(request: &Request) -> Result<Report> {
    let mut report = Report::new(request);
    match &request.source {
        Source::Files(files) => {
            let progress = Progress::new();
            progress.expect(files.len());
            for file in files {
                progress.say(&file.name);
                for run in from_file(file, &request.labels)? {
                    add(&mut report, request, run)?;
                }
                progress.step();
            }
        }
        Source::Models(models) => {
            let progress = Progress::new();
            progress.expect(expected_frames(models));
            for model in &models.models {
                let runs = from_model(model, models, &request.labels, &progress);
                for run in runs.with_context(|| model.name.clone())? {
                    add(&mut report, request, run)?;
                }
            }
        }
    }
    report.sort();
    Ok(report)
}

/// Frames with results and truth that belong together.
struct Run {
    name: String,
    domain: Option<String>,
    frames: Vec<Frame>,
    /// Score from which the model reports objects; 0 for files.
    threshold: f64,
    /// Labels that the model can give.
    labels: Option<BTreeSet<String>>,
    /// Whether the model finds keypoints.
    poses: bool,
    notes: Vec<String>,
}

fn add(report: &mut Report, request: &Request, mut run: Run) -> Result<()> {
    let domain = run
        .domain
        .as_ref()
        .map(|d| format!(", {d}"))
        .unwrap_or_default();
    let name = format!("{}{domain}", run.name);
    run.notes
        .extend(compare(&run.frames, run.labels.as_ref()).with_context(|| name.clone())?);
    same_keypoints(&run.frames).with_context(|| name.clone())?;
    for frame in &mut run.frames {
        request.ignore.apply(frame);
    }
    let score = request.score.unwrap_or(run.threshold);
    let rules = Rules {
        // Scores were 32-bit floats, and 0.7 as one of those is a little less than 0.7.
        score: f64::from(score as f32).min(score),
        ..request.rules.clone()
    };
    let figures = splitinfer_evaluate::evaluate(&run.frames, &rules);
    let tables = match &request.tables {
        Some(tables) => tables.clone(),
        None => Table::suited(&figures, run.poses),
    };
    report
        .notes
        .extend(run.notes.iter().map(|n| format!("{name}: {n}")));
    report.runs.push(Row {
        run: run.name,
        domain: run.domain,
        score,
        tables,
        figures,
    });
    Ok(())
}

/// Keypoints can only be compared where both sides have the same ones.
fn same_keypoints(frames: &[Frame]) -> Result<()> {
    let found = frames
        .iter()
        .flat_map(|f| &f.found)
        .map(|o| o.keypoints.len());
    let actual = frames
        .iter()
        .flat_map(|f| &f.actual)
        .map(|o| o.keypoints.len());
    let (found, actual) = (found.max().unwrap_or(0), actual.max().unwrap_or(0));
    if found > 0 && actual > 0 && found != actual {
        bail!(
            "the results have {found} keypoints a person, the truth {actual}: they are not the same ones"
        );
    }
    Ok(())
}

/// One run, or, where the truth knows domains, one for each.
fn from_file(file: &ResultFile, labels: &Labels) -> Result<Vec<Run>> {
    let results = results::read(&file.results)?;
    let truth = truth::load(&file.truth)?;
    let (frames, notes) = truth::join(results, &truth, labels)
        .with_context(|| format!("{} and {}", file.results.display(), file.truth.display()))?;
    let found = || frames.iter().flat_map(|f| &f.found);
    let known: BTreeSet<String> = found().map(|o| o.label.clone()).collect();
    let poses = found().any(|o| !o.keypoints.is_empty());
    let mut domains: BTreeMap<Option<String>, Vec<Frame>> = BTreeMap::new();
    for frame in frames {
        let domain = truth.domains.get(&frame.number).cloned();
        domains.entry(domain).or_default().push(frame);
    }
    let run = |(i, (domain, frames))| Run {
        name: file.name.clone(),
        domain,
        frames,
        threshold: 0.0,
        labels: Some(known.clone()),
        poses,
        // What is odd about the whole file is said once.
        notes: if i == 0 { notes.clone() } else { Vec::new() },
    };
    Ok(domains.into_iter().enumerate().map(run).collect())
}

fn expected_frames(models: &Models) -> usize {
    let each = match &models.input {
        Input::Scenes(scenes) => scenes.domains.len() as u64 * scenes.count,
        Input::Video { .. } => 1,
    };
    models.models.len() * usize::try_from(each * models.frames.unwrap_or(0)).unwrap_or(0)
}

/// A run, or one for each domain.
fn from_model(
    model: &NamedModel,
    models: &Models,
    labels: &Labels,
    progress: &Progress,
) -> Result<Vec<Run>> {
    progress.say(&model.name);
    let lowered = Lowered::new(&model.path, models.least_score)?;
    let inference = || Inference::new(&lowered.path(), &models.properties);
    let run = |domain: Option<String>, frames: Vec<Frame>, notes: Vec<String>| Run {
        name: model.name.clone(),
        domain,
        frames,
        threshold: lowered.threshold,
        labels: known_labels(&lowered, labels),
        poses: lowered.keypoints > 0,
        notes,
    };
    match &models.input {
        Input::Video { video: file, truth } => {
            let results = video::run(inference()?, file, models.frames, progress)
                .with_context(|| format!("video {}", file.display()))?;
            let (frames, notes) = truth::join(results, &truth::load(truth)?, labels)?;
            Ok(vec![run(None, frames, notes)])
        }
        Input::Scenes(scenes) => {
            let mut runs = Vec::new();
            for domain in &scenes.domains {
                progress.say(&format!("{}, {domain}", model.name));
                let frames = models.frames.unwrap_or(1);
                let step = || progress.step();
                let seen = scenes::run(inference()?, scenes, domain, frames, labels, step)
                    .with_context(|| format!("scene {}, domain {domain}", scenes.kind))?;
                let by = by_domain(domain, seen).into_iter();
                runs.extend(by.map(|(domain, frames)| run(Some(domain), frames, Vec::new())));
            }
            Ok(runs)
        }
    }
}

/// One run under the name that the user gave, or, where a schedule changes the domain, one for each.
fn by_domain(asked: &str, seen: scenes::Seen) -> Vec<(String, Vec<Frame>)> {
    let mut by: BTreeMap<String, Vec<Frame>> = BTreeMap::new();
    for (domain, frame) in seen {
        by.entry(domain).or_default().push(frame);
    }
    match by.len() {
        0 | 1 => vec![(
            asked.to_owned(),
            by.into_values().next().unwrap_or_default(),
        )],
        _ => by
            .into_iter()
            .map(|(domain, frames)| (format!("{domain} of \"{asked}\""), frames))
            .collect(),
    }
}

/// The labels that the model can give, as they count.
fn known_labels(lowered: &Lowered, labels: &Labels) -> Option<BTreeSet<String>> {
    let known: BTreeSet<String> = lowered
        .labels
        .iter()
        .filter_map(|l| labels.read(l))
        .collect();
    (!lowered.labels.is_empty()).then_some(known)
}
