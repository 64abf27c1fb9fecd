// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a frame is announced with.

use std::time::Instant;

use splitinfer_wire::{FrameOpening, Patience};

use super::{FrameRequest, Until};

pub fn opening(frame: &FrameRequest, now: Instant) -> FrameOpening {
    FrameOpening {
        number: frame.number,
        content: frame.content,
        model_version: frame.model_version,
        pts_ns: frame.pts_ns,
        deadline: frame.deadline,
        placement: frame.placement,
        picture_size: frame.picture_size,
        payload_len: frame.payload.len(),
        attachment_len: frame.attachment.len(),
        patience: frame.patience.map(|until| patience(until, now)),
        longest: frame.longest,
    }
}

/// A time that has passed leaves no wait, which is not the same as to wait for all.
fn patience(until: Until, now: Instant) -> Patience {
    let wait = until.at.saturating_duration_since(now).as_micros();
    Patience {
        wait_us: u32::try_from(wait).unwrap_or(u32::MAX).max(1),
        least_permille: until.least_permille,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_time_to_wait_is_counted_from_now_and_never_none() {
        let now = Instant::now();
        let wait = |at| {
            let until = Until {
                at,
                least_permille: 500,
            };
            patience(until, now).wait_us
        };
        assert_eq!(wait(now + Duration::from_millis(20)), 20_000);
        assert_eq!(wait(now - Duration::from_millis(1)), 1);
        assert_eq!(wait(now + Duration::from_secs(1 << 20)), u32::MAX);
    }
}
