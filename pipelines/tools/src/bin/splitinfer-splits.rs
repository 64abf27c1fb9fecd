// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Draws where frames were split over time and how long each took.

use clap::Parser;
use splitinfer_tools::splits::{Args, draw};
use std::process::ExitCode;

fn main() -> ExitCode {
    match draw(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("splitinfer-splits: {e:#}");
            ExitCode::FAILURE
        }
    }
}
