// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The traces, in `pipelines/networks`: those written by hand, and those that are drawn from published
//! statistics, which `--traces` draws again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use splitinfer_link::Trace;

#[derive(Clone, Debug)]
pub struct Named {
    pub name: String,
    pub trace: Arc<Trace>,
    /// For what the trace leaves to chance.
    pub seed: u64,
}

pub fn folder() -> PathBuf {
    crate::repository().join("pipelines/networks")
}

/// All traces, by name.
///
/// # Errors
/// When one cannot be read.
pub fn load() -> Result<Vec<Named>> {
    let folder = folder();
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.sort();
    files
        .iter()
        .enumerate()
        .map(|(i, file)| read(file, i as u64))
        .collect()
}

fn read(file: &Path, seed: u64) -> Result<Named> {
    let name = || file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(name)?;
    Ok(Named {
        name: file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        trace: Arc::new(text.parse().with_context(name)?),
        seed,
    })
}

/// A kind of network: its rate is log-normal and forgets exponentially (Gauss–Markov).
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Where its figures come from; lines of a comment.
    source: &'static str,
    /// Upwards, of the median; downwards it is `down` times as much.
    median: f64,
    down: f64,
    /// Standard deviation of the rate's natural logarithm.
    spread: f64,
    memory: f64,
    /// Between two steps.
    every: Duration,
    /// What else holds, all the time.
    rest: &'static str,
}

pub(super) const LENGTH: Duration = Duration::from_secs(20);
/// Bits a second, as the targets have it.
pub(super) const RATES: std::ops::RangeInclusive<f64> = 0.25e6..=50e6;

