// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What it takes to be able to cut a model anywhere, and what a switch does to a stream.
//! `tests/measure.sh split-switch [--quick]`.

use anyhow::Result;
use serde_json::json;
use splitinfer_tests::measure;
use splitinfer_tests::split_switch::{child, live, ways};

fn main() -> Result<()> {
    if child::work_if_asked()? {
        return Ok(());
    }
    let quick = std::env::args().any(|a| a == "--quick");
    splitinfer_tests::init();
    println!("# Switching the split\n\n{}\n", measure::machine());
    let mut subjects = measure::subjects();
    anyhow::ensure!(!subjects.is_empty(), "there is no model to measure with");
    if quick {
        // The smallest, and the one with the largest chain.
        subjects.retain(|s| ["walker-student", "FastestDet"].contains(&s.name.as_str()));
    }
    let ways = match quick {
        true => ways::Effort {
            processes: 1,
            switches: 1,
            turns: 5,
        },
        false => ways::Effort {
            processes: 2,
            switches: 8,
            turns: 30,
        },
    };
    let live = match quick {
        true => live::Effort {
            rounds: 3,
            numbered: 600,
            processes: 1,
        },
        false => live::Effort {
            rounds: 32,
            numbered: 6000,
            processes: 2,
        },
    };
    ways::tables(&subjects, ways)?;
    let figures = live::tables(&subjects, live)?;
    println!(
        "\n{}",
        json!({
            "lost_frames": figures.lost,
            "added_ms_p99": (figures.added_ms_p99 * 100.0).round() / 100.0,
            "memory_ratio": (figures.memory_ratio * 100.0).round() / 100.0,
        })
    );
    Ok(())
}
