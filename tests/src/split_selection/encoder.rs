// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The state of the tensor code's encoder: from which frame the next one can be predicted.

use splitinfer_plan::Choice;

/// Frames that the encoder keeps.
const KEPT: u32 = 16;

/// From which frame the next one of each cut is predicted.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    cuts: Vec<Cut>,
}

#[derive(Clone, Copy, Debug)]
struct Cut {
    choice: Choice,
    /// So many were sent since the acknowledged one.
    unacknowledged: u32,
    acknowledged: Option<u32>,
}

impl Encoder {
    fn cut(&mut self, choice: Choice) -> &mut Cut {
        let place = self.cuts.iter().position(|c| c.choice == choice);
        let place = place.unwrap_or_else(|| {
            self.cuts.push(Cut {
                choice,
                unacknowledged: 0,
                acknowledged: None,
            });
            self.cuts.len() - 1
        });
        &mut self.cuts[place]
    }

    /// `None`: the frame stands alone.
    pub fn reference(&mut self, choice: Choice) -> Option<u32> {
        let cut = self.cut(choice);
        cut.acknowledged.filter(|_| cut.unacknowledged < KEPT)
    }

    pub fn sent(&mut self, choice: Choice) {
        self.cut(choice).unacknowledged += 1;
    }

    pub fn acknowledged(&mut self, choice: Choice, frame: u32) {
        let cut = self.cut(choice);
        if cut.acknowledged.is_none_or(|a| a < frame) {
            cut.acknowledged = Some(frame);
            cut.unacknowledged = 0;
        }
    }
}
