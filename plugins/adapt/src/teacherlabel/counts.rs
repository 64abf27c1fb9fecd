// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What `teacherlabel` has done so far.

use std::time::Duration;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) frames: u64,
    pub(super) labelled: u64,
    /// Sent on without labels, as the server did not answer.
    pub(super) unanswered: u64,
    pub(super) over_rate: u64,
    /// Without a picture of their own.
    pub(super) gaps: u64,
    /// For the labels, of all labelled frames.
    pub(super) took: Duration,
    pub(super) canary_error: Option<f64>,
}

impl Counts {
    /// `dropped`: as too many waited.
    pub(super) fn to_structure(self, dropped: u64) -> gst::Structure {
        let share = self.labelled as f64 / self.frames.max(1) as f64;
        let mean = self.took.as_secs_f64() * 1000.0 / self.labelled.max(1) as f64;
        let mut stats = gst::Structure::builder("stats")
            .field("frames", self.frames)
            .field("labelled-frames", self.labelled)
            .field("labelled-share", share)
            .field("unanswered-frames", self.unanswered)
            .field("dropped-frames", dropped)
            .field("over-rate-frames", self.over_rate)
            .field("frames-without-picture", self.gaps)
            .field("label-ms", mean)
            .build();
        stats.set_if_some("canary-error", self.canary_error);
        stats
    }
}
