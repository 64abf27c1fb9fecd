// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Draws an adaptation over time and sums it up: see docs/adaptation.md.

use clap::Parser;
use splitinfer_tools::timeline::{Args, timeline};
use std::process::ExitCode;

fn main() -> ExitCode {
    match timeline(&Args::parse()) {
        Ok(table) => {
            println!("{table}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("splitinfer-timeline: {e:#}");
            ExitCode::FAILURE
        }
    }
}
