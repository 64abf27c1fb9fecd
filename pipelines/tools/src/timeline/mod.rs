// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! An adaptation over time: error against the truth with and without it, quality, and what happened when.

mod errors;
mod events;
mod picture;
mod summary;

use crate::images::{Fonts, save};
use anyhow::{Context, Result};
use clap::Parser;
use std::path::PathBuf;

use errors::Errors;
use events::Events;
use picture::Picture;
use summary::Summary;

/// Draws an adaptation over time and sums it up.
#[derive(Clone, Debug, Parser)]
#[command(name = "splitinfer-timeline", version)]
pub struct Args {
    /// Results with adaptation: one JSON object a line, as inferjson writes them after svdgate
    #[arg(value_name = "RESULTS")]
    pub adapted: PathBuf,

    /// Results without adaptation, of the same frames
    #[arg(long, value_name = "FILE")]
    pub plain: Option<PathBuf>,

    /// Truth: lines of a scene, COCO annotations or a MOT file
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,

    /// What happened when, as pipelines/adapt.sh writes it
    #[arg(long, value_name = "FILE")]
    pub events: PathBuf,

    /// Where the plot goes: this with .svg, and with .png
    #[arg(long, value_name = "PATH", default_value = "adapt")]
    pub out: PathBuf,
}

/// Draws the plot; gives the table.
///
/// # Errors
/// When a file cannot be read or written; the message names it.
pub fn timeline(args: &Args) -> Result<Summary> {
    let events = Events::read(&args.events)?;
    let errors = Errors::read(args)?;
    let svg = Picture::new(&errors, &events).svg()?;
    let name = args.out.file_name().context("--out names no file")?;
    let folder = args.out.parent().filter(|f| !f.as_os_str().is_empty());
    let folder = folder.unwrap_or(std::path::Path::new("."));
    save(&svg, folder, &name.to_string_lossy(), &Fonts::find())?;
    Ok(Summary::new(&errors, &events))
}
