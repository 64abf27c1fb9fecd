// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the `stats` property tells.

use splitinfer_quality::{DriftWatch, Gate};

/// Counters since the element started.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) frames: u64,
    pub(super) scored: u64,
    pub(super) windows: u64,
    pub(super) bad: u64,
    pub(super) gated: u64,
    pub(super) sent: u64,
    pub(super) canaries: u64,
    pub(super) rounds: u64,
}

impl Counts {
    pub(super) fn to_structure(
        &self,
        gate: &Gate,
        drift: &DriftWatch,
        dropped: u64,
    ) -> gst::Structure {
        let mut s = gst::Structure::builder("application/x-svdgate-stats")
            .field("frames", self.frames)
            .field("scored-frames", self.scored)
            .field("windows", self.windows)
            .field("bad-windows", self.bad)
            .field("gated-windows", self.gated)
            .field("sent-frames", self.sent)
            .field("canary-frames", self.canaries)
            .field("rounds", self.rounds)
            .field("drift-evidence", drift.evidence())
            .field("dropped-frames", dropped)
            .build();
        if let Some(learnt) = gate.learnt() {
            s.set("rank", u32::try_from(learnt.rank).unwrap_or(u32::MAX));
            s.set("threshold", learnt.threshold);
        }
        s.set_if_some("usual-error", drift.usual_error());
        s.set_if_some("usual-threshold", drift.threshold());
        s
    }
}
