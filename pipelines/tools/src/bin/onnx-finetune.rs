// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Trains the weights of an ONNX model on new examples: see docs/onnx-finetune.md.

use anyhow::{Context, Result};
use clap::Parser;
use splitinfer_tools::answer;
use splitinfer_tools::finetune::{Args, Outcome, finetune};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The weights are no better than they were.
const NO_BETTER: u8 = 2;
/// The training diverged; the best weights of before are written if they are better.
const DIVERGED: u8 = 3;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(e) => {
            // What is written there cannot be told either if it cannot be printed.
            let _ = e.print();
            return match e.use_stderr() {
                true => ExitCode::FAILURE,
                false => ExitCode::SUCCESS,
            };
        }
    };
    let told = run(&args).and_then(|outcome| {
        answer::print(format_args!("{outcome}\n"))?;
        Ok(outcome)
    });
    match told {
        Ok(Outcome::Inspected(found)) if found.obstacle.is_some() => ExitCode::FAILURE,
        Ok(Outcome::Trained(summary)) if summary.diverged() => ExitCode::from(DIVERGED),
        Ok(Outcome::Trained(summary)) if !summary.improved => ExitCode::from(NO_BETTER),
        Ok(_) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("onnx-finetune: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<Outcome> {
    let request = args.request()?;
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        // Who asks twice does not want to wait for the step to end.
        if told.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .context("Ctrl-C cannot be caught")?;
    finetune(&request, &stop)
}
