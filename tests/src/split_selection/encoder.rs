// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The state of the tensor code's encoder: from which frame the next one can be predicted.

use splitinfer_plan::Choice;

/// Frames that the encoder keeps.
const KEPT: u32 = 16;

#[derive(Clone, Copy, Debug, Default)]
pub struct Encoder {
    cut: Option<Choice>,
    /// Frame with which this cut began.
    since: u32,
    acknowledged: Option<u32>,
}

impl Encoder {
    /// `None`: the frame stands alone.
    pub fn reference(&self, choice: Choice, frame: u32) -> Option<u32> {
        let known = self.acknowledged.filter(|a| frame - a <= KEPT);
        known.filter(|_| self.cut == Some(choice))
    }

    pub fn sent(&mut self, choice: Choice, frame: u32) {
        if matches!(choice, Choice::Candidate(_)) && self.cut != Some(choice) {
            *self = Self {
                cut: Some(choice),
                since: frame,
                acknowledged: None,
            };
        }
    }

    pub fn acknowledged(&mut self, choice: Choice, frame: u32) {
        if self.cut == Some(choice) && frame >= self.since {
            self.acknowledged = self.acknowledged.max(Some(frame));
        }
    }
}
