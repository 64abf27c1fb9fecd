// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! After Neurosurgeon (Kang et al., ASPLOS 2017): the split with the least sum of predicted time here, transfer and predicted
//! time there, anew for each frame.
//!
//! It predicts the times of each layer here and there by regressions that were fitted once before, divides the
//! bytes that cross by the current bandwidth, and takes the least sum. It knows the server's current load, but no
//! queues, no losses, no frames under way, and has no hysteresis. There each kind of layer has a regression of its own; here one
//! is over the share of the model's multiplications, fitted to this very model, which is a gift. Another one: what crosses is in the project's code
//! instead of raw tensors. The published method codes nothing, so it reckons with no time for that; where `coding` is given it does.

use std::time::Duration;

use splitinfer_plan::Choice;

use super::line::Line;

/// Bandwidth and load are those of the last frame that the server completed, the bandwidth no more than a frame shows that was given
/// up since. Where there has been neither for this long, the bandwidth is that of a monitor, if it is sure enough, frames that were
/// given up no longer count, and the server is taken to be as it was when it was profiled.
pub const STALE: Duration = Duration::from_secs(1);
/// Relative uncertainty of such a bandwidth, at most.
pub const SURE: f64 = 0.3;

/// Bytes a second until something has been sent.
const AT_FIRST: f64 = 1.25e6;
/// No transfer counts as shorter.
const SHORTEST: Duration = Duration::from_micros(100);

/// What it knows of a choice before the first frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub choice: Choice,
    /// Shares of the model's work here and there.
    pub here: f64,
    pub there: f64,
    /// To the server.
    pub bytes: u64,
    /// Encoding here and decoding there; nothing for the method as it was published.
    pub coding: Duration,
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Neurosurgeon {
    candidates: Vec<Candidate>,
    edge: Line,
    server: Line,
    bandwidth: f64,
    /// By the frames given up since.
    bound: f64,
    rtt: Duration,
    load: f64,
}

impl Neurosurgeon {
    /// `edge`, `server`: the regressions of both machines.
    pub fn new(candidates: Vec<Candidate>, edge: Line, server: Line) -> Self {
        Self {
            candidates,
            edge,
            server,
            bandwidth: AT_FIRST,
            bound: f64::INFINITY,
            rtt: Duration::ZERO,
            load: 1.0,
        }
    }

    /// A frame's bytes took so long, neither the round trip nor what the server did counted in.
    pub fn transferred(&mut self, bytes: u64, took: Duration) {
        self.bandwidth(bytes as f64 / took.max(SHORTEST).as_secs_f64());
    }

    /// A frame's bytes were waited for so long in vain: the bandwidth is no more than that, until more is known.
    pub fn missed(&mut self, bytes: u64, waited: Duration) {
        let most = bytes as f64 / waited.max(SHORTEST).as_secs_f64();
        self.bound = self.bound.min(most.max(1.0));
    }

    /// Bytes a second, from now on.
    pub fn bandwidth(&mut self, rate: f64) {
        self.bandwidth = rate.max(1.0);
        self.bound = f64::INFINITY;
    }

    pub fn round_trip(&mut self, rtt: Duration) {
        self.rtt = rtt;
    }

    /// The server took so long for its part of the model: its load is what that is of the prediction.
    pub fn served(&mut self, choice: Choice, took: Duration) {
        let predicted = self.find(choice).map(|c| self.server.time(c.there));
        if let Some(predicted) = predicted.filter(|p| *p > Duration::ZERO) {
            self.load = took.as_secs_f64() / predicted.as_secs_f64();
        }
    }

    /// No frame has been answered or given up for [long](STALE). `monitor`: its bandwidth, if it is sure enough.
    pub fn silent(&mut self, monitor: Option<f64>) {
        self.load = 1.0;
        self.bandwidth(monitor.unwrap_or(self.bandwidth));
    }

    /// Inference here of a choice, as predicted.
    pub fn work_here(&self, choice: Choice) -> Duration {
        self.find(choice)
            .map_or(Duration::ZERO, |c| self.edge.time(c.here))
    }

