// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What new weights take: bytes, change of the outputs, and what a swap does to a stream.
//! `tests/measure.sh weight-update [--quick]`.

use anyhow::{Context, Result};
use serde_json::json;
use splitinfer_tests::measure;
use splitinfer_tests::weight_update::{code, swap};

fn main() -> Result<()> {
    let quick = std::env::args().any(|a| a == "--quick");
    splitinfer_tests::init();
    println!("# New weights\n\n{}\n", measure::machine());
    let subjects = measure::subjects();
    let students: Vec<_> = subjects
        .iter()
        .filter(|s| s.name.ends_with("student"))
        .collect();
    anyhow::ensure!(!students.is_empty(), "there is no student to measure with");
    let coded = code::tables(&students, quick)?;
    let swapped = swap::table(&students, quick)?;
    let worst = |values: Vec<f64>| {
        values
            .into_iter()
            .reduce(f64::max)
            .context("nothing was measured")
    };
    let kbits = worst(coded.iter().map(|c| c.kbit_s).collect())?;
    let bits = worst(coded.iter().map(|c| c.bits_per_parameter).collect())?;
    let error = worst(coded.iter().map(|c| c.error_pct).collect())?;
    let lost: u64 = swapped.iter().map(|s| s.lost).sum();
    let total = worst(swapped.iter().map(|s| s.total_ms).collect())?;
    println!(
        "\n{}",
        json!({
            "update_kbit_s": (kbits * 10.0).round() / 10.0,
            "bits_per_parameter": (bits * 100.0).round() / 100.0,
            "output_error_of_change_pct": (error * 100.0).round() / 100.0,
            "swap_lost_buffers": lost,
            "swap_total_ms": (total * 10.0).round() / 10.0,
        })
    );
    Ok(())
}
