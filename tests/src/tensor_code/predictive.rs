// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The project's code: every frame by itself, predicted from the frame before, and in packets of which some are lost.

use std::ops::Range;

use anyhow::Result;
use splitinfer_tensorcode::{AUTO, Decode, Encode, Limits, Predictive, PredictiveDecoder};
use splitinfer_wire::trailer;

use super::loss::PACKET;
use super::{Code, PieceCode, Role, StreamCode, Tensors};

/// Steps as shares of a tensor's root mean square, from coarse to fine.
const STEPS: [f64; 10] = [
    0.7, 0.5, 0.35, 0.25, 0.177, 0.125, 0.088, 0.0625, 0.0313, 0.0156,
];

pub fn codes() -> Vec<Code<Tensors>> {
    vec![
        Code {
            name: "ours, each alone",
            role: Role::Intra,
            knob: "step",
            qualities: STEPS.to_vec(),
            make: Box::new(|step| Ok(Box::new(Stream::new(step, false)))),
            pieces: None,
        },
        Code {
            name: "ours, predicted",
            role: Role::Predicted,
            knob: "step",
            qualities: STEPS.to_vec(),
            make: Box::new(|step| Ok(Box::new(Stream::new(step, true)))),
            pieces: Some(Box::new(|step| Ok(Box::new(Packets::new(step))))),
        },
    ]
}

struct Stream {
    encoder: Predictive,
    decoder: PredictiveDecoder,
    predicts: bool,
    frame: u64,
}

impl Stream {
    fn new(step: f64, predicts: bool) -> Self {
        let mut encoder = Predictive::default();
        encoder.set_step(step as f32);
        let mut decoder = PredictiveDecoder::default();
        // As the other codes do.
        encoder.set_parallel(false);
        decoder.set_parallel(false);
        Self {
            encoder,
            decoder,
            predicts,
            frame: 0,
        }
    }
}

impl StreamCode<Tensors> for Stream {
    fn attune(&mut self, coarser: &[Vec<i8>]) {
        self.encoder.set_coarser(coarser);
    }

    fn encode(&mut self, frame: &Tensors) -> Result<Vec<u8>> {
        self.frame += 1;
        Ok(self.encoder.encode(self.frame, frame, AUTO)?)
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<Tensors> {
        let tensors = self.decoder.decode(bytes, &Limits::default())?;
        if self.predicts {
            self.encoder.acknowledge(self.frame);
        }
        Ok(tensors)
    }
}

/// The stream as a network carries it: in packets, each with the next bytes, and with a copy of its beginning at the end. A frame of which neither came is as
/// the one before it; whatever else is lost is predicted.
struct Packets {
    stream: Stream,
    last: Tensors,
    sent: Sent,
}

/// Bytes of the header in front of each frame. What it says is known here.
const HEADER: usize = 74;

/// How the bytes of the frame under way lie in its packets.
#[derive(Default)]
struct Sent {
    payload: Range<usize>,
    /// Where so many bytes from the first on stand once more; nowhere where this is empty.
    copy: Range<usize>,
    len: usize,
}

impl Sent {
    /// Everything that is sent of a frame.
    fn of(payload: &[u8]) -> (Self, Vec<u8>) {
        let header = [0; HEADER];
        let trailer = trailer(&header, payload);
        // What it ends with says how long it is.
        let copied = trailer.len().saturating_sub(TRAILER_END);
        let bytes = [&header[..], payload, &trailer].concat();
        let end = HEADER + payload.len();
        let sent = Self {
            payload: HEADER..end,
            copy: end..end + copied,
            len: bytes.len(),
        };
        (sent, bytes)
    }

