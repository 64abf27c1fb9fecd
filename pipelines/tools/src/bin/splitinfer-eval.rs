// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Compares results with truth: see docs/evaluation.md.

use clap::Parser;
use splitinfer_tools::eval::{Args, evaluate};
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = Args::parse()
        .request()
        .and_then(|request| evaluate(&request)?.deliver(&request));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("splitinfer-eval: {e:#}");
            ExitCode::FAILURE
        }
    }
}
