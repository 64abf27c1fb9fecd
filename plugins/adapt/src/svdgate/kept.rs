// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The last T frames, kept until it is known whether their windows are gated.
//!
//! They are copies: frames that came from a camera's or a decoder's pool would otherwise be missing there, and downstream
//! would have to copy what it wants to draw on.

use std::collections::VecDeque;

/// A frame that may still be sent.
pub(super) struct Kept {
    /// As the gate counts.
    pub(super) number: u64,
    /// As the result on it counts.
    pub(super) frame: u64,
    /// `None` once it was sent, or where nobody would take it.
    pub(super) copy: Option<gst::Buffer>,
}

#[derive(Default)]
pub(super) struct Frames(VecDeque<Kept>);

impl Frames {
    /// Adds a frame; those leave for which `length` newer ones are there.
    pub(super) fn push(&mut self, kept: Kept, length: usize) {
        self.0.push_back(kept);
        let leave = self.0.len().saturating_sub(length);
        self.0.drain(..leave);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn last(&mut self) -> Option<&mut Kept> {
        self.0.back_mut()
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Kept> {
        self.0.iter_mut()
    }

    /// What the result on the frame of this number counts it as.
    pub(super) fn frame_of(&self, number: u64) -> Option<u64> {
        self.0.iter().find(|k| k.number == number).map(|k| k.frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_kept_than_a_window_has() {
        let mut frames = Frames::default();
        for number in 0..10 {
            let kept = Kept {
                number,
                frame: 100 + number,
                copy: None,
            };
            frames.push(kept, 4);
        }
        assert_eq!(
            frames.all().map(|k| k.number).collect::<Vec<_>>(),
            [6, 7, 8, 9]
        );
        assert_eq!((frames.frame_of(9), frames.frame_of(5)), (Some(109), None));
        assert_eq!(frames.last().map(|k| k.number), Some(9));
        frames.clear();
        assert_eq!(frames.all().count(), 0);
    }
}
