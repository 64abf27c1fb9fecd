// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A network that loses packets in bursts, and what of a frame arrives behind it.

use anyhow::Result;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use splitinfer_tensor::{Data, Tensor};

use super::{PieceCode, StreamCode, Tensors};

/// Bytes of a packet's payload.
pub const PACKET: usize = 1200;

/// The simple Gilbert–Elliott channel: a state in which every packet arrives and one in which none does.
pub struct GilbertElliott {
    /// Probabilities of changing from good to bad and back, at each packet.
    to_bad: f64,
    to_good: f64,
    bad: bool,
    dice: ChaCha8Rng,
}

impl GilbertElliott {
    /// `mean_loss` is the share of packets lost in the long run (0 to below 1), `mean_burst` the mean number lost in a
    /// row (at least 1).
    pub fn new(mean_loss: f64, mean_burst: f64, seed: u64) -> Self {
        let to_good = 1.0 / mean_burst.max(1.0);
        let mean_loss = mean_loss.clamp(0.0, 0.99);
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        Self {
            to_bad: (to_good * mean_loss / (1.0 - mean_loss)).min(1.0),
            to_good,
            bad: dice.random_bool(mean_loss),
            dice,
        }
    }

    /// Whether the next packet is lost.
    pub fn loses(&mut self) -> bool {
        let lost = self.bad;
        let change = if lost { self.to_good } else { self.to_bad };
        if self.dice.random_bool(change) {
            self.bad = !self.bad;
        }
        lost
    }

    /// Whether a piece of so many bytes is lost: each is sent in packets of its own, and needs all of them.
    fn loses_piece(&mut self, bytes: usize) -> bool {
        let packets = bytes.div_ceil(PACKET).max(1);
        (0..packets).fold(false, |lost, _| self.loses() || lost)
    }
}

/// What one frame became behind a channel.
pub struct Received {
    pub tensors: Tensors,
    /// Which of its pieces arrived.
    pub arrived: Vec<bool>,
    pub decode: std::time::Duration,
}

/// Frames after which the sender hears what arrived: a round trip of 80 ms at 25 frames a second.
const FEEDBACK_AFTER: usize = 2;

/// Sends the frames of a clip through a channel that drops pieces, and decodes what is left of each.
///
/// # Errors
/// When the code refuses a frame or its pieces, or `see` fails.
pub fn with_loss(
    code: &mut dyn PieceCode,
    frames: &[Tensors],
    channel: &mut GilbertElliott,
    mut see: impl FnMut(usize, Received) -> Result<()>,
) -> Result<()> {
    let mut fates: Vec<Vec<bool>> = Vec::with_capacity(frames.len());
    for (i, frame) in frames.iter().enumerate() {
        if let Some(heard) = i.checked_sub(FEEDBACK_AFTER) {
            code.feedback(heard, &fates[heard]);
        }
        let pieces = code.encode_pieces(frame)?;
        let arrived: Vec<bool> = pieces
            .iter()
            .map(|p| !channel.loses_piece(p.len()))
            .collect();
        let there = pieces.iter().zip(&arrived);
        let there: Vec<Option<&[u8]>> = there.map(|(p, a)| a.then_some(p.as_slice())).collect();
        let begin = std::time::Instant::now();
        let tensors = code.decode_partial(&there)?;
        let decode = begin.elapsed();
        fates.push(arrived.clone());
        see(
            i,
            Received {
                tensors,
                arrived,
                decode,
            },
        )?;
    }
    Ok(())
}

/// What a code without pieces can do at best: the frame is cut into packets, and if one is missing the receiver goes on
/// with the frame before. Only for codes that do not predict.
pub struct AllOrNothing {
    code: Box<dyn StreamCode<Tensors>>,
    last: Option<Tensors>,
}

impl AllOrNothing {
    pub fn new(code: Box<dyn StreamCode<Tensors>>) -> Self {
        Self { code, last: None }
    }
}

impl PieceCode for AllOrNothing {
    fn encode_pieces(&mut self, frame: &Tensors) -> Result<Vec<Vec<u8>>> {
        if self.last.is_none() {
            // The receiver knows the shapes, and has nothing better yet.
            self.last = Some(frame.iter().map(zeros).collect::<Result<_>>()?);
        }
        let bytes = self.code.encode(frame)?;
        Ok(bytes.chunks(PACKET).map(<[u8]>::to_vec).collect())
    }

    fn decode_partial(&mut self, pieces: &[Option<&[u8]>]) -> Result<Tensors> {
        let whole: Option<Vec<&[u8]>> = pieces.iter().copied().collect();
        if let Some(pieces) = whole {
            self.last = Some(self.code.decode(&pieces.concat())?);
        }
        Ok(self.last.clone().unwrap_or_default())
    }
}

