// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How well the UDP monitor knows the link, and what it takes for that: `tests/measure.sh monitor [--quick]`.

use std::time::Duration;

use anyhow::{Context, Result};
use splitinfer_tests::measure::{self, median};
use splitinfer_tests::monitor::{Case, Found, LinkKind, run};
use splitinfer_tests::network::ONE_PACKET;

fn main() -> Result<()> {
    let quick = std::env::args().any(|a| a == "--quick");
    splitinfer_tests::init();
    println!("# The UDP monitor\n\n{}\n", measure::machine());
    let model = splitinfer_tests::repository().join("models/walker-student.onnx");
    let model = model.to_str().context("the path is no UTF-8")?.to_owned();
    let each = Duration::from_secs(if quick { 5 } else { 8 });
    println!(
        "Edge and server in two network namespaces; the rate steps every {} s. Errors are of the estimate one second after the \
         step (a step whose estimate was no more than a guess then counts as 100 %), *seen* is the time until it was first \
         within 10 %, *settled* the error at the end of a rate, *traffic* what the monitor sends as a share of what the link \
         carries from two seconds after a step on, *round trip* what `stats` say less what a datagram of the same size takes.\n",
        each.as_secs()
    );
    println!(
        "| link | frames | rates, Mbit/s | error p50 / p90 % | seen p50 / p90 s | settled p50 / p90 % | traffic mean / most % | round trip ms: truth, error p50 / p90 |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut lines = Vec::new();
    for (name, case) in cases(&model, each, quick) {
        let frames = case.frames.is_some();
        let rates = rates(&case);
        match run(case)? {
            Some(found) => lines.push(line(name, frames, &rates, &found)),
            None => lines.push(Line::default()),
        }
    }
    let main = &lines[0];
    let shaper = &lines[1];
    println!(
        "\n{{\"bandwidth_error_p50_pct\": {}, \"bandwidth_error_p90_pct\": {}, \"traffic_pct\": {}, \"rtt_error_ms_p90\": {}, \
         \"shaper_error_p50_pct\": {}, \"shaper_error_p90_pct\": {}}}",
        json(main.error.0),
        json(main.error.1),
        json(main.traffic),
        json(main.rtt),
        json(shaper.error.0),
        json(shaper.error.1),
    );
    Ok(())
}

fn cases(model: &str, each: Duration, quick: bool) -> Vec<(&'static str, Case)> {
    let all = [
        1000, 250, 4000, 20_000, 2000, 500, 8000, 50_000, 1000, 5000, 10_000, 2000,
    ];
    let rates = if quick { &all[..4] } else { &all[..] };
    let camera = "scenesrc scene=walker ! video/x-raw,width=640,height=360,framerate=15/1 ! identity sync=true";
    let case = |link, frames: Option<&str>, rates: &[u32]| Case {
        link,
        frames: frames.map(str::to_owned),
        model: model.to_owned(),
        rates: rates.to_vec(),
        each,
    };
    let emulated = |ms| LinkKind::Emulated {
        delay: Duration::from_millis(ms),
    };
    let shaper = |bucket| LinkKind::Shaper { bucket };
    let mut cases = vec![
        ("emulated, 20 ms each way", case(emulated(20), None, rates)),
        (
            "shaper, one packet at once",
            case(shaper(ONE_PACKET), None, rates),
        ),
        ("shaper, 15 kB at once", case(shaper(15_000), None, rates)),
        (
            "shaper, one packet at once",
            case(shaper(ONE_PACKET), Some(camera), rates),
        ),
        (
            "shaper, 15 kB at once",
            case(shaper(15_000), Some(camera), rates),
        ),
    ];
    if quick {
        cases.truncate(2);
    }
    cases
}

fn rates(case: &Case) -> String {
    let least = case.rates.iter().min().copied().unwrap_or_default();
    let most = case.rates.iter().max().copied().unwrap_or_default();
    format!("{} to {}", f64::from(least) / 1e3, f64::from(most) / 1e3)
}

/// What the closing line tells of a row.
struct Line {
    error: (f64, f64),
    traffic: f64,
    rtt: f64,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            error: (f64::NAN, f64::NAN),
            traffic: f64::NAN,
            rtt: f64::NAN,
        }
    }
}

fn line(name: &str, frames: bool, rates: &str, found: &Found) -> Line {
    let off =
        |kbit: u32, e: Option<f64>| e.map_or(100.0, |e| (e / f64::from(kbit) - 1.0).abs() * 100.0);
    let errors: Vec<_> = found.steps.iter().map(|s| off(s.kbit, s.found)).collect();
    let settled: Vec<_> = found.steps.iter().map(|s| off(s.kbit, s.settled)).collect();
    let seen: Vec<_> = found
        .steps
        .iter()
        .map(|s| s.seen.map_or(f64::INFINITY, |t| t.as_secs_f64()))
        .collect();
    let traffic: Vec<_> = found.steps.iter().map(|s| s.traffic * 100.0).collect();
    let mean = traffic.iter().sum::<f64>() / traffic.len().max(1) as f64;
    let most = traffic.iter().copied().fold(0.0, f64::max);
    let truth: Vec<_> = found.rtt.iter().map(|r| r.1).collect();
    let rtt: Vec<_> = found.rtt.iter().map(|r| (r.0 - r.1).abs()).collect();
    let round = match rtt.is_empty() {
        true => "–".to_owned(),
        false => format!(
            "{:.2}, {:.2} / {:.2}",
            median(&truth),
            median(&rtt),
            p90(&rtt)
        ),
    };
    for step in &found.steps {
        eprintln!("{name}, frames {frames}: {step:.3?}");
    }
    println!(
        "| {name} | {} | {rates} | {:.1} / {:.1} | {} / {} | {:.1} / {:.1} | {mean:.2} / {most:.2} | {round} |",
        if frames { "15 a second" } else { "none" },
        median(&errors),
        p90(&errors),
        seconds(median(&seen)),
        seconds(p90(&seen)),
        median(&settled),
        p90(&settled),
    );
    Line {
        error: (median(&errors), p90(&errors)),
        traffic: mean,
        rtt: if rtt.is_empty() { f64::NAN } else { p90(&rtt) },
    }
}

fn seconds(time: f64) -> String {
    if time.is_finite() {
        format!("{time:.2}")
    } else {
        "not".to_owned()
    }
}

/// The value that nine of ten do not exceed.
fn p90(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * 9).div_ceil(10).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// `null` for what was not measured.
fn json(value: f64) -> String {
    match value.is_finite() {
        true => format!("{value:.2}"),
        false => "null".to_owned(),
    }
}