    /// The payload of what has come, and what is missing of it.
    fn received(&self, pieces: &[Option<&[u8]>]) -> (Vec<u8>, Vec<Range<usize>>) {
        let mut bytes = Vec::with_capacity(self.len);
        let mut missing: Vec<Range<usize>> = Vec::new();
        for piece in pieces {
            let start = bytes.len();
            match piece {
                Some(piece) => bytes.extend_from_slice(piece),
                None => {
                    bytes.resize((start + PACKET).min(self.len), 0);
                    missing.push(start..bytes.len());
                }
            }
        }
        let apart = |a: &Range<usize>, b: &Range<usize>| a.end <= b.start || b.end <= a.start;
        let known = match missing
            .iter()
            .all(|m| apart(m, &(self.copy.start..self.len)))
        {
            true => self.copy.len(),
            false => 0,
        };
        bytes.copy_within(self.copy.start..self.copy.start + known, 0);
        let Range { start, end } = self.payload;
        let part = |m: &Range<usize>| m.start.max(known).max(start)..m.end.min(end);
        let parts = missing.iter().map(part).filter(|m| !m.is_empty());
        let missing = parts.map(|m| m.start - start..m.end - start).collect();
        (bytes[start..end].to_vec(), missing)
    }
}

/// Length and magic, behind the copy.
const TRAILER_END: usize = 8;

impl Packets {
    fn new(step: f64) -> Self {
        Self {
            stream: Stream::new(step, false),
            last: Vec::new(),
            sent: Sent::default(),
        }
    }
}

impl PieceCode for Packets {
    fn attune(&mut self, coarser: &[Vec<i8>]) {
        self.stream.attune(coarser);
    }

    fn encode_pieces(&mut self, frame: &Tensors) -> Result<Vec<Vec<u8>>> {
        if self.last.is_empty() {
            // The receiver knows the shapes, and has nothing better yet.
            self.last = frame
                .iter()
                .map(super::loss::zeros)
                .collect::<Result<_>>()?;
        }
        let (sent, bytes) = Sent::of(&self.stream.encode(frame)?);
        self.sent = sent;
        Ok(bytes.chunks(PACKET).map(<[u8]>::to_vec).collect())
    }

    fn decode_partial(&mut self, pieces: &[Option<&[u8]>]) -> Result<Tensors> {
        let (payload, missing) = self.sent.received(pieces);
        let (decoder, limits) = (&mut self.stream.decoder, Limits::default());
        if missing.is_empty() {
            self.last = decoder.decode(&payload, &limits)?;
        } else if let Ok(tensors) = decoder.decode_partial(&payload, &missing, &limits) {
            // Else what it begins with is lost.
            self.last = tensors;
        }
        Ok(self.last.clone())
    }

    fn feedback(&mut self, frame: usize, arrived: &[bool]) {
        if arrived.iter().all(|a| *a) {
            // Frames are counted from 1 where they are encoded.
            self.stream.encoder.acknowledge(frame as u64 + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(range: Range<usize>) -> Vec<Range<usize>> {
        std::iter::once(range).collect()
    }

    #[test]
    fn the_copy_at_the_end_stands_in_for_the_beginning() {
        let payload: Vec<u8> = (0..5000).map(|i| (i % 251) as u8).collect();
        let (sent, bytes) = Sent::of(&payload);
        let packets: Vec<&[u8]> = bytes.chunks(PACKET).collect();
        assert_eq!(packets.len(), 5);
        let without = |lost: &[usize]| {
            let came = packets.iter().enumerate();
            let came = came.map(|(i, p)| (!lost.contains(&i)).then_some(*p));
            sent.received(&came.collect::<Vec<_>>())
        };
        assert_eq!(without(&[]), (payload.clone(), vec![]));
        // The second packet.
        let (first, second) = (PACKET - HEADER, 2 * PACKET - HEADER);
        assert_eq!(without(&[1]).1, only(first..second));
        // The first: as much of it is known as stands in the last one.
        let (came, missing) = without(&[0]);
        let known = sent.copy.len() - HEADER;
        assert!(known > 128 && missing == only(known..first));
        assert_eq!(came[..known], payload[..known]);
        // Both.
        assert_eq!(without(&[0, 4]).1, [0..first, 4 * PACKET - HEADER..5000]);
    }

    #[test]
    fn a_frame_of_one_packet_has_no_copy() {
        let (sent, bytes) = Sent::of(&[7; 1000]);
        assert_eq!((sent.copy.len(), bytes.len()), (0, HEADER + 1000));
        assert_eq!(sent.received(&[None]).1, only(0..1000));
    }
}
