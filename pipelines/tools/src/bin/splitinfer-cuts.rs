// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Prints where an ONNX model can be cut, and what each cut costs: see docs/splitinfer-cuts.md.

use clap::Parser;
use splitinfer_tools::cuts::{Args, report};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    match report(&args.request()) {
        Ok(report) => {
            if args.json {
                println!("{}", report.to_json());
            } else {
                print!("{report}");
            }
            if report.failed() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            }
        }
        Err(e) => {
            eprintln!("splitinfer-cuts: {e:#}");
            ExitCode::FAILURE
        }
    }
}
