// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Whether the gate knows when the student is wrong, and what that costs: `tests/measure.sh gate [--quick | --cost]`;
//! `--cost` measures only what a window costs.

use anyhow::Result;
use serde_json::{Value, json};
use splitinfer_tests::gate::lapack::Lapack;
use splitinfer_tests::gate::record::{self, Sample, Set};
use splitinfer_tests::gate::windows::{LENGTH, Window, windows};
use splitinfer_tests::gate::{cost, report};
use splitinfer_tests::measure;

const WHOLE: Sample = Sample {
    videos: 10,
    frames_of_video: 500,
    scenes: 3,
    frames_of_scene: 140,
};
const QUICK: Sample = Sample {
    videos: 3,
    frames_of_video: 60,
    scenes: 2,
    frames_of_scene: 40,
};

fn main() -> Result<()> {
    let quick = std::env::args().any(|a| a == "--quick");
    let only_cost = std::env::args().any(|a| a == "--cost");
    let (sample, repeats) = if quick {
        (QUICK, 1000)
    } else {
        (WHOLE, 20_000)
    };
    splitinfer_tests::init();
    println!("# Gate\n\n{}\n", measure::machine());
    println!(
        "## What a window costs\n\nTime of one window on one thread: median / 99th percentile over windows, each the least of three.\n"
    );
    let lapack = Lapack::load();
    let costs: Vec<cost::Cost> = cost::SIZES
        .iter()
        .map(|size| cost::measure(*size, repeats, lapack.as_ref()))
        .collect();
    let (us_p99, max_rel_error) = report::cost(&costs, lapack.as_ref().map(|l| l.name));

    println!("## Does it know when the student is wrong?\n");
    println!(
        "Windows of T = {LENGTH} frames, half overlapping; up to {} frames of each of {} videos in {} degradations, {} scenes of \
         {} frames (15 a second) in each of {} domains.\n",
        sample.frames_of_video,
        sample.videos,
        splitinfer_tests::gate::degrade::Kind::ALL.len(),
        sample.scenes,
        sample.frames_of_scene,
        record::DOMAINS.len()
    );
    let windows = if only_cost {
        Vec::new()
    } else {
        all_windows(&sample)?
    };
    let figures = report::accuracy(&windows);
    println!("## The combined score by degradation and domain\n");
    report::by_kind(&windows);
    println!("## Coefficients of the combined score\n");
    report::coefficients(&windows);
    println!(
        "{}",
        json!({
            "us_p99": report::rounded(us_p99),
            "max_rel_error": max_rel_error,
            "auc_combined": report::lowest(&figures, "combined"),
            "auc_published": report::lowest(&figures, "published"),
            "auc_confidence": report::lowest(&figures, "confidence"),
            "windows": windows.len(),
            "auc": if windows.is_empty() { Value::Null } else { figures },
        })
    );
    Ok(())
}

/// A clip's frames are gone before the next set is made.
fn all_windows(sample: &Sample) -> Result<Vec<Window>> {
    let mut all = Vec::new();
    all.extend(record::real(sample)?.iter().flat_map(windows));
    for set in [Set::Walker, Set::Traffic] {
        all.extend(record::scenes(set, sample)?.iter().flat_map(windows));
    }
    Ok(all)
}
