// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Both ends of the video: from which picture the next one is predicted, and which ones the server can decode.
//!
//! Every picture is predicted from the one sent before it, however long ago. The server decodes them in that order; one
//! that comes before its predecessor is held until that one has come, or a key picture.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// At the edge: the last frame that was coded, if the next one may be predicted from it, and the last key picture.
    last: Option<u32>,
    key: Option<u32>,
    /// Pictures sent.
    sent: u32,
    /// At the server: the place of the picture that can be decoded next; `None`: a key picture only.
    next: Option<u32>,
    /// By their places, frames that wait for an earlier one.
    held: BTreeMap<u32, u32>,
}

/// A picture of the video on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// In the order of sending.
    pub number: u32,
    pub key: bool,
}

impl Stream {
    /// From which frame the next one is predicted; `None`: it is a key picture.
    pub fn reference(&self) -> Option<u32> {
        self.last
    }

    /// The next picture was coded.
    pub fn encoded(&mut self, frame: u32) {
        if self.last.is_none() {
            self.key = Some(frame);
        }
        self.last = Some(frame);
    }

    /// It is on its way.
    pub fn sent(&mut self, key: bool) -> Place {
        self.sent += 1;
        Place {
            number: self.sent,
            key,
        }
    }

    /// A picture will never be complete at the server. Whether the next one has to be a key picture, and that is news.
    pub fn lost(&mut self, frame: u32) -> bool {
        let broken = self.last.is_some() && self.key.is_some_and(|key| frame >= key);
        if broken {
            self.last = None;
        }
        broken
    }

    /// A frame is complete at the server; those that can be decoded now.
    pub fn arrived(&mut self, frame: u32, place: Place) -> Vec<u32> {
        let mut ready = Vec::new();
        if place.key && self.next.is_none_or(|next| place.number >= next) {
            // What came before it is not waited for any more.
            self.held = self.held.split_off(&place.number);
            self.next = Some(place.number);
        }
        let Some(mut next) = self.next.filter(|next| place.number >= *next) else {
            return ready;
        };
        self.held.insert(place.number, frame);
        while let Some(frame) = self.held.remove(&next) {
            ready.push(frame);
            next += 1;
        }
        self.next = Some(next);
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: [u32; 0] = [];

    /// The first one is a key picture.
    fn sent(frames: u32) -> (Stream, Vec<Place>) {
        let mut stream = Stream::default();
        let places = (0..frames).map(|f| send(&mut stream, f)).collect();
        (stream, places)
    }

    fn send(stream: &mut Stream, frame: u32) -> Place {
        let key = stream.reference().is_none();
        stream.encoded(frame);
        stream.sent(key)
    }

    #[test]
    fn frames_are_decoded_in_their_order() {
        let (mut stream, places) = sent(3);
        assert_eq!(stream.reference(), Some(2));
        assert!(places[0].key && !places[1].key);
        assert_eq!(stream.arrived(0, places[0]), [0]);
        assert_eq!(stream.arrived(2, places[2]), NOTHING);
        assert_eq!(stream.arrived(1, places[1]), [1, 2]);
    }

    #[test]
    fn after_a_lost_frame_there_is_one_key_frame_which_does_not_wait() {
        let (mut stream, places) = sent(4);
        stream.arrived(0, places[0]);
        assert_eq!(stream.arrived(2, places[2]), NOTHING);
        assert!(stream.lost(1));
        assert!(!stream.lost(3), "a key frame comes already");
        let key = send(&mut stream, 4);
        assert!(key.key);
        assert!(!stream.lost(3), "of the stream before");
        let next = send(&mut stream, 5);
        assert!(!next.key);
        assert_eq!(stream.arrived(5, next), NOTHING);
        assert_eq!(stream.arrived(4, key), [4, 5]);
        assert_eq!(stream.arrived(3, places[3]), NOTHING, "too late");
    }

    #[test]
    fn a_lost_key_frame_is_followed_by_another() {
        let (mut stream, places) = sent(2);
        assert!(stream.lost(0));
        assert_eq!(stream.arrived(1, places[1]), NOTHING);
        let key = send(&mut stream, 2);
        assert_eq!(stream.arrived(2, key), [2]);
    }

    #[test]
    fn a_server_without_a_stream_decodes_a_key_frame_only() {
        let (_, places) = sent(2);
        let mut other = Stream::default();
        assert_eq!(other.arrived(1, places[1]), NOTHING);
        assert_eq!(other.reference(), None);
    }
}
