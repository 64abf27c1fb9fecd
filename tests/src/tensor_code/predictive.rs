// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The project's code: every frame by itself, predicted from the frame before, and in packets of which some are lost.

use std::ops::Range;

use anyhow::Result;
use splitinfer_tensorcode::{AUTO, Decode, Encode, Limits, Predictive, PredictiveDecoder};

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

/// The stream as a network carries it: in packets, each with the next bytes. A frame whose head is lost is as the one
/// before it; whatever else is lost is predicted.
struct Packets {
    stream: Stream,
    last: Tensors,
    /// Bytes of the frame under way: the header in front of each says it.
    len: usize,
}

impl Packets {
    fn new(step: f64) -> Self {
        Self {
            stream: Stream::new(step, false),
            last: Vec::new(),
            len: 0,
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
        let bytes = self.stream.encode(frame)?;
        self.len = bytes.len();
        Ok(bytes.chunks(PACKET).map(<[u8]>::to_vec).collect())
    }

    fn decode_partial(&mut self, pieces: &[Option<&[u8]>]) -> Result<Tensors> {
        let mut bytes = Vec::new();
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
        let limits = Limits::default();
        let decoder = &mut self.stream.decoder;
        match missing.as_slice() {
            [] => self.last = decoder.decode(&bytes, &limits)?,
            [first, ..] if first.start == 0 => {}
            missing => self.last = decoder.decode_partial(&bytes, missing, &limits)?,
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
