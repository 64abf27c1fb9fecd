// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What downstream says about lateness, as `GstBaseTransform` keeps it, and which frames are not worth inferring.

use gst::ClockTime;

/// Quality of service as the sink last reported it.
#[derive(Debug, Default)]
pub(super) struct Qos {
    earliest: Option<ClockTime>,
    proportion: f64,
    pub(super) processed: u64,
    pub(super) skipped: u64,
}

/// By how much a frame is late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Late {
    pub(super) jitter: i64,
    pub(super) proportion: f64,
}

impl Qos {
    /// Takes a QoS event: frames before `timestamp + 2·diff` will be late, should `diff` be positive.
    pub(super) fn update(&mut self, proportion: f64, diff: i64, timestamp: Option<ClockTime>) {
        self.proportion = proportion;
        self.earliest = timestamp.map(|t| {
            let ahead = if diff > 0 {
                diff.saturating_mul(2)
            } else {
                diff
            };
            ClockTime::from_nseconds(t.nseconds().saturating_add_signed(ahead))
        });
    }

    /// Forgets what was reported: after a flush or a new segment it no longer holds.
    pub(super) fn reset(&mut self) {
        self.earliest = None;
        self.proportion = 0.0;
    }

    /// Decides about a frame of this running time, and counts it.
    pub(super) fn check(&mut self, running_time: Option<ClockTime>) -> Option<Late> {
        let late = match (running_time, self.earliest) {
            (Some(time), Some(earliest)) if time <= earliest && earliest > ClockTime::ZERO => {
                let jitter = earliest.nseconds() - time.nseconds();
                Some(Late {
                    jitter: i64::try_from(jitter).unwrap_or(i64::MAX),
                    proportion: self.proportion,
                })
            }
            _ => None,
        };
        match late {
            Some(_) => self.skipped += 1,
            None => self.processed += 1,
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn frames_are_skipped_only_while_the_sink_is_late() {
        let mut qos = Qos::default();
        let at = |ms| Some(ClockTime::from_mseconds(ms));
        assert_eq!(qos.check(at(0)), None);
        qos.update(1.5, 20 * MS, at(100));
        assert_eq!(qos.check(at(130)).map(|l| l.jitter), Some(10 * MS));
        assert_eq!(qos.check(at(141)), None);
        qos.update(0.9, -5 * MS, at(150));
        assert_eq!(qos.check(at(160)), None);
        assert_eq!((qos.processed, qos.skipped), (3, 1));
        qos.update(1.5, 20 * MS, at(200));
        qos.reset();
        assert_eq!(qos.check(at(210)), None);
    }

    #[test]
    fn a_frame_without_a_time_is_never_late() {
        let mut qos = Qos::default();
        qos.update(2.0, i64::MAX, Some(ClockTime::from_seconds(1)));
        assert_eq!(qos.check(None), None);
    }
}