pub fn zeros(tensor: &Tensor) -> Result<Tensor> {
    match tensor.data() {
        Data::F32(v) => Ok(Tensor::new(tensor.shape().to_vec(), vec![0f32; v.len()])?),
        _ => {
            let bytes = vec![0; tensor.byte_len()];
            let shape = tensor.shape().to_vec();
            Ok(Tensor::from_le_bytes(tensor.dtype(), shape, &bytes)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Share of packets lost, and the mean length of a burst.
    fn observe(loss: f64, burst: f64, packets: usize) -> (f64, f64) {
        let mut channel = GilbertElliott::new(loss, burst, 7);
        let fates: Vec<bool> = (0..packets).map(|_| channel.loses()).collect();
        let lost = fates.iter().filter(|l| **l).count();
        let bursts = fates.chunk_by(|a, b| a == b).filter(|run| run[0]).count();
        (
            lost as f64 / packets as f64,
            lost as f64 / bursts.max(1) as f64,
        )
    }

    #[test]
    fn the_mean_loss_and_the_mean_burst_are_those_asked_for() {
        let (loss, burst) = observe(0.05, 3.0, 400_000);
        assert!((loss - 0.05).abs() < 0.002, "{loss}");
        assert!((burst - 3.0).abs() < 0.1, "{burst}");
        let (loss, burst) = observe(0.2, 1.0, 400_000);
        assert!((loss - 0.2).abs() < 0.005, "{loss}");
        assert!((burst - 1.0).abs() < 1e-9, "{burst}");
    }

    #[test]
    fn a_seed_gives_the_same_losses_again_and_no_loss_is_none() {
        let fates = |seed| {
            let mut channel = GilbertElliott::new(0.3, 3.0, seed);
            (0..200).map(|_| channel.loses()).collect::<Vec<_>>()
        };
        assert_eq!(fates(1), fates(1));
        assert_ne!(fates(1), fates(2));
        let mut clean = GilbertElliott::new(0.0, 3.0, 1);
        assert!((0..1000).all(|_| !clean.loses()));
    }

    #[test]
    fn a_piece_of_several_packets_is_lost_more_often() {
        // With bursts of one, packets are nearly independent: of three, 1 − .8³ ≈ .49 are hit; a little more, because
        // a loss never follows a loss.
        let mut channel = GilbertElliott::new(0.2, 1.0, 3);
        let lost = (0..100_000)
            .filter(|_| channel.loses_piece(3 * PACKET))
            .count();
        let share = lost as f64 / 100_000.0;
        assert!((0.49..0.6).contains(&share), "{share}");
    }

    /// A byte a value; counts on nothing else.
    struct Plain;

    impl StreamCode<Tensors> for Plain {
        fn encode(&mut self, frame: &Tensors) -> Result<Vec<u8>> {
            Ok(frame[0].to_f32_vec().iter().map(|v| *v as u8).collect())
        }
        fn decode(&mut self, bytes: &[u8]) -> Result<Tensors> {
            let values: Vec<f32> = bytes.iter().map(|b| f32::from(*b)).collect();
            Ok(vec![Tensor::new(vec![values.len()], values)?])
        }
    }

    #[test]
    fn all_or_nothing_holds_the_frame_before() {
        let frame = |v: f32| vec![Tensor::new(vec![2000], vec![v; 2000]).unwrap()];
        let mut code = AllOrNothing::new(Box::new(Plain));
        let pieces = code.encode_pieces(&frame(1.0)).unwrap();
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [1200, 800]);
        let lost = code.decode_partial(&[Some(&pieces[0]), None]).unwrap();
        assert_eq!(lost, frame(0.0));
        let whole = [Some(pieces[0].as_slice()), Some(pieces[1].as_slice())];
        assert_eq!(code.decode_partial(&whole).unwrap(), frame(1.0));
        code.encode_pieces(&frame(2.0)).unwrap();
        assert_eq!(code.decode_partial(&[None, None]).unwrap(), frame(1.0));
    }

    /// Remembers what it hears.
    struct Listener(AllOrNothing, Vec<(usize, usize)>);

    impl PieceCode for Listener {
        fn encode_pieces(&mut self, frame: &Tensors) -> Result<Vec<Vec<u8>>> {
            self.0.encode_pieces(frame)
        }
        fn decode_partial(&mut self, pieces: &[Option<&[u8]>]) -> Result<Tensors> {
            self.0.decode_partial(pieces)
        }
        fn feedback(&mut self, frame: usize, arrived: &[bool]) {
            self.1.push((frame, arrived.iter().filter(|a| **a).count()));
        }
    }

    #[test]
    fn frames_are_seen_in_order_and_the_sender_hears_of_them_two_later() {
        let frames: Vec<Tensors> = (0..4)
            .map(|v| vec![Tensor::new(vec![6000], vec![v as f32; 6000]).unwrap()])
            .collect();
        let mut code = Listener(AllOrNothing::new(Box::new(Plain)), vec![]);
        let mut channel = GilbertElliott::new(0.0, 1.0, 1);
        let mut seen = vec![];
        with_loss(&mut code, &frames, &mut channel, |i, got| {
            assert_eq!(got.tensors, frames[i]);
            seen.push((i, got.arrived.len()));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [(0, 5), (1, 5), (2, 5), (3, 5)]);
        assert_eq!(code.1, [(0, 5), (1, 5)]);
    }
}
