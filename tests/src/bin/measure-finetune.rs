// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What fine-tuning on true labels brings in a new domain, and what it costs in the old one:
//! `tests/measure.sh finetune [--quick] [--plots DIR]`.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::{Value, json};
use splitinfer_evaluate::Figures;
use splitinfer_tests::measure;
use splitinfer_tests::scene_pictures::Pictures;
use splitinfer_tools::chart::{Chart, Line};
use splitinfer_tools::{eval, finetune};

/// The domain that is learnt, and the one that the students come from.
const DOMAINS: [&str; 2] = ["night", "day"];
/// Scenes that no model was trained on: to learn from, to mix in, and to judge by.
const SEEDS: [u64; 3] = [600_000, 650_000, 900_000];

#[derive(Parser)]
struct Args {
    /// A smaller sample
    #[arg(long)]
    quick: bool,
    /// Draw accuracy over steps into this folder
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

struct Task {
    scene: &'static str,
    name: &'static str,
    figure: fn(&Figures) -> Option<f64>,
    /// What is not asked for, when learning and when judging.
    learning: &'static [&'static str],
    judging: &'static [&'static str],
}

const TASKS: [Task; 2] = [
    Task {
        scene: "traffic",
        name: "AP50, whatever the kind",
        figure: |f| f.detection.any_label.ap50,
        learning: &["--min-size", "12", "--min-visible", "0.3"],
        judging: &["--min-size", "12", "--min-visible", "0.3"],
    },
    Task {
        scene: "walker",
        name: "PCK@.05",
        figure: |f| f.pose.as_ref()?.joints.pck.first()?.all,
        learning: &["--min-visible", "0.3"],
        judging: &["--largest", "--min-visible", "0.3"],
    },
];

/// How much is trained and looked at.
struct Sample {
    steps: &'static [usize],
    scenes: u64,
    judged: u64,
}

const WHOLE: Sample = Sample {
    steps: &[25, 50, 100, 200, 400, 800],
    scenes: 40,
    judged: 25,
};
const SMALL: Sample = Sample {
    steps: &[25, 100],
    scenes: 8,
    judged: 4,
};
/// Pictures of a scene.
const FRAMES: u64 = 8;

/// A model, and what came of it in each domain.
struct Row {
    name: String,
    steps: Option<usize>,
    seconds: Option<f64>,
    anchored: bool,
    accuracy: [Option<f64>; 2],
}

fn main() -> Result<()> {
    let args = Args::parse();
    let sample = if args.quick { SMALL } else { WHOLE };
    splitinfer_tests::init();
    println!("# Fine-tuning\n\n{}\n", measure::machine());
    println!(
        "The shipped students, trained by day, learn the night by [`onnx-finetune`](../onnx-finetune.md) `--truth` from \
         {} pictures of {} scenes and what is truly there, a fifth of them held back; every number of steps is a training \
         of its own, with the program's own settings. Judged on {} pictures of {} other scenes that no model was trained \
         on. *With day*: a quarter of each batch is drawn from as many pictures of the day (`--anchors`).\n",
        sample.scenes * FRAMES,
        sample.scenes,
        sample.judged * FRAMES,
        sample.judged
    );
    let bar = measure::progress(TASKS.len() * 2 * sample.steps.len());
    let mut figures = serde_json::Map::new();
    for task in &TASKS {
        let rows = task.rows(&sample, &bar)?;
        bar.suspend(|| task.print(&rows));
        if let Some(folder) = &args.plots {
            task.draw(&rows, folder)?;
        }
        figures.insert(task.scene.to_owned(), task.figures(&rows));
    }
    bar.finish_and_clear();
    println!("\n{}", Value::Object(figures));
    Ok(())
}

fn shipped(scene: &str, role: &str) -> PathBuf {
    splitinfer_tests::repository().join(format!("models/{scene}-{role}.onnx"))
}

impl Task {
    /// Trains and judges.
    fn rows(&self, sample: &Sample, bar: &indicatif::ProgressBar) -> Result<Vec<Row>> {
        let folder = tempfile::tempdir()?;
        let [data, anchors] = [0, 1].map(|i| {
            let pictures = Pictures {
                scene: self.scene,
                domain: DOMAINS[i],
                seed: SEEDS[i],
                scenes: sample.scenes,
                frames: FRAMES,
            };
            let place = folder.path().join(DOMAINS[i]);
            pictures.draw(&place).map(|truth| (place, truth))
        });
        let (data, anchors) = (data?, anchors?);
        let row = |name: &str, steps, seconds, anchored| Row {
            name: name.to_owned(),
            steps,
            seconds,
            anchored,
            accuracy: [None; 2],
        };
        let mut models = vec![(
            row("student", None, None, false),
            shipped(self.scene, "student"),
        )];
        for anchored in [false, true] {
            for steps in sample.steps {
                let with = anchored.then_some(&anchors);
                let output = folder.path().join(format!("{steps}-{anchored}.onnx"));
                let seconds = self.train(&data, with, *steps, &output)?;
                let name = format!("{steps} steps{}", if anchored { ", with day" } else { "" });
                models.push((row(&name, Some(*steps), Some(seconds), anchored), output));
                bar.inc(1);
            }
        }
        models.push((
            row("teacher", None, None, false),
            shipped(self.scene, "teacher"),
        ));
        self.judge(models, sample)
    }

