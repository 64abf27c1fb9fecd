// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Prints where an ONNX model can be cut, and what each cut costs: see docs/splitinfer-cuts.md.

use clap::Parser;
use splitinfer_tools::answer;
use splitinfer_tools::cuts::{Args, report};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    let told = report(&args.request()).and_then(|report| {
        match args.json {
            true => answer::print(format_args!("{}\n", report.to_json()))?,
            false => answer::print(&report)?,
        }
        Ok(report.failed())
    });
    match told {
        Ok(true) => ExitCode::FAILURE,
        Ok(false) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("splitinfer-cuts: {e:#}");
            ExitCode::FAILURE
        }
    }
}
