// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Writes frames of many scenes as raw RGB and their truth as JSON lines, for training and evaluation.
//!
//! `scene-frames traffic --domains day,night --scenes 50 --frames 20 --rgb frames.rgb --truth truth.jsonl`

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use splitinfer_scene::{Kind, Scenario, Scene, SceneConfig, Schedule};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// Frames of synthetic scenes with their truth.
#[derive(Parser)]
struct Args {
    /// walker or traffic
    kind: Kind,
    #[arg(long, default_value_t = 640)]
    width: u32,
    #[arg(long, default_value_t = 360)]
    height: u32,
    /// Domains separated by commas; scenes take turns
    #[arg(long, default_value = "day", value_delimiter = ',')]
    domains: Vec<Schedule>,
    #[arg(long, default_value = "dynamic")]
    scenario: Scenario,
    /// Seed of the first scene; each further scene has the next one
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(long, default_value_t = 1)]
    scenes: u64,
    /// Frames of each scene
    #[arg(long, default_value_t = 30)]
    frames: u64,
    /// Take every n-th frame of a scene, at 30 frames a second
    #[arg(long, default_value_t = 1)]
    every: u64,
    /// Rows from the top, 3 bytes a pixel, frame after frame
    #[arg(long)]
    rgb: Option<PathBuf>,
    /// One JSON object a frame; with --png each names its file
    #[arg(long)]
    truth: Option<PathBuf>,
    /// A folder for PNG files
    #[arg(long)]
    png: Option<PathBuf>,
    /// Say nothing
    #[arg(long)]
    quiet: bool,
}

fn create(path: &Option<PathBuf>) -> Result<Option<BufWriter<File>>> {
    path.as_ref()
        .map(|p| {
            Ok(BufWriter::new(File::create(p).with_context(|| {
                format!("cannot write {}", p.display())
            })?))
        })
        .transpose()
}

fn main() -> Result<()> {
    let args = Args::parse();
    let (mut rgb, mut truth) = (create(&args.rgb)?, create(&args.truth)?);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} frames, {per_sec}, {eta} left")?;
    let progress = if args.quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(args.scenes * args.frames)
    };
    progress.set_style(style);
    let mut bytes = Vec::new();
    for number in 0..args.scenes {
        let mut scene = Scene::new(SceneConfig {
            width: args.width,
            height: args.height,
            seed: args.seed + number,
            scenario: args.scenario,
            schedule: args.domains[number as usize % args.domains.len()].clone(),
            ..SceneConfig::new(args.kind)
        })?;
        for i in 0..args.frames {
            let answer = scene.render(i * args.every);
            let picture = format!("{number:03}-{i:05}.png");
            if let Some(file) = &mut truth {
                let line = match &args.png {
                    Some(_) => answer.to_json_of_file(&picture),
                    None => answer.to_json(),
                };
                writeln!(file, "{line}")?;
            }
            if let Some(file) = &mut rgb {
                scene.rgb_into(&mut bytes);
                file.write_all(&bytes)?;
            }
            if let Some(folder) = &args.png {
                let path = folder.join(&picture);
                scene
                    .save_png(&path)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
            progress.inc(1);
        }
    }
    if let Some(mut file) = rgb {
        file.flush()?;
    }
    if let Some(mut file) = truth {
        file.flush()?;
    }
    progress.finish();
    Ok(())
}
