// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How a batch is shared out among threads.

use std::fmt;

/// A batch in runs of one size, on lanes that work side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Examples a run.
    pub examples: usize,
    /// Runs a batch.
    pub runs: usize,
    /// Runs at a time.
    pub lanes: usize,
    /// Threads that share the work of one run's operators.
    pub threads: usize,
}

impl Sharing {
    /// The fastest way for so many threads: each has a lane of its own, as long as there are examples; of ways that
    /// give the busiest lane as little to do, the one with the largest runs. Without `together` a run takes one example.
    pub fn new(batch: usize, threads: usize, together: bool) -> Self {
        let (batch, threads) = (batch.max(1), threads.max(1));
        let sizes = (1..=batch).filter(|size| batch % size == 0 && (together || *size == 1));
        let busiest = |size: usize| (batch / size).div_ceil(threads) * size;
        let examples = sizes.min_by_key(|size| (busiest(*size), batch - size));
        let examples = examples.unwrap_or(1);
        let runs = batch / examples;
        let lanes = runs.min(threads);
        Self {
            examples,
            runs,
            lanes,
            threads: threads / lanes,
        }
    }

    /// One run after another, whose operators the threads share: for what computes elsewhere.
    pub fn in_line(batch: usize, threads: usize, together: bool) -> Self {
        Self {
            threads,
            ..Self::new(batch, 1, together)
        }
    }

    /// Whether a batch is one run.
    pub fn is_whole(&self) -> bool {
        self.runs == 1
    }
}

impl fmt::Display for Sharing {
    /// `in one run`, `in 4 runs of 2, 2 at a time`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            examples,
            runs,
            lanes,
            ..
        } = self;
        match (runs, lanes) {
            (1, _) => write!(f, "in one run"),
            (_, 1) => write!(f, "in {runs} runs of {examples}, one after another"),
            _ => write!(f, "in {runs} runs of {examples}, {lanes} at a time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sharing(batch: usize, threads: usize, together: bool) -> [usize; 4] {
        let s = Sharing::new(batch, threads, together);
        [s.examples, s.runs, s.lanes, s.threads]
    }

    #[test]
    fn each_thread_has_a_share() {
        assert_eq!(sharing(8, 1, true), [8, 1, 1, 1]);
        assert_eq!(sharing(8, 2, true), [4, 2, 2, 1]);
        assert_eq!(sharing(8, 4, true), [2, 4, 4, 1]);
        assert_eq!(sharing(8, 3, true), [1, 8, 3, 1]);
        assert_eq!(sharing(8, 6, true), [2, 4, 4, 1]);
        assert_eq!(sharing(8, 16, true), [1, 8, 8, 2]);
        assert_eq!(sharing(1, 4, true), [1, 1, 1, 4]);
        assert_eq!(sharing(8, 2, false), [1, 8, 2, 1]);
        assert_eq!(sharing(0, 0, true), [1, 1, 1, 1]);
    }

    #[test]
    fn it_says_what_it_is() {
        assert_eq!(Sharing::new(8, 1, true).to_string(), "in one run");
        let two = Sharing::new(8, 2, true).to_string();
        assert_eq!(two, "in 2 runs of 4, 2 at a time");
        let apart = Sharing::in_line(8, 2, false).to_string();
        assert_eq!(apart, "in 8 runs of 1, one after another");
    }

    proptest! {
        #[test]
        fn nothing_is_left_over_and_no_thread_is_invented(
            batch in 1usize..70,
            threads in 1usize..40,
            together: bool,
        ) {
            let s = Sharing::new(batch, threads, together);
            prop_assert_eq!(s.examples * s.runs, batch);
            prop_assert!(s.lanes >= 1 && s.lanes <= s.runs);
            prop_assert!(s.threads >= 1 && s.lanes * s.threads <= threads);
            // No other number of lanes would be done sooner.
            let busiest = s.runs.div_ceil(s.lanes) * s.examples;
            prop_assert_eq!(busiest, batch.div_ceil(threads.min(batch)));
        }
    }
}
