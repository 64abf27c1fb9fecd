// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Both ends of the video, as the protocol has them: from which picture the next one is predicted, and which ones the server
//! can decode.

use splitinfer_wire::{VideoChain, VideoHeader, VideoSender};

#[derive(Clone, Debug, Default)]
pub struct Stream {
    sender: VideoSender,
    /// The last frame that was coded.
    last: Option<u32>,
    chain: VideoChain<u32>,
}

impl Stream {
    /// From which frame the next one is predicted; `None`: it is a key picture.
    pub fn reference(&self) -> Option<u32> {
        self.last.filter(|_| !self.sender.key_due())
    }

    /// The next picture is coded; its place in the stream.
    pub fn coded(&mut self, frame: u32) -> VideoHeader {
        let key = self.reference().is_none();
        self.last = Some(frame);
        // How long the answer is of use, the simulated job knows.
        self.sender.sent(frame.into(), key, 0)
    }

    /// A picture will never be complete at the server. Whether that is news: the next one has to be a key picture.
    pub fn lost(&mut self, frame: u32) -> bool {
        self.sender.lost(frame.into())
    }

    /// A frame is complete at the server; those that can be decoded now.
    pub fn arrived(&mut self, frame: u32, place: VideoHeader) -> Vec<u32> {
        self.chain.arrived(place, frame).ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_predicted_from_the_last_and_after_a_lost_one_from_none() {
        let mut stream = Stream::default();
        assert_eq!(stream.reference(), None);
        let first = stream.coded(0);
        assert_eq!(stream.reference(), Some(0));
        let second = stream.coded(3);
        assert_eq!(stream.reference(), Some(3));
        assert!(stream.arrived(3, second).is_empty());
        assert_eq!(stream.arrived(0, first), [0, 3]);
        assert!(stream.lost(3) && !stream.lost(3));
        assert_eq!(stream.reference(), None);
        let key = stream.coded(4);
        assert_eq!(stream.arrived(4, key), [4]);
    }
}
