// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where a cut in between wins: over a steady link, for every rate and speed of the edge, each choice held all the time.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use splitinfer_plan::Choice;

use super::figures::{mean, ms};
use super::profile::{ModelProfile, Profiles};
use super::setting::Setting;
use super::study::hold;

const RATES: [&str; 6] = [
    "250kbit/s",
    "1Mbit/s",
    "3Mbit/s",
    "10Mbit/s",
    "25Mbit/s",
    "50Mbit/s",
];
/// Of the whole model on the edge.
const WHOLE_MS: [u64; 5] = [20, 50, 100, 200, 400];
const FRAMES: u32 = 60;

/// One table a model: by how much the best cut is faster than the best of all here and the picture, as JPEG or H.264,
/// percent of that; by how much it is slower where it is not.
///
/// # Errors
/// When a trace cannot be made.
pub fn table(profiles: &Profiles) -> Result<String> {
    let mut out = String::new();
    for model in &profiles.models {
        let model = Arc::new(model.clone());
        let _ = writeln!(
            out,
            "\n### {}\n\n| whole model here | {} |",
            model.name,
            RATES.join(" | ")
        );
        let _ = writeln!(out, "|---|{}", "---|".repeat(RATES.len()));
        for whole in WHOLE_MS {
            let cells = RATES
                .iter()
                .map(|rate| cell(&model, Duration::from_millis(whole), rate))
                .collect::<Result<Vec<_>>>()?;
            let _ = writeln!(out, "| {whole} ms | {} |", cells.join(" | "));
        }
    }
    Ok(out)
}

fn cell(model: &Arc<ModelProfile>, whole: Duration, rate: &str) -> Result<String> {
    let text = format!("0s up.rate={rate} down.rate=20Mbit/s delay=10ms queue=256kB");
    let setting = Arc::new(Setting {
        model: Arc::clone(model),
        trace: Arc::new(text.parse().context("a steady trace")?),
        edge_slower: whole.as_secs_f64() * 1e6 / model.whole_us,
        server_faster: 4.0,
        // Each frame has passed before the next one comes, and every answer is waited for.
        interval: Duration::from_secs(2),
        budget: Duration::from_secs(2),
        frames: FRAMES,
        seed: 0,
    });
    let latency = |choice| {
        let run = hold(&setting, choice);
        // The first frames stand alone.
        let later = run.frames.iter().skip(5);
        mean(&later.map(|f| ms(f.latency)).collect::<Vec<_>>())
    };
    let (mut cuts, mut others) = (Vec::new(), Vec::new());
    for choice in setting.choices() {
        match choice {
            Choice::Candidate(i) => cuts.push((i, latency(choice))),
            Choice::Here => others.push(("here", latency(choice))),
            Choice::Picture => others.push(("JPEG", latency(choice))),
            Choice::Video => others.push(("H.264", latency(choice))),
        }
    }
    let best = cuts.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let best = best.context("no cut")?;
    let other = others.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let (name, other) = other.context("all here is always there")?;
    Ok(match best.1 < other {
        true => format!(
            "**cut {}: {:.0} ms, {:.0} % below {name}**",
            best.0,
            best.1,
            (1.0 - best.1 / other) * 100.0
        ),
        false => format!(
            "{name}: {other:.0} ms (cut +{:.0} %)",
            (best.1 / other - 1.0) * 100.0
        ),
    })
}