    /// Seconds that it took.
    fn train(
        &self,
        (data, truth): &(PathBuf, PathBuf),
        anchors: Option<&(PathBuf, PathBuf)>,
        steps: usize,
        output: &Path,
    ) -> Result<f64> {
        let text = |path: &Path| path.display().to_string();
        let mut line = vec![
            "onnx-finetune".to_owned(),
            text(&shipped(self.scene, "student")),
        ];
        let mut option = |name: &str, value: String| line.extend([name.to_owned(), value]);
        option("--data", text(data));
        option("--truth", text(truth));
        if let Some((data, truth)) = anchors {
            option("--anchors", text(data));
            option("--truth", text(truth));
        }
        option("--steps", steps.to_string());
        option("--output", text(output));
        line.extend(self.learning.iter().map(|s| (*s).to_owned()));
        line.push("--keep".to_owned());
        let request = finetune::Args::try_parse_from(line)?.request()?;
        match finetune::finetune(&request, &AtomicBool::new(false))? {
            finetune::Outcome::Trained(summary) => Ok(summary.time.as_secs_f64()),
            finetune::Outcome::Inspected(_) => unreachable!("it was not asked to inspect"),
        }
    }

    fn judge(&self, models: Vec<(Row, PathBuf)>, sample: &Sample) -> Result<Vec<Row>> {
        let (seed, scenes, frames) = (
            SEEDS[2].to_string(),
            sample.judged.to_string(),
            FRAMES.to_string(),
        );
        let mut line = vec!["splitinfer-eval", "--scene", self.scene, "--rate", "1/2"];
        line.extend(["--seed", &seed, "--scenes", &scenes, "--frames", &frames]);
        line.extend(self.judging);
        line.extend(DOMAINS.iter().flat_map(|d| ["--domain", d]));
        let paths: Vec<String> = models
            .iter()
            .map(|(_, p)| p.display().to_string())
            .collect();
        for ((row, _), path) in models.iter().zip(&paths) {
            line.extend(["--model", path, "--name", &row.name]);
        }
        let report = eval::evaluate(&eval::Args::try_parse_from(line)?.request()?)?;
        let judged = |mut row: Row| {
            for (domain, accuracy) in DOMAINS.iter().zip(&mut row.accuracy) {
                let mut runs = report.runs.iter();
                let own = runs.find(|r| r.run == row.name && r.domain.as_deref() == Some(domain));
                *accuracy = (self.figure)(&own.context("a model was judged")?.figures);
            }
            Ok(row)
        };
        models.into_iter().map(|(row, _)| judged(row)).collect()
    }

    fn print(&self, rows: &[Row]) {
        println!("## {}: {}\n", self.scene, self.name);
        println!(
            "| model | {} | {} | seconds |\n|---|---:|---:|---:|",
            DOMAINS[0], DOMAINS[1]
        );
        let shown =
            |v: Option<f64>, digits| v.map_or("–".to_owned(), |v| format!("{v:.digits$}"));
        for row in rows {
            println!(
                "| {} | {} | {} | {} |",
                row.name,
                shown(row.accuracy[0], 3),
                shown(row.accuracy[1], 3),
                shown(row.seconds, 1)
            );
        }
        println!();
    }

    /// Accuracy over steps, from the student as it is; the teacher's as a level.
    fn draw(&self, rows: &[Row], folder: &Path) -> Result<()> {
        let steps = |row: &Row| row.steps.map(|s| s as f64);
        let last = rows.iter().filter_map(steps).fold(0.0, f64::max);
        let (first, end) = (
            rows.first().context("a row")?,
            rows.last().context("a row")?,
        );
        let mut lines = Vec::new();
        for (d, domain) in DOMAINS.iter().enumerate() {
            for anchored in [false, true] {
                let own = rows.iter().filter(|r| r.anchored == anchored);
                let trained = own.filter_map(|r| Some((steps(r)?, r.accuracy[d]?)));
                let start = first.accuracy[d].map(|a| (0.0, a));
                lines.push(Line {
                    name: format!("{domain}{}", if anchored { ", with day" } else { "" }),
                    points: start.into_iter().chain(trained).collect(),
                });
            }
            let level = end.accuracy[d].unwrap_or_default();
            lines.push(Line {
                name: format!("{domain}, teacher"),
                points: vec![(0.0, level), (last, level)],
            });
        }
        let chart = Chart {
            title: self.name,
            x: "steps of 8 examples",
            y: self.name,
            x_end: None,
            y_end: Some(1.0),
            lines,
        };
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("finetune-{}.svg", self.scene));
        std::fs::write(&path, chart.svg()?).with_context(|| path.display().to_string())
    }

    /// In the new domain: the student, the best of the trained ones, the teacher.
    fn figures(&self, rows: &[Row]) -> Value {
        let best = |domain: usize, anchored: bool| {
            let trained = rows
                .iter()
                .filter(|r| r.steps.is_some() && r.anchored == anchored);
            trained.filter_map(|r| r.accuracy[domain]).reduce(f64::max)
        };
        let level = |row: Option<&Row>| row.and_then(|r| r.accuracy[0]);
        json!({
            "student": level(rows.first()),
            "trained": best(0, false),
            "trained_with_anchors": best(0, true),
            "teacher": level(rows.last()),
        })
    }
}
