// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a recording comes to.

use std::collections::BTreeMap;

use super::book::Key;
use super::play::Recording;
use crate::measure::quantile;

/// Of one edge in one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// ms, of all frames that the camera took; one that was dropped takes until the next result.
    pub latencies: Vec<f64>,
    /// Of all frames, those that had a result within the budget, 0 to 1.
    pub in_time: f64,
    /// Frames that never got into the element.
    pub dropped: usize,
    /// Bytes to the server, those of the monitor among them, per frame of the camera.
    pub bytes: f64,
    pub switches: u64,
    /// Share of the frames that came out of each split, completed as planned; `late`: completed here in place of the server.
    pub shares: BTreeMap<String, f64>,
}

impl Figures {
    /// Of a run with this key.
    pub fn new(recording: &Recording, key: &Key) -> Self {
        let interval = 1e3 / f64::from(key.setting.rate);
        Self::of(recording, key.setting.shots, interval, key.budget_ms.into())
    }

    /// `shots`: frames of the camera, `interval` ms apart.
    fn of(recording: &Recording, shots: usize, interval: f64, budget: f64) -> Self {
        let latencies = latencies(recording, shots, interval);
        let met = latencies.iter().filter(|l| **l <= budget).count();
        let without = recording.frames.iter().filter(|f| f.completed == "none");
        let mut shares = BTreeMap::new();
        for frame in &recording.frames {
            let late = frame.completed != "server" && frame.split != "edge";
            let kind = if late { "late" } else { &frame.split };
            *shares.entry(kind.to_owned()).or_insert(0.0) += 1.0 / recording.frames.len() as f64;
        }
        let done = &recording.done;
        Self {
            in_time: met.saturating_sub(without.count()) as f64 / shots as f64,
            dropped: shots - recording.frames.len().min(shots),
            bytes: (done.sent_bytes + done.monitor_bytes) as f64 / shots as f64,
            switches: done.switches,
            shares,
            latencies,
        }
    }

    pub fn mean(&self) -> f64 {
        self.latencies.iter().sum::<f64>() / self.latencies.len().max(1) as f64
    }

    pub fn quantile(&self, q: f64) -> f64 {
        quantile(&self.latencies, q)
    }

    pub fn share(&self, split: &str) -> f64 {
        self.shares.get(split).copied().unwrap_or_default()
    }
}

fn latencies(recording: &Recording, shots: usize, interval: f64) -> Vec<f64> {
    let mut left: Vec<Option<f64>> = vec![None; shots];
    for frame in &recording.frames {
        if let Some(place) = left.get_mut(frame.number as usize) {
            *place = Some(frame.number as f64 * interval + frame.latency);
        }
    }
    // Behind the last result nothing came until the film was over.
    let mut next = shots as f64 * interval;
    let mut all: Vec<f64> = left
        .into_iter()
        .enumerate()
        .rev()
        .map(|(number, at)| {
            next = at.unwrap_or(next);
            next - number as f64 * interval
        })
        .collect();
    all.reverse();
    all
}

/// How evenly something is shared out, 1/n (one has all) to 1: the index of Jain, Chiu and Hawe, 1984.
pub fn jain(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|v| v * v).sum();
    sum * sum / (values.len() as f64 * squares)
}

#[cfg(test)]
mod tests {
    use super::super::edge::{Done, Frame};
    use super::*;

    fn frame(number: u64, latency: f64, split: &str, completed: &str) -> Frame {
        Frame {
            number,
            latency,
            split: split.into(),
            completed: completed.into(),
        }
    }

    #[test]
    fn a_dropped_frame_takes_until_the_next_result() {
        let recording = Recording {
            frames: vec![
                frame(0, 10.0, "relu", "server"),
                frame(2, 30.0, "relu", "edge"),
                frame(3, 5.0, "edge", "edge"),
            ],
            done: Done {
                sent_bytes: 900,
                monitor_bytes: 100,
                switches: 1,
                ..Done::default()
            },
        };
        let figures = Figures::of(&recording, 5, 20.0, 30.0);
        assert_eq!(figures.latencies, [10.0, 50.0, 30.0, 5.0, 20.0]);
        assert_eq!((figures.in_time, figures.dropped), (0.8, 2));
        assert_eq!((figures.mean(), figures.quantile(0.99)), (23.0, 50.0));
        assert_eq!(figures.bytes, 200.0);
        let shares = ["relu", "late", "edge"].map(|s| figures.share(s));
        assert!(
            shares.iter().all(|s| (s - 1.0 / 3.0).abs() < 1e-9),
            "{shares:?}"
        );
    }

    #[test]
    fn a_frame_without_a_result_is_not_in_time() {
        let recording = Recording {
            frames: vec![
                frame(0, 10.0, "relu", "none"),
                frame(1, 9.0, "edge", "edge"),
            ],
            done: Done::default(),
        };
        assert_eq!(Figures::of(&recording, 2, 20.0, 30.0).in_time, 0.5);
    }

    #[test]
    fn sharing_evenly_is_one() {
        assert!((jain(&[3.0, 3.0, 3.0]) - 1.0).abs() < 1e-12);
        assert!((jain(&[1.0, 0.0, 0.0, 0.0]) - 0.25).abs() < 1e-12);
    }
}
