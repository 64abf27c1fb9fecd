// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Pictures that are coded one from the other, and travel on streams of their own all the same: what their payload says of
//! their order, and how the receiver puts them into it.

use std::collections::BTreeMap;

use crate::codec::{DecodeError, Problem, Reader, Writer};

/// Bytes of a [`VideoHeader`], in front of the coded picture.
pub const VIDEO_HEADER_BYTES: usize = 9;

/// Pictures that may wait for an earlier one; more than a client may have in flight are of no use.
const MOST_HELD: usize = 64;

const KEY: u8 = 1;

/// The first bytes of the payload of [`crate::Content::Video`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoHeader {
    /// Counts the pictures of the session's stream, in the order in which they were coded; from any number on.
    pub sequence: u32,
    /// How long the edge waits for the answer, µs, counted as `FrameHeader.budget_us` is, which says how long the picture is
    /// of use to those that come after it.
    pub answer_us: u32,
    /// It can be decoded without an earlier one, and those after it need none from before it.
    pub key: bool,
}

impl VideoHeader {
    pub fn encode(self) -> [u8; VIDEO_HEADER_BYTES] {
        let mut w = Writer::new();
        w.u32(self.sequence);
        w.u32(self.answer_us);
        w.u8(if self.key { KEY } else { 0 });
        let mut bytes = [0; VIDEO_HEADER_BYTES];
        bytes.copy_from_slice(&w.into_vec());
        bytes
    }

    /// The header, and the coded picture behind it.
    ///
    /// # Errors
    /// When there are fewer bytes, no picture, or flags that this version does not know.
    pub fn decode(payload: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let mut r = Reader::new(payload);
        let sequence = r.u32("VideoHeader.sequence")?;
        let answer_us = r.u32("VideoHeader.answer_us")?;
        let (offset, what) = (r.offset(), "VideoHeader.flags");
        let flags = r.u8(what)?;
        if flags & !KEY != 0 {
            return Err(Reader::error(offset, what, Problem::BadValue(flags.into())));
        }
        let (offset, picture) = (r.offset(), r.rest());
        if picture.is_empty() {
            let problem = Problem::Short { needed: 1, left: 0 };
            return Err(Reader::error(offset, "the picture", problem));
        }
        let header = Self {
            sequence,
            answer_us,
            key: flags & KEY != 0,
        };
        Ok((header, picture))
    }
}

/// The sender's side of a stream of pictures: when a key picture is due.
#[derive(Clone, Debug)]
pub struct VideoSender {
    /// Of the next picture.
    sequence: u32,
    key_due: bool,
    /// The last frame that was a key picture.
    last_key: Option<u64>,
}

impl Default for VideoSender {
    fn default() -> Self {
        Self {
            sequence: 0,
            key_due: true,
            last_key: None,
        }
    }
}

impl VideoSender {
    /// Whether the next picture has to be a key picture.
    pub fn key_due(&self) -> bool {
        self.key_due
    }

    /// The next picture will not be predicted from the last one that was sent.
    pub fn begin_anew(&mut self) {
        self.key_due = true;
    }

    /// The receiver may not have the picture of this frame. Whether the stream is broken by it, and that is news: not
    /// where a key picture was sent since, or is due anyway.
    pub fn lost(&mut self, frame: u64) -> bool {
        let broken = !self.key_due && self.last_key.is_none_or(|key| frame >= key);
        self.key_due |= broken;
        broken
    }

    /// The picture of this frame is sent. Frames have ascending numbers.
    pub fn sent(&mut self, frame: u64, key: bool, answer_us: u32) -> VideoHeader {
        if key {
            self.key_due = false;
            self.last_key = Some(frame);
        }
        let header = VideoHeader {
            sequence: self.sequence,
            answer_us,
            key,
        };
        self.sequence = self.sequence.wrapping_add(1);
        header
    }
}

/// What the coming of a picture makes possible.
#[derive(Debug, PartialEq, Eq)]
pub struct Arrived<T> {
    /// To be decoded now, in this order.
    pub ready: Vec<T>,
    /// What they were predicted from is missing for good.
    pub lost: Vec<T>,
}

impl<T> Default for Arrived<T> {
    fn default() -> Self {
        Self {
            ready: Vec::new(),
            lost: Vec::new(),
        }
    }
}

/// The receiver's side of a stream of pictures.
#[derive(Clone, Debug)]
pub struct VideoChain<T> {
    /// The picture after the one that was decoded last; `None`: only a key picture can be decoded, which may come after those
    /// that are predicted from it, as it is larger.
    next: Option<u32>,
    /// Came before the ones that they were predicted from.
    held: BTreeMap<u32, T>,
}

impl<T> Default for VideoChain<T> {
    fn default() -> Self {
        Self {
            next: None,
            held: BTreeMap::new(),
        }
    }
}

impl<T> VideoChain<T> {
    /// A picture has come.
    pub fn arrived(&mut self, header: VideoHeader, picture: T) -> Arrived<T> {
        let mut arrived = Arrived::default();
        let old = self.next.is_some_and(|next| header.sequence < next);
        if old {
            arrived.lost.push(picture);
            return arrived;
        }
        if !header.key && self.next != Some(header.sequence) {
            self.hold(header.sequence, picture, &mut arrived);
            return arrived;
        }
        // What a key picture was sent in place of is not worth waiting for.
        let later = self.held.split_off(&header.sequence);
        arrived
            .lost
            .extend(std::mem::replace(&mut self.held, later).into_values());
        arrived.ready.push(picture);
        self.next = header.sequence.checked_add(1);
        while let Some(next) = self.next
            && let Some(picture) = self.held.remove(&next)
        {
            arrived.ready.push(picture);
            self.next = next.checked_add(1);
        }
        arrived
    }

