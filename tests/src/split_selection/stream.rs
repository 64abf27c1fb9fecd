// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Both ends of a stream of H.264: which frames can be decoded, and when a key frame is needed.
//!
//! Every frame is predicted from the one before it. The server decodes them in their order; where one is missing for
//! good, nothing can be decoded until the next key frame, for which the server asks.

use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Progress {
    UnderWay,
    There,
    GivenUp,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    frame: u32,
    key: bool,
    progress: Progress,
}

#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// At the edge: the last frame that was encoded, if the next one may be predicted from it.
    last: Option<u32>,
    /// Sent, and not seen by the decoder yet; in their order.
    sent: VecDeque<Sent>,
    /// At the server: what came last cannot be decoded.
    broken: bool,
}

/// What the decoder makes of what has come.
#[derive(Debug, Default, PartialEq)]
pub struct Decoded {
    /// These can be decoded now.
    pub frames: Vec<u32>,
    /// A frame is missing: the server asks for a key frame.
    pub broken: bool,
}

impl Stream {
    /// From which frame the next one is predicted; `None`: it is a key frame.
    pub fn reference(&self) -> Option<u32> {
        self.last
    }

    /// The next frame is encoded, and will be sent.
    pub fn encoded(&mut self, frame: u32) {
        let key = self.last.is_none();
        self.last = Some(frame);
        self.sent.push_back(Sent {
            frame,
            key,
            progress: Progress::UnderWay,
        });
    }

    /// The edge hears that a key frame is needed.
    pub fn demanded(&mut self) {
        self.last = None;
    }

    /// A frame is complete at the server.
    pub fn arrived(&mut self, frame: u32) -> Decoded {
        self.mark(frame, Progress::There);
        self.decode()
    }

    /// A frame is not sent any further, if it is not at the server already; the server knows this.
    pub fn given_up(&mut self, frame: u32) -> Decoded {
        self.mark(frame, Progress::GivenUp);
        self.decode()
    }

    fn mark(&mut self, frame: u32, progress: Progress) {
        let sent = self.sent.iter_mut().find(|s| s.frame == frame);
        if let Some(sent) = sent
            && sent.progress == Progress::UnderWay
        {
            sent.progress = progress;
        }
    }

    fn decode(&mut self) -> Decoded {
        let mut decoded = Decoded::default();
        while let Some(first) = self.sent.front().copied()
            && first.progress != Progress::UnderWay
        {
            self.sent.pop_front();
            let there = first.progress == Progress::There;
            if there && (first.key || !self.broken) {
                self.broken = false;
                decoded.frames.push(first.frame);
                continue;
            }
            // Asked for again only when what was asked for is missing, too.
            decoded.broken |= !self.broken || first.key;
            self.broken = true;
        }
        decoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(frames: u32) -> Stream {
        let mut stream = Stream::default();
        (0..frames).for_each(|f| stream.encoded(f));
        stream
    }

    fn decoded(frames: &[u32]) -> Decoded {
        Decoded {
            frames: frames.to_vec(),
            broken: false,
        }
    }

    #[test]
    fn frames_are_decoded_in_their_order() {
        let mut stream = sent(3);
        assert_eq!(stream.reference(), Some(2));
        assert_eq!(stream.arrived(1), decoded(&[]));
        assert_eq!(stream.arrived(0), decoded(&[0, 1]));
        assert_eq!(stream.arrived(2), decoded(&[2]));
    }

    #[test]
    fn after_a_missing_frame_only_a_key_frame_helps_and_is_asked_for_once() {
        let mut stream = sent(4);
        stream.arrived(0);
        let nothing = Decoded {
            broken: true,
            ..Decoded::default()
        };
        assert_eq!(stream.given_up(1), nothing);
        assert_eq!(stream.arrived(2), decoded(&[]));
        stream.demanded();
        assert_eq!(stream.reference(), None);
        stream.encoded(4);
        assert_eq!(stream.reference(), Some(4));
        assert_eq!(stream.arrived(4), decoded(&[]), "3 may still come");
        assert_eq!(stream.arrived(3), decoded(&[4]));
    }

    #[test]
    fn a_key_frame_that_is_missing_is_asked_for_again() {
        let mut stream = sent(1);
        assert!(stream.given_up(0).broken);
        stream.demanded();
        stream.encoded(1);
        assert!(stream.given_up(1).broken);
    }

    #[test]
    fn what_has_come_cannot_be_given_up() {
        let mut stream = sent(2);
        assert_eq!(stream.arrived(1), decoded(&[]));
        assert_eq!(stream.given_up(1), decoded(&[]));
        assert_eq!(stream.arrived(0), decoded(&[0, 1]));
    }
}
