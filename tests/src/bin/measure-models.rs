// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How good the shipped students and teachers are in each domain, through the real elements:
//! `tests/measure.sh models [--quick]`.

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::{Map, Value, json};
use splitinfer_evaluate::Figures;
use splitinfer_tests::measure;
use splitinfer_tools::eval::{Args, Report, evaluate};

const DOMAINS: [&str; 10] = [
    "day",
    "dusk",
    "night",
    "rain",
    "fog",
    "crowded",
    "highway",
    "low",
    "oblique",
    "cheap-camera",
];
const QUICK: [&str; 2] = ["day", "night"];
/// Scenes that no model was trained on, and frames a second so few that they differ: those of the recipe, every 60th of 30.
const SEED: &str = "900000";
const RATE: &str = "1/2";
const MODELS: [&str; 2] = ["student", "teacher"];

/// How much is looked at.
struct Sample {
    domains: &'static [&'static str],
    scenes: &'static str,
    frames: &'static str,
}

const WHOLE: Sample = Sample {
    domains: &DOMAINS,
    scenes: "25",
    frames: "8",
};
const SMALL: Sample = Sample {
    domains: &QUICK,
    scenes: "5",
    frames: "4",
};

/// A column: its title, its key in the JSON, digits, and the figure.
type Column = (
    &'static str,
    &'static str,
    usize,
    fn(&Figures) -> Option<f64>,
);

const VEHICLES: [Column; 6] = [
    ("AP50 any kind", "ap50_any_kind", 3, |f| {
        f.detection.any_label.ap50
    }),
    ("AP50-95 any kind", "ap_any_kind", 3, |f| {
        f.detection.any_label.ap
    }),
    ("AP50 by kind", "ap50", 3, |f| f.detection.ap50),
    ("kind right", "kind_right", 3, |f| {
        f.detection.boxes.right_label
    }),
    ("count error", "count_error", 2, |f| {
        f.detection.boxes.count_error
    }),
    ("box MAE px", "box_mae_px", 1, |f| f.detection.boxes.mae),
];

const POSE: [Column; 6] = [
    ("PCK@.05", "pck05", 3, |f| {
        f.pose.as_ref()?.joints.pck.first()?.all
    }),
    ("PCK@.1", "pck10", 3, |f| {
        f.pose.as_ref()?.joints.pck.get(1)?.all
    }),
    ("found %", "found_pct", 1, |f| {
        let joints = &f.pose.as_ref()?.joints;
        (joints.people > 0).then(|| joints.found as f64 * 100.0 / joints.people as f64)
    }),
    ("joint error px", "joint_error_px", 2, |f| {
        f.pose.as_ref()?.joints.joint_error
    }),
    ("OKS-AP50", "oks_ap50", 3, |f| f.pose.as_ref()?.ap50),
    ("knee °", "knee_error_deg", 1, |f| {
        f.pose.as_ref()?.joints.knee.in_picture
    }),
];

fn main() -> Result<()> {
    let sample = match std::env::args().any(|a| a == "--quick") {
        true => SMALL,
        false => WHOLE,
    };
    splitinfer_tests::init();
    println!("# Models\n\n{}\n", measure::machine());
    println!(
        "Through `scenesrc ! splitinfer-edge`, everything local, by [`splitinfer-eval`](../evaluation.md), which defines \
         the figures: {} scenes a domain that no model was trained on (seeds from {SEED}), {} frames of each, 60 apart at \
         30 frames a second, 640 × 360. Vehicles under 12 pixels and whatever is less than 30 % visible is ignored; of \
         several people the largest counts. All but AP at the score of the models' sidecars.\n",
        sample.scenes, sample.frames
    );
    let vehicles = task("traffic", &["--min-size", "12"], &sample)?;
    println!("## Vehicles\n");
    let vehicles = table(&vehicles, &VEHICLES, sample.domains)?;
    let pose = task("walker", &["--largest"], &sample)?;
    println!("\n## Pose\n");
    let pose = table(&pose, &POSE, sample.domains)?;
    println!("\n{}", json!({"vehicles": vehicles, "pose": pose}));
    Ok(())
}

/// Student and teacher on every domain.
fn task(scene: &str, more: &[&str], sample: &Sample) -> Result<Report> {
    let folder = splitinfer_tests::repository().join("models");
    let models = MODELS.map(|m| {
        folder
            .join(format!("{scene}-{m}.onnx"))
            .display()
            .to_string()
    });
    let mut line = vec![
        "splitinfer-eval",
        "--scene",
        scene,
        "--seed",
        SEED,
        "--rate",
        RATE,
    ];
    line.extend([
        "--scenes",
        sample.scenes,
        "--frames",
        sample.frames,
        "--min-visible",
        "0.3",
    ]);
    for (model, name) in models.iter().zip(MODELS) {
        line.extend(["--model", model, "--name", name]);
    }
    for domain in sample.domains {
        line.extend(["--domain", domain]);
    }
    line.extend(more);
    evaluate(&Args::try_parse_from(line)?.request()?)
}

/// Prints a row a domain, student beside teacher; the same as JSON.
fn table(report: &Report, columns: &[Column], domains: &[&str]) -> Result<Value> {
    let titles = columns
        .iter()
        .flat_map(|(title, ..)| MODELS.map(|m| format!("{title}, {m}")));
    let titles: Vec<String> = titles.collect();
    println!("| domain | {} |", titles.join(" | "));
    println!("|---|{}", "---:|".repeat(titles.len()));
    let mut all = Map::new();
    for domain in domains {
        let figures = |model: &str| {
            let mut rows = report.runs.iter();
            rows.find(|r| r.run == model && r.domain.as_deref() == Some(*domain))
                .map(|r| &r.figures)
                .with_context(|| format!("no figures of {model} in {domain}"))
        };
        let both = [figures(MODELS[0])?, figures(MODELS[1])?];
        let cells = columns.iter().flat_map(|(_, _, digits, figure)| {
            both.map(|f| figure(f).map_or("–".to_owned(), |v| format!("{v:.digits$}")))
        });
        println!("| {domain} | {} |", cells.collect::<Vec<_>>().join(" | "));
        let of = |f: &Figures| -> Value {
            let pairs = columns
                .iter()
                .map(|(_, key, _, figure)| ((*key).to_owned(), rounded(figure(f))));
            Value::Object(pairs.collect())
        };
        all.insert(
            (*domain).to_owned(),
            json!({"student": of(both[0]), "teacher": of(both[1])}),
        );
    }
    Ok(Value::Object(all))
}

/// Four digits are more than the sample is worth.
fn rounded(figure: Option<f64>) -> Value {
    figure.map_or(Value::Null, |v| json!((v * 1e4).round() / 1e4))
}