pub(super) const KINDS: [Kind; 9] = [
    Kind {
        name: "lte-still",
        source: "LTE, not moving. Median of the uplink 6 Mbit/s, of the downlink 13: Huang et al., A Close Examination of\n# Performance and Power Characteristics of 4G LTE Networks, MobiSys 2012. Spread and delay: assumed.",
        median: 6e6,
        down: 2.2,
        spread: 0.25,
        memory: 4.0,
        every: Duration::from_millis(400),
        rest: "delay=25ms jitter=4ms queue=256kB",
    },
    Kind {
        name: "lte-car",
        source: "LTE from a car. Medians as Huang et al., MobiSys 2012 (uplink 6 Mbit/s, downlink 13); that the rate of one ride\n# varies by orders of magnitude within seconds: Raca et al., Beyond Throughput, MMSys 2018. Spread and delay: assumed.",
        median: 6e6,
        down: 2.2,
        spread: 0.8,
        memory: 3.0,
        every: Duration::from_millis(300),
        rest: "delay=30ms jitter=8ms loss=0.1% burst=3ms queue=256kB",
    },
    Kind {
        name: "lte-train",
        source: "LTE from a train: as from a car, half the median, more spread, losses for the 50 ms of a handover (Raca et al., Beyond\n# Throughput, MMSys 2018, for the kind of trace; the figures are assumed).",
        median: 3e6,
        down: 2.2,
        spread: 1.0,
        memory: 2.0,
        every: Duration::from_millis(300),
        rest: "delay=35ms jitter=10ms loss=1% burst=50ms queue=256kB",
    },
    Kind {
        name: "3g-bus",
        source: "3G from a bus, after Riiser et al., Commute Path Bandwidth Traces from 3G Networks, MMSys 2013 (a sample a second,\n# hundreds of kbit/s to a few Mbit/s); figures fitted by eye.",
        median: 1e6,
        down: 1.5,
        spread: 0.6,
        memory: 5.0,
        every: Duration::from_millis(500),
        rest: "delay=50ms jitter=15ms loss=0.2% burst=30ms queue=128kB",
    },
    Kind {
        name: "wifi-good",
        source: "Wi-Fi, a quiet channel: the hop takes 3 ms in the median, as in Sui et al., Characterizing and Improving WiFi Latency\n# in Large-Scale Operational Networks, MobiSys 2016. Rate: assumed.",
        median: 30e6,
        down: 1.0,
        spread: 0.3,
        memory: 1.0,
        every: Duration::from_millis(200),
        rest: "delay=2.5ms jitter=2ms queue=128kB",
    },
    Kind {
        name: "wifi-busy",
        source: "Wi-Fi, a busy channel: half of the packets see more than 20 ms on the hop, a tenth more than 100 (Pei et al., WiFi can\n# be the weakest link of round trip network latency in the wild, INFOCOM 2016). Rate: assumed.",
        median: 8e6,
        down: 1.0,
        spread: 0.7,
        memory: 0.8,
        every: Duration::from_millis(200),
        rest: "delay=4ms jitter=25ms loss=0.5% burst=3ms queue=128kB",
    },
    Kind {
        name: "wifi-microwave",
        source: "Wi-Fi with an interferer: as busy Wi-Fi (Pei et al., INFOCOM 2016), and 5 % of the time lost, 8 ms on end: an oven is on for\n# half of each period of the mains (Kamerman and Erkocevic, PIMRC 1997); the share is assumed.",
        median: 5e6,
        down: 1.0,
        spread: 0.9,
        memory: 0.4,
        every: Duration::from_millis(200),
        rest: "delay=3ms jitter=10ms loss=5% burst=8ms queue=128kB",
    },
    Kind {
        name: "dsl",
        source: "ADSL with others in the house: uplink 1 Mbit/s. Loss below 0.4 % at the peak is the best of the three classes in FCC,\n# Measuring Broadband America, fixed reports (chart 8 of the ninth); rate and delay: assumed, as is typical.",
        median: 0.9e6,
        down: 8.0,
        spread: 0.35,
        memory: 2.0,
        every: Duration::from_millis(500),
        rest: "delay=15ms jitter=1ms loss=0.1% queue=64kB",
    },
    Kind {
        name: "vdsl",
        source: "VDSL with others in the house: uplink 10 Mbit/s (assumed); loss as in the best class of FCC, Measuring Broadband\n# America, fixed reports.",
        median: 9e6,
        down: 4.0,
        spread: 0.25,
        memory: 2.0,
        every: Duration::from_millis(500),
        rest: "delay=9ms jitter=500us loss=0.05% queue=128kB",
    },
];

/// Draws the traces again that are drawn.
///
/// # Errors
/// When a file cannot be written.
pub fn draw() -> Result<()> {
    for (i, kind) in KINDS.iter().enumerate() {
        let file = folder().join(format!("{}.trace", kind.name));
        std::fs::write(&file, kind.draw(i as u64)).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

impl Kind {
    pub(super) fn draw(&self, seed: u64) -> String {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut text = format!(
            "# {}\n# Drawn: rate log-normal, median {} Mbit/s up, deviation of its logarithm {}, memory {} s. split-selection --traces.\n",
            self.source,
            self.median / 1e6,
            self.spread,
            self.memory
        );
        let kept = (-self.every.as_secs_f64() / self.memory).exp();
        let mut state = normal(&mut dice);
        let mut at = Duration::ZERO;
        while at < LENGTH {
            let rate = self.median * (self.spread * state).exp();
            let bits = |r: f64| (r.clamp(*RATES.start(), *RATES.end()) / 1e3).round();
            let rest = if at.is_zero() { self.rest } else { "" };
            let line = format!(
                "{}ms up.rate={}kbit/s down.rate={}kbit/s {rest}",
                at.as_millis(),
                bits(rate),
                bits(rate * self.down)
            );
            text += line.trim_end();
            text += "\n";
            state = kept * state + (1.0 - kept * kept).sqrt() * normal(&mut dice);
            at += self.every;
        }
        text
    }
}

/// By Box and Muller.
fn normal(dice: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (dice.random(), dice.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
