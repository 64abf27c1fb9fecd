// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames that are on their way, as the server has them.

#[derive(Clone, Copy, Debug)]
struct Frame {
    frame: u32,
    missing: u16,
    came: [u64; 8],
}

#[derive(Clone, Debug, Default)]
pub(super) struct Arriving(Vec<Frame>);

impl Arriving {
    /// Most parts of a frame.
    pub(super) const MOST: u64 = 512;

    /// A frame of so many parts is begun.
    pub(super) fn expect(&mut self, frame: u32, chunks: u64) {
        self.0.push(Frame {
            frame,
            missing: chunks as u16,
            came: [0; 8],
        });
    }

    /// Nobody wants it any more.
    pub(super) fn forget(&mut self, frame: u32) {
        self.0.retain(|a| a.frame != frame);
    }

    /// A part has come; the frame, if it is complete with it.
    pub(super) fn came(&mut self, frame: u32, index: u16) -> Option<u32> {
        let at = self.0.iter().position(|a| a.frame == frame)?;
        let arriving = &mut self.0[at];
        let bit = 1u64 << (index % 64);
        let word = &mut arriving.came[usize::from(index / 64)];
        if *word & bit == 0 {
            *word |= bit;
            arriving.missing -= 1;
        }
        if arriving.missing > 0 {
            return None;
        }
        self.0.swap_remove(at);
        Some(frame)
    }

    /// Whether the frame is begun, and not complete.
    pub(super) fn knows(&self, frame: u32) -> bool {
        self.0.iter().any(|a| a.frame == frame)
    }

    /// Whether a part is still to come.
    pub(super) fn lacks(&self, frame: u32, index: u16) -> bool {
        let bit = 1u64 << (index % 64);
        let lacks = |a: &Frame| a.frame == frame && a.came[usize::from(index / 64)] & bit == 0;
        self.0.iter().any(lacks)
    }
}
