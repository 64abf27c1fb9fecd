// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the tensor code costs and what it does to the answers, against everything else that could be sent:
//! `tests/measure.sh tensor-code [--quick] [--json FILE]`.

use anyhow::Result;
use splitinfer_tests::measure;
use splitinfer_tests::tensor_code::codes::Codes;
use splitinfer_tests::tensor_code::run::sweep;
use splitinfer_tests::tensor_code::subject::{Subject, clips};

fn main() -> Result<()> {
    splitinfer_tests::init();
    let codes = Codes::new(true);
    for clip in clips().iter().take(1) {
        let mut subject = Subject::load(clip, 20)?;
        let cuts: Vec<usize> = (0..subject.model.split.candidates().len()).collect();
        let bar = measure::progress(codes.steps(cuts.len()) as usize);
        let points = sweep(&mut subject, &cuts, &codes, &bar)?;
        for p in points {
            println!("{}", serde_json::to_string(&p)?);
        }
    }
    Ok(())
}