    fn find(&self, choice: Choice) -> Option<&Candidate> {
        self.candidates.iter().find(|c| c.choice == choice)
    }

    fn predicted(&self, candidate: &Candidate) -> Duration {
        let here = self.edge.time(candidate.here);
        if candidate.choice == Choice::Here {
            return here;
        }
        let there = self.server.time(candidate.there).mul_f64(self.load);
        let transfer =
            Duration::from_secs_f64(candidate.bytes as f64 / self.bandwidth.min(self.bound));
        candidate.coding + here + there + transfer + self.rtt
    }

    /// The split for the next frame.
    pub fn choose(&self) -> Choice {
        let best = self.candidates.iter().min_by_key(|c| self.predicted(c));
        best.map_or(Choice::Here, |c| c.choice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 ms whole here, 20 ms there; a picture of 20 kB, and a cut in the middle of 5 kB.
    fn example(coding: Duration) -> Neurosurgeon {
        let candidate = |choice, here, there, bytes, coding| Candidate {
            choice,
            here,
            there,
            bytes,
            coding,
        };
        let candidates = vec![
            candidate(Choice::Here, 1.0, 0.0, 0, Duration::ZERO),
            candidate(Choice::Picture, 0.0, 1.0, 20_000, Duration::ZERO),
            candidate(Choice::Candidate(0), 0.2, 0.8, 5_000, coding),
        ];
        let edge = Line::through(&[(0.0, 0.0), (1.0, 0.1)]);
        Neurosurgeon::new(candidates, edge, edge.faster(5.0))
    }

    #[test]
    fn the_slower_the_link_the_more_is_done_here() {
        let mut it = example(Duration::ZERO);
        let choices = [2e6, 0.4e6, 0.05e6].map(|rate| {
            it.bandwidth(rate);
            it.choose()
        });
        assert_eq!(
            choices,
            [Choice::Picture, Choice::Candidate(0), Choice::Here]
        );
    }

    #[test]
    fn the_bandwidth_is_that_of_the_last_transfer() {
        let mut it = example(Duration::ZERO);
        it.transferred(5_000, Duration::from_millis(100));
        assert_eq!(it.choose(), Choice::Here, "50 kB/s");
        it.transferred(5_000, Duration::ZERO);
        assert_eq!(it.choose(), Choice::Picture, "as fast as can be told");
    }

    #[test]
    fn a_frame_given_up_bounds_the_bandwidth_for_a_while() {
        let mut it = example(Duration::ZERO);
        it.transferred(20_000, Duration::from_millis(10));
        it.missed(20_000, Duration::from_millis(400));
        assert_eq!(it.choose(), Choice::Here, "50 kB/s at most");
        it.missed(20_000, Duration::from_millis(4));
        assert_eq!(it.choose(), Choice::Here, "a probe bounds nothing");
        it.silent(None);
        assert_eq!(it.choose(), Choice::Picture, "as it was last measured");
        it.silent(Some(5e4));
        assert_eq!(it.choose(), Choice::Here, "as the monitor has it");
    }

    #[test]
    fn a_loaded_server_gets_less_to_do() {
        let mut it = example(Duration::ZERO);
        it.bandwidth(2e6);
        it.served(Choice::Picture, Duration::from_millis(200));
        assert_eq!(it.choose(), Choice::Here);
        it.served(Choice::Here, Duration::ZERO);
        assert_eq!(it.choose(), Choice::Here, "the server had no part in that");
        it.served(Choice::Candidate(0), Duration::from_millis(16));
        assert_eq!(it.choose(), Choice::Picture, "as fast as predicted");
        it.served(Choice::Picture, Duration::from_millis(200));
        it.silent(None);
        assert_eq!(it.choose(), Choice::Picture);
    }

    #[test]
    fn a_long_way_and_coding_count_where_they_are_known() {
        let mut it = example(Duration::from_millis(60));
        it.bandwidth(0.4e6);
        assert_eq!(it.choose(), Choice::Picture, "coding a cut takes too long");
        it.round_trip(Duration::from_millis(80));
        assert_eq!(it.choose(), Choice::Here);
    }
}
