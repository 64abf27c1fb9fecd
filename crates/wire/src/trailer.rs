// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A copy of a frame's beginning at the end of its stream: where the first packet is lost the last one says what the others
//! hold. New in version 1.5.

use crate::frame::FrameHeader;

/// The last bytes of a stream that ends so.
const MAGIC: [u8; 4] = *b"SIFT";
/// Length and magic.
const END_BYTES: usize = 8;
/// Of the payload so many bytes are repeated, and one more for each `SHARE`: what coded tensors begin with grows with the
/// number of their pieces.
const COPIED: usize = 128;
const SHARE: usize = 128;
/// What fits into a packet with its beginning needs no copy of that.
const ONE_PACKET: usize = 1100;

/// What to write after a payload; empty where it would be of no use.
pub fn trailer(header: &[u8], payload: &[u8]) -> Vec<u8> {
    if header.len() + payload.len() <= ONE_PACKET {
        return Vec::new();
    }
    let copied = (COPIED + payload.len() / SHARE).min(payload.len());
    let len = (header.len() + copied + END_BYTES) as u32;
    let len = len.to_be_bytes();
    [header, &payload[..copied], &len, &MAGIC].concat()
}

/// What a stream begins with, as its end tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Beginning<'a> {
    pub header: FrameHeader,
    /// Of the header.
    pub header_len: usize,
    /// The header, and as much of the payload as is repeated.
    pub bytes: &'a [u8],
}

impl<'a> Beginning<'a> {
    /// From the last bytes of a stream, which ends at `end`; `None` where they are no trailer, or not all of one.
    pub fn read(last: &'a [u8], end: usize) -> Option<Self> {
        let rest = last.strip_suffix(&MAGIC)?;
        let (rest, len) = rest.split_last_chunk::<4>()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        let copied = len.checked_sub(END_BYTES)?;
        let bytes = rest.get(rest.len().checked_sub(copied)?..)?;
        let (header, header_len) = FrameHeader::decode(bytes).ok()??;
        let whole = header_len as u64 + header.body_len() + len as u64;
        (whole == end as u64).then_some(Self {
            header,
            header_len,
            bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Content;
    use crate::patience::Patience;

    fn frame(payload: usize) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let header = FrameHeader {
            number: 41,
            content: Content::Candidate(1),
            model_version: 3,
            pts_ns: None,
            budget_us: 80_000,
            placement: [1.0, 1.0, 0.0, 0.0, 640.0, 360.0],
            picture_size: (416, 416),
            payload_len: payload as u32,
            attachment_len: 0,
            patience: Some(Patience {
                wait_us: 25_000,
                least_permille: 500,
            }),
            longest_us: None,
        };
        let header = header.encode().unwrap();
        let payload: Vec<u8> = (0..payload).map(|i| i as u8).collect();
        let trailer = trailer(&header, &payload);
        (header, payload, trailer)
    }

    #[test]
    fn the_end_tells_the_beginning() {
        for len in [1200, 30_000, 2_000_000] {
            let (header, payload, trailer) = frame(len);
            let stream = [&header[..], &payload, &trailer].concat();
            for lost in [0, 600, 74 + len - 1, 74 + len] {
                let found = Beginning::read(&stream[lost..], stream.len()).unwrap();
                assert_eq!(found.header_len, header.len());
                assert!(found.bytes.len() > header.len() + 128);
                assert_eq!(found.bytes, &stream[..found.bytes.len()]);
            }
            // Not all of it, or not the end.
            let short = &stream[stream.len() - trailer.len() + 1..];
            assert_eq!(Beginning::read(short, stream.len()), None);
            assert_eq!(Beginning::read(&stream, stream.len() + 1), None);
            assert_eq!(Beginning::read(&stream[..stream.len() - 1], len), None);
        }
    }

    #[test]
    fn a_frame_of_one_packet_needs_none() {
        assert!(frame(1000).2.is_empty());
    }

    #[test]
    fn a_payload_that_ends_like_one_is_none() {
        let (header, mut payload, _) = frame(5000);
        let end = payload.len() - 8;
        payload[end..].copy_from_slice(b"\0\0\x01\0SIFT");
        let stream = [header, payload].concat();
        assert_eq!(Beginning::read(&stream, stream.len()), None);
        assert_eq!(Beginning::read(b"SIFT", 4), None);
        assert_eq!(Beginning::read(b"\xff\xff\xff\xffSIFT", 8), None);
    }
}
