// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The last latencies, and their quantiles.

use std::collections::VecDeque;
use std::time::Duration;

/// The latencies of the last frames: 300 by default, ten seconds at 30 frames a second.
#[derive(Clone, Debug)]
pub struct LatencyWindow {
    last: VecDeque<Duration>,
    size: usize,
}

impl Default for LatencyWindow {
    fn default() -> Self {
        Self::new(300)
    }
}

impl LatencyWindow {
    /// A window of the last `size` frames, at least one.
    pub fn new(size: usize) -> Self {
        Self {
            last: VecDeque::new(),
            size: size.max(1),
        }
    }

    pub fn add(&mut self, latency: Duration) {
        if self.last.len() == self.size {
            self.last.pop_front();
        }
        self.last.push_back(latency);
    }

    /// The smallest latency that at least the share `q` of the frames did not exceed (nearest rank; 0.5: the
    /// median). `None` before the first frame.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.last.iter().copied().collect();
        let rank = (q.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
        let place = rank.saturating_sub(1);
        if sorted.is_empty() {
            return None;
        }
        Some(*sorted.select_nth_unstable(place).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks_of_the_last_frames() {
        let mut window = LatencyWindow::new(100);
        assert_eq!(window.quantile(0.5), None);
        for i in (0..150).chain((1..=100).rev()) {
            window.add(Duration::from_millis(i));
        }
        let at = |q| window.quantile(q).unwrap().as_millis();
        assert_eq!([at(0.0), at(0.5), at(0.99), at(1.0)], [1, 50, 99, 100]);
    }
}
