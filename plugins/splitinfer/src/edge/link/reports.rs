// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Reports for the pipeline behind the server: which pictures it wants, and what of them is on its way.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use splitinfer_wire::REPORT_BIT;

/// Reports that may be under way at once, and pictures among them: what the network does not take is left out.
pub(super) const MOST: usize = 8;
const MOST_PICTURES: usize = 2;

/// What is not there by then is of no interest any more.
pub(super) const LIFE: Duration = Duration::from_secs(5);

/// All pictures together take this share of the bandwidth that the plan reckons with.
const SHARE: f64 = 0.25;

/// What became of a frame, for the pipeline behind the server.
pub(in crate::edge) struct Report {
    pub(in crate::edge) frame: u64,
    pub(in crate::edge) pts_ns: Option<u64>,
    pub(in crate::edge) model_version: u64,
    /// One JSON object.
    pub(in crate::edge) result: String,
    /// JPEG; empty for none.
    pub(in crate::edge) picture: Vec<u8>,
    /// Width and height of the frame.
    pub(in crate::edge) size: (u16, u16),
}

#[derive(Debug, Default)]
pub(super) struct Reports(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Whether the server of this session takes reports.
    taken: bool,
    /// Of every so many frames a picture is wanted; 0: of none.
    every: u32,
    /// By their numbers; whether each has a picture.
    under_way: HashMap<u64, bool>,
}

impl Reports {
    pub(super) fn connected(&self, taken: bool, every: u32) {
        *self.0.lock().unwrap() = State {
            taken,
            every,
            under_way: HashMap::new(),
        };
    }

    pub(super) fn gone(&self) {
        *self.0.lock().unwrap() = State::default();
    }

    pub(super) fn wanted(&self, every: u32) {
        self.0.lock().unwrap().every = every;
    }

    pub(super) fn are_taken(&self) -> bool {
        self.0.lock().unwrap().taken
    }

    /// Whether the picture of this frame is wanted, and there is room for it.
    pub(super) fn picture_due(&self, frame: u64) -> bool {
        let state = self.0.lock().unwrap();
        let pictures = state.under_way.values().filter(|p| **p).count();
        state.every > 0 && frame.is_multiple_of(state.every.into()) && pictures < MOST_PICTURES
    }

    /// `false` where as many are under way as may be.
    pub(super) fn begin(&self, number: u64, picture: bool) -> bool {
        let mut state = self.0.lock().unwrap();
        let room = state.taken && state.under_way.len() < MOST;
        if room {
            state.under_way.insert(number, picture);
        }
        room
    }

    /// Whether this was the number of a report; it is under way no more.
    pub(super) fn ended(&self, number: u64) -> bool {
        let report = number & REPORT_BIT != 0;
        if report {
            self.0.lock().unwrap().under_way.remove(&number);
        }
        report
    }
}

/// Bytes of a picture a second, where so many pass in all.
pub(super) fn picture_rate(bandwidth: f64) -> Option<f64> {
    (bandwidth > 0.0).then_some(SHARE / MOST_PICTURES as f64 * bandwidth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_due_as_often_as_they_are_wanted_and_the_network_takes_them() {
        let reports = Reports::default();
        assert!(
            !reports.are_taken() && !reports.picture_due(0) && !reports.begin(REPORT_BIT, true)
        );
        reports.connected(true, 0);
        assert!(!reports.picture_due(0) && reports.begin(REPORT_BIT, false));
        reports.wanted(3);
        let due = |n: &u64| reports.picture_due(*n);
        assert_eq!((0..8).filter(due).collect::<Vec<_>>(), [0, 3, 6]);
        for number in 1..=MOST_PICTURES as u64 {
            assert!(reports.begin(number | REPORT_BIT, true));
        }
        assert!(!reports.picture_due(3), "as many as may be are under way");
        assert!(reports.ended(1 | REPORT_BIT) && reports.picture_due(3));
        assert!(!reports.ended(2), "the frame is no report");
        let taken = |n: &u64| reports.begin(n | REPORT_BIT, false);
        assert_eq!((10..40).filter(taken).count(), MOST - 2);
        reports.gone();
        assert!(!reports.are_taken());
    }
}
