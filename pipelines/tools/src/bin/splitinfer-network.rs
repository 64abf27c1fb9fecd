// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A network between two programs on this machine.

use clap::Parser;
use splitinfer_tools::network::{Args, serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    match serve(&Args::parse(), std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("splitinfer-network: {e:#}");
            ExitCode::FAILURE
        }
    }
}