    /// A picture could not be decoded: what waits is lost, and so is what comes, until there is a key picture.
    pub fn broken(&mut self) -> Vec<T> {
        self.next = None;
        std::mem::take(&mut self.held).into_values().collect()
    }

    /// Pictures that wait for an earlier one.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn hold(&mut self, sequence: u32, picture: T, arrived: &mut Arrived<T>) {
        if self.held.len() < MOST_HELD {
            // Of two with one number the first is lost.
            arrived.lost.extend(self.held.insert(sequence, picture));
        } else {
            arrived.lost.push(picture);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(sequence: u32, key: bool) -> VideoHeader {
        VideoHeader {
            sequence,
            answer_us: 7,
            key,
        }
    }

    fn arrive(chain: &mut VideoChain<u32>, sequence: u32, key: bool) -> (Vec<u32>, Vec<u32>) {
        let Arrived { ready, lost } = chain.arrived(header(sequence, key), sequence);
        (ready, lost)
    }

    #[test]
    fn a_header_reads_back_and_its_picture_follows() {
        for key in [true, false] {
            let sent = header(0xdead_beef, key);
            let mut bytes = sent.encode().to_vec();
            assert!(VideoHeader::decode(&bytes).is_err(), "no picture");
            bytes.extend(b"nal");
            assert_eq!(VideoHeader::decode(&bytes), Ok((sent, &b"nal"[..])));
            bytes[8] |= 0x40;
            let refused = VideoHeader::decode(&bytes).unwrap_err().to_string();
            assert!(refused.contains("flags"), "{refused}");
        }
    }

    #[test]
    fn a_lost_picture_is_followed_by_a_key_picture_unless_one_was_sent_since() {
        let mut sender = VideoSender::default();
        assert!(sender.key_due());
        let first = sender.sent(10, true, 7);
        assert_eq!(first, header(0, true));
        assert_eq!(sender.sent(12, false, 7), header(1, false));
        assert!(!sender.key_due());
        assert!(sender.lost(12) && sender.key_due(), "that breaks it");
        assert!(!sender.lost(12), "it is broken already");
        sender.sent(13, true, 7);
        assert!(!sender.lost(12), "that was before the key picture");
        assert!(sender.lost(13), "the key picture itself");
    }

    #[test]
    fn pictures_are_decoded_in_their_order() {
        let mut chain = VideoChain::default();
        assert_eq!(arrive(&mut chain, 5, true), (vec![5], vec![]));
        assert_eq!(arrive(&mut chain, 7, false), (vec![], vec![]));
        assert_eq!(arrive(&mut chain, 8, false), (vec![], vec![]));
        assert_eq!(chain.held(), 2);
        assert_eq!(arrive(&mut chain, 6, false), (vec![6, 7, 8], vec![]));
        assert_eq!(arrive(&mut chain, 6, false), (vec![], vec![6]), "twice");
    }

    #[test]
    fn without_a_key_picture_nothing_can_be_decoded() {
        let mut chain = VideoChain::default();
        assert_eq!(arrive(&mut chain, 0, false), (vec![], vec![]));
        assert_eq!(arrive(&mut chain, 2, false), (vec![], vec![]));
        assert_eq!(arrive(&mut chain, 1, true), (vec![1, 2], vec![0]));
        arrive(&mut chain, 4, false);
        assert_eq!(chain.broken(), [4]);
        assert_eq!(arrive(&mut chain, 3, false), (vec![], vec![]));
        assert_eq!(arrive(&mut chain, 5, true), (vec![5], vec![3]));
    }

    #[test]
    fn a_key_picture_ends_the_wait_for_what_came_before_it() {
        let mut chain = VideoChain::default();
        arrive(&mut chain, 0, true);
        arrive(&mut chain, 2, false);
        arrive(&mut chain, 4, false);
        assert_eq!(arrive(&mut chain, 3, true), (vec![3, 4], vec![2]));
        assert_eq!(arrive(&mut chain, 1, false), (vec![], vec![1]));
        assert_eq!(arrive(&mut chain, 5, false), (vec![5], vec![]));
    }

    #[test]
    fn a_sender_that_never_fills_the_gap_fills_no_memory() {
        let mut chain = VideoChain::default();
        arrive(&mut chain, 0, true);
        let lost = (2..1000).map(|n| arrive(&mut chain, n, false).1.len());
        assert_eq!(lost.sum::<usize>(), 998 - MOST_HELD);
        assert_eq!(chain.held(), MOST_HELD);
    }

    proptest! {
        #[test]
        fn every_picture_is_ready_or_lost_once_and_never_before_its_predecessor(
            pictures in proptest::collection::vec((0u32..40, prop::bool::weighted(0.2)), 0..200),
        ) {
            let mut chain = VideoChain::default();
            let (mut decoded, mut out) = (None::<u32>, 0);
            for (n, &(sequence, key)) in pictures.iter().enumerate() {
                let arrived = chain.arrived(header(sequence, key), (sequence, key));
                out += arrived.ready.len() + arrived.lost.len();
                for (sequence, key) in arrived.ready {
                    prop_assert!(key || decoded.is_some_and(|d| d + 1 == sequence));
                    prop_assert!(decoded.is_none_or(|d| d < sequence));
                    decoded = Some(sequence);
                }
                prop_assert_eq!(out + chain.held(), n + 1);
            }
        }

        #[test]
        fn any_bytes_give_an_error_or_a_header_that_reads_back(bytes: Vec<u8>) {
            if let Ok((header, picture)) = VideoHeader::decode(&bytes) {
                prop_assert_eq!([&header.encode()[..], picture].concat(), bytes);
            }
        }
    }
}
