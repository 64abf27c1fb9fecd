// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Several streams of one sender, who goes on with one after another: of those that rest both sides hold what it takes to go
//! on with them.

use crate::{Decoder, Limits};

/// A decoder for each stream of a sender. Resting ones hold their newest frames, no more bytes together than
/// [`Limits::max_bytes`]; what rests longest goes first.
///
/// ```
/// use splitinfer_tensor::Tensor;
/// use splitinfer_tensorcode::{AUTO, Decode, Decoders, Encode, Limits, encoder};
/// let tensor = [Tensor::new(vec![1, 2, 8, 8], (0..128).map(|i| i as f32).collect()).unwrap()];
/// let (mut cuts, limits) = ([encoder(), encoder()], Limits::default());
/// let mut decoders = Decoders::default();
/// for (frame, cut) in [(0, 0), (1, 1), (2, 0)] {
///     let bytes = cuts[cut].encode(frame, &tensor, AUTO).unwrap();
///     decoders.of(cut, &limits).decode(&bytes, &limits).unwrap();
///     cuts[cut].acknowledge(frame);
/// }
/// ```
#[derive(Default)]
pub struct Decoders {
    /// With the stream that each is for; the one in use last.
    each: Vec<(usize, Decoder)>,
}

impl Decoders {
    /// That of a stream, any number; all others rest.
    pub fn of(&mut self, stream: usize, limits: &Limits) -> &mut Decoder {
        let place = self.each.iter().position(|(s, _)| *s == stream);
        let next = place.map(|place| self.each.remove(place));
        if let Some((_, before)) = self.each.last_mut() {
            before.rest();
        }
        while self.held_bytes() > limits.max_bytes {
            self.each.remove(0);
        }
        self.each
            .push(next.unwrap_or_else(|| (stream, Decoder::default())));
        match self.each.last_mut() {
            Some((_, decoder)) => decoder,
            None => unreachable!("one was just added"),
        }
    }

    /// Of all streams.
    pub fn held_bytes(&self) -> usize {
        self.each.iter().map(|(_, d)| d.held_bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use splitinfer_tensor::Tensor;

    use super::*;
    use crate::{CodeError, Decode, Encode, Predictive};

    const BITS: u8 = 6;

    fn tensor(frame: u64) -> [Tensor; 1] {
        let values = (0..768).map(|i| ((i + frame * 3) % 41) as f32).collect();
        [Tensor::new(vec![1, 3, 16, 16], values).unwrap()]
    }

    fn encode(encoder: &mut Predictive, frame: u64) -> Vec<u8> {
        encoder.encode(frame, &tensor(frame), BITS).unwrap()
    }

    /// Both streams are known; and the bytes of frames 2 and 3, predicted, of the first and the second.
    fn known(limits: &Limits) -> (Decoders, [Vec<u8>; 2]) {
        let mut decoders = Decoders::default();
        let mut cuts = [Predictive::default(), Predictive::default()];
        for (i, cut) in cuts.iter_mut().enumerate() {
            let bytes = encode(cut, i as u64);
            decoders.of(i, limits).decode(&bytes, limits).unwrap();
            cut.acknowledge(i as u64);
        }
        let [first, second] = &mut cuts;
        (decoders, [encode(first, 2), encode(second, 3)])
    }

    #[test]
    fn a_stream_that_rested_goes_on_from_where_it_was() {
        let limits = Limits::default();
        let (mut decoders, later) = known(&limits);
        for (i, bytes) in later.iter().enumerate() {
            let got = decoders.of(i, &limits).decode(bytes, &limits).unwrap();
            assert_eq!(got[0].shape(), tensor(0)[0].shape());
        }
        let other = decoders.of(1, &limits).decode(&later[0], &limits);
        assert!(matches!(other, Err(CodeError::Reference(0))), "{other:?}");
    }

    #[test]
    fn of_resting_streams_no_more_is_held_than_is_allowed() {
        // Levels of one frame take 1,536 bytes, its values twice as many.
        let limits = Limits {
            max_bytes: 3_200,
            ..Limits::default()
        };
        let (mut decoders, later) = known(&limits);
        for stream in 2..20u64 {
            let bytes = encode(&mut Predictive::default(), 10 + stream);
            let decoder = decoders.of(stream as usize, &limits);
            decoder.decode(&bytes, &limits).unwrap();
            assert!(decoders.held_bytes() <= 2 * limits.max_bytes);
        }
        let gone = decoders.of(0, &limits).decode(&later[0], &limits);
        assert!(matches!(gone, Err(CodeError::Reference(0))), "{gone:?}");
    }

    #[test]
    fn of_a_resting_stream_its_newest_frames_are_held() {
        let (mut decoders, limits) = (Decoders::default(), Limits::default());
        let mut encoder = Predictive::default();
        for frame in 0..12 {
            let bytes = encode(&mut encoder, frame);
            decoders.of(0, &limits).decode(&bytes, &limits).unwrap();
        }
        let busy = decoders.held_bytes();
        decoders.of(1, &limits);
        assert!(decoders.held_bytes() <= busy / 3);
        // Acknowledged late, of the last ones.
        encoder.acknowledge(8);
        let bytes = encode(&mut encoder, 20);
        assert!(decoders.of(0, &limits).decode(&bytes, &limits).is_ok());
    }
}
