// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What loss does to the answers: every code that can be had in pieces, at its operating point.

use anyhow::Result;
use serde::Serialize;

use super::codes::Codes;
use super::figures::{Tally, mean};
use super::loss::{GilbertElliott, with_loss};
use super::report::Report;
use super::subject::Subject;
use super::{Code, Role, Tensors};
use crate::measure::ms;

/// Of packets.
pub const MEAN_LOSS: f64 = 0.05;
pub const MEAN_BURST: f64 = 3.0;
/// Runs of a clip, each with other losses.
pub const SEEDS: u64 = 5;

/// One code behind a network that loses packets.
#[derive(Clone, Debug, Serialize)]
pub struct LossPoint {
    pub code: &'static str,
    pub role: Role,
    pub knob: &'static str,
    pub quality: f64,
    pub cut: usize,
    /// Mean of a frame.
    pub pieces: f64,
    pub lost_pct: f64,
    /// Relative output error, mean, without loss and with it.
    pub error_without: f64,
    pub error: f64,
    pub f1: f64,
    /// Points of accuracy (of agreement, where there is no truth) that loss costs.
    pub points_lost: f64,
    /// Of decoding what arrived.
    pub decode_ms_p99: f64,
}

/// At the cut that suits the project's codes best.
///
/// # Errors
/// When a code or the model fails.
pub fn loss(subject: &Subject, codes: &Codes, report: &Report) -> Result<Vec<LossPoint>> {
    let Some(cut) = report.best_cut() else {
        return Ok(Vec::new());
    };
    let frames = subject.crossing(cut)?;
    let mut out = Vec::new();
    for code in &codes.tensor {
        let curve = report.curve(code.name, Some(cut));
        let Some((point, _)) = report.chosen(&curve) else {
            continue;
        };
        out.extend(behind_loss(subject, code, point.quality, cut, &frames)?);
    }
    Ok(out)
}

/// What was seen over one or several runs of a clip.
#[derive(Default)]
struct Seen {
    tally: Tally,
    pieces: usize,
    lost: usize,
    frames: usize,
    decode: Vec<f64>,
}

fn behind_loss(
    subject: &Subject,
    code: &Code<Tensors>,
    quality: f64,
    cut: usize,
    frames: &[Tensors],
) -> Result<Option<LossPoint>> {
    let Some(make) = &code.pieces else {
        return Ok(None);
    };
    let coarser = subject.coarser(cut, frames)?;
    let run = |mean_loss: f64, seeds: u64| -> Result<Seen> {
        let mut seen = Seen::default();
        for seed in 0..seeds {
            let mut stream = make(quality)?;
            stream.attune(&coarser);
            let mut channel = GilbertElliott::new(mean_loss, MEAN_BURST, seed);
            with_loss(stream.as_mut(), frames, &mut channel, |i, received| {
                let outputs = subject.model.split.tail(cut, &received.tensors)?;
                let objects = subject.model.read(&outputs)?;
                seen.tally
                    .answered(&subject.frames[i], &outputs, &objects, &subject.legs);
                seen.pieces += received.arrived.len();
                seen.lost += received.arrived.iter().filter(|a| !**a).count();
                seen.frames += 1;
                seen.decode.push(ms(received.decode));
                Ok(())
            })?;
        }
        Ok(seen)
    };
    let (without, with) = (run(0.0, 1)?, run(MEAN_LOSS, SEEDS)?);
    let accuracy = |s: &Seen| {
        let measured = s.tally.accuracy(subject.metric());
        measured.unwrap_or(s.tally.f1())
    };
    Ok(Some(LossPoint {
        code: code.name,
        role: code.role,
        knob: code.knob,
        quality,
        cut,
        pieces: with.pieces as f64 / with.frames.max(1) as f64,
        lost_pct: with.lost as f64 / with.pieces.max(1) as f64 * 100.0,
        error_without: mean(without.tally.errors()),
        error: mean(with.tally.errors()),
        f1: with.tally.f1(),
        points_lost: (accuracy(&without) - accuracy(&with)) * 100.0,
        decode_ms_p99: percentile(&with.decode, 0.99),
    }))
}

/// The least value that this share of the values does not exceed.
fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted
        .get(at.saturating_sub(1).min(last))
        .copied()
        .unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_of_a_hundred_is_the_99th() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 0.99), 99.0);
        assert_eq!(percentile(&values[..1], 0.99), 100.0);
        assert!(percentile(&[], 0.99).is_nan());
    }
}
