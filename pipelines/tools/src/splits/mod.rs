// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where frames were split over time and how long each took, with what the network was meanwhile.

mod picture;
mod points;

pub use picture::{Panel, Picture};
pub use points::{By, Point};

use crate::images::{Fonts, save};
use crate::network;
use anyhow::{Context, Result};
use clap::Parser;
use splitinfer_link::Trace;
use std::path::{Path, PathBuf};

/// Draws the latency of each frame over time, in the colour of its split.
#[derive(Clone, Debug, Parser)]
#[command(name = "splitinfer-splits", version)]
pub struct Args {
    /// Results: one JSON object a line, as inferjson writes them
    #[arg(value_name = "RESULTS")]
    pub results: PathBuf,

    /// The network meanwhile, as splitinfer-network writes it
    #[arg(long, value_name = "FILE", requires = "start")]
    pub network: Option<PathBuf>,

    /// When the frame of time 0 was captured, in seconds since 1970
    #[arg(long, value_name = "SECONDS")]
    pub start: Option<f64>,

    /// Latency budget, ms
    #[arg(long, value_name = "MS")]
    pub budget: Option<f64>,

    /// Where the plot goes: this with .svg, and with .png
    #[arg(long, value_name = "PATH", default_value = "splits")]
    pub out: PathBuf,
}

/// Draws the plot.
///
/// # Errors
/// When a file cannot be read or written; the message names it.
pub fn draw(args: &Args) -> Result<()> {
    let points = points::read(&args.results)?;
    let rate = match (&args.network, args.start) {
        (Some(file), Some(start)) => network::read(file)?
            .iter()
            .map(|e| (e.unix_s - start, if e.cut { 0.0 } else { e.up_kbit }))
            .collect(),
        _ => Vec::new(),
    };
    let picture = Picture {
        panels: vec![Panel {
            title: String::new(),
            points,
        }],
        rate,
        budget: args.budget,
    };
    write(&picture, &args.out)
}

/// Of a link's way up: seconds, and kbit/s from then on.
pub fn rate(trace: &Trace) -> Vec<(f64, f64)> {
    let steps = trace.steps().iter();
    let rate = steps.map(|s| {
        let rate = if s.up.cut { 0 } else { s.up.rate };
        (s.at.as_secs_f64(), rate as f64 / 1e3)
    });
    rate.collect()
}

/// Writes `out` with .svg, and with .png.
///
/// # Errors
/// When it cannot be drawn or written.
pub fn write(picture: &Picture, out: &Path) -> Result<()> {
    let name = out.file_name().context("the plot needs a file name")?;
    let folder = out.parent().filter(|f| !f.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    save(
        &picture.svg()?,
        folder,
        &name.to_string_lossy(),
        &Fonts::find(),
    )
}
