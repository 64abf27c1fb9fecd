// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Draws an adaptation over time and sums it up: see docs/adaptation.md.

use clap::Parser;
use splitinfer_tools::answer;
use splitinfer_tools::timeline::{Args, timeline};
use std::process::ExitCode;

fn main() -> ExitCode {
    let told = timeline(&Args::parse()).and_then(|table| answer::print(format_args!("{table}\n")));
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("splitinfer-timeline: {e:#}");
            ExitCode::FAILURE
        }
    }
}
