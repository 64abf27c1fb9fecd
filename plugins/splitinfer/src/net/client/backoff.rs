// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How long to wait before trying again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// Doubles from [`FIRST`] to [`LONGEST`], each wait shortened by up to a half at random, so that the edges of a server
/// that restarts do not all come back in the same instant.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    random: RandomState,
    count: u64,
}

impl Backoff {
    pub fn new() -> Self {
        Self {
            next: FIRST,
            random: RandomState::new(),
            count: 0,
        }
    }

    /// The wait before the next attempt.
    pub fn wait(&mut self) -> Duration {
        let longest = self.next;
        self.next = (self.next * 2).min(LONGEST);
        self.count += 1;
        let random = self.random.hash_one(self.count) as u32;
        longest.mul_f64(1.0 - 0.5 * f64::from(random) / f64::from(u32::MAX))
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_start_afresh_after_a_success() {
        let mut backoff = Backoff::new();
        let mut longest = FIRST;
        for _ in 0..20 {
            let wait = backoff.wait();
            assert!(wait <= longest && wait >= longest / 2, "{wait:?}");
            longest = (longest * 2).min(LONGEST);
        }
        assert_eq!(longest, LONGEST);
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }
}
