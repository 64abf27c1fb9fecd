// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the frames leave of this machine's time for work that can wait: to find out what the choices cost, and how coarsely tensors may be
//! coded.

use std::time::Duration;

/// Of the time that frames leave, and of all time, the part that is taken at most.
const SHARE_OF_SPARE: f64 = 0.5;
const SHARE: f64 = 0.25;
/// Where frames leave none.
const LEAST_SHARE: f64 = 0.05;

/// Time between inferred frames, and what this thread works on each of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) interval: Option<Duration>,
    pub(super) work: Duration,
}

impl Load {
    /// Of all time, for work that can wait.
    pub(super) fn share(&self) -> f64 {
        let spare = match self.interval.map(|interval| interval.as_secs_f64()) {
            Some(interval) if interval > 0.0 => 1.0 - self.work.as_secs_f64() / interval,
            _ => 1.0,
        };
        (spare * SHARE_OF_SPARE).clamp(LEAST_SHARE, SHARE)
    }
}

/// How long to rest after having worked for so long, where that may take this share of all time.
pub(super) fn rest(worked: Duration, share: f64) -> Duration {
    worked.mul_f64(1.0 / share.max(LEAST_SHARE) - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_time_frames_leave_the_less_is_taken() {
        let ms = Duration::from_millis;
        let share = |interval, work| Load { interval, work }.share();
        assert_eq!(share(Some(ms(100)), ms(10)), SHARE);
        assert!((share(Some(ms(100)), ms(80)) - 0.1).abs() < 1e-9);
        assert_eq!(share(Some(ms(100)), ms(300)), LEAST_SHARE);
        assert_eq!(share(None, ms(300)), SHARE);
        assert_eq!(share(Some(ms(0)), ms(300)), SHARE);
        assert_eq!(rest(ms(10), SHARE), ms(30));
    }
}
