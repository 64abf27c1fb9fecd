// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The promises of the code as a whole.

use half::f16;
use proptest::prelude::*;
use splitinfer_tensor::{Data, Tensor};

use super::*;
use crate::{AUTO, CodeError, Decode, Encode, Limits, max_errors};

/// Something that moves to the right on a background, with noise, in a few channels.
fn scene(frame: usize, noise: f32) -> Tensor {
    let (channels, height, width) = (6, 22, 30);
    let mut state = frame as u64 * 77 + 1;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let value = |i: usize| {
        let (c, y, x) = (i / (height * width), i / width % height, i % width);
        let background = ((x * (c + 1)) as f32 / 9.0).sin().max(0.0);
        let inside = (8..14).contains(&y) && (frame..frame + 7).contains(&x);
        background
            + if inside {
                2.0 + (x - frame) as f32 * 0.3
            } else {
                0.0
            }
    };
    let values = (0..channels * height * width)
        .map(|i| value(i) + noise * random())
        .collect();
    Tensor::new(vec![1, channels, height, width], values).unwrap()
}

fn furthest(a: &Tensor, b: &Tensor) -> f32 {
    let pairs = a.to_f32_vec().into_iter().zip(b.to_f32_vec());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn limits() -> Limits {
    Limits {
        max_bytes: 1 << 16,
        ..Limits::default()
    }
}

#[test]
fn a_stream_costs_less_than_its_frames_alone_and_stays_within_its_bound() {
    let (mut stream, mut alone) = (Predictive::default(), Predictive::default());
    let mut decoder = PredictiveDecoder::default();
    let (mut predicted, mut separate) = (0, 0);
    for frame in 0..12 {
        let sent = [scene(frame, 0.02)];
        let bytes = stream.encode(frame as u64, &sent, 6).unwrap();
        let received = decoder.decode(&bytes, &limits()).unwrap();
        assert!(furthest(&sent[0], &received[0]) <= max_errors(&bytes, &limits()).unwrap()[0]);
        assert_eq!(stream.decoded(frame as u64), Some(received));
        stream.acknowledge(frame as u64);
        predicted += bytes.len();
        separate += alone.encode(frame as u64, &sent, 6).unwrap().len();
    }
    assert!(predicted * 3 < separate * 2, "{predicted} {separate}");
}

#[test]
fn channels_may_have_steps_of_their_own() {
    let (mut encoder, mut decoder) = (Predictive::default(), PredictiveDecoder::default());
    for frame in 0..6 {
        // In the middle of the stream they change, and end alike.
        let coarser = match frame {
            0..2 => vec![4, -4, 0, 1, -1, 9],
            2..4 => vec![-6, 6, 0, 0, 0, 0],
            _ => vec![0; 6],
        };
        encoder.set_coarser(&[coarser]);
        let sent = [scene(frame, 0.4)];
        let bytes = encoder.encode(frame as u64, &sent, AUTO).unwrap();
        let received = decoder.decode(&bytes, &limits()).unwrap();
        assert!(furthest(&sent[0], &received[0]) <= max_errors(&bytes, &limits()).unwrap()[0]);
        let channel = |tensor: &Tensor, c: usize| {
            let values = tensor.to_f32_vec()[c * 660..(c + 1) * 660].to_vec();
            Tensor::new(vec![660], values).unwrap()
        };
        let off = |c| furthest(&channel(&sent[0], c), &channel(&received[0], c));
        if frame < 4 {
            let (fine, coarse) = if frame < 2 { (1, 0) } else { (0, 1) };
            assert!(
                off(fine) * 2.0 < off(coarse),
                "{} {}",
                off(fine),
                off(coarse)
            );
        }
        assert_eq!(encoder.decoded(frame as u64), Some(received));
        encoder.acknowledge(frame as u64);
    }
}

#[test]
fn only_what_was_acknowledged_is_built_on() {
    let mut encoder = Predictive::default();
    let mut decoder = PredictiveDecoder::default();
    let frames: Vec<_> = (0..6).map(|f| encoder_frame(&mut encoder, f)).collect();
    for bytes in &frames {
        assert!(
            PredictiveDecoder::default()
                .decode(bytes, &limits())
                .is_ok(),
            "not acknowledged, yet built on"
        );
    }
    decoder.decode(&frames[2], &limits()).unwrap();
    encoder.acknowledge(2);
    let next = encoder_frame(&mut encoder, 6);
    assert!(decoder.decode(&next, &limits()).is_ok());
    // Another receiver has not got it, says so, and a fresh start serves it.
    let refused = PredictiveDecoder::default().decode(&next, &limits());
    assert!(
        matches!(refused, Err(CodeError::Reference(2))),
        "{refused:?}"
    );
    encoder.reset();
    assert!(
        PredictiveDecoder::default()
            .decode(&encoder_frame(&mut encoder, 7), &limits())
            .is_ok()
    );
}

fn encoder_frame(encoder: &mut Predictive, frame: usize) -> Vec<u8> {
    encoder
        .encode(frame as u64, &[scene(frame, 0.0)], 5)
        .unwrap()
}

#[test]
fn frames_may_be_decoded_in_any_order() {
    let mut encoder = Predictive::default();
    let mut decoder = PredictiveDecoder::default();
    decoder
        .decode(&encoder_frame(&mut encoder, 0), &limits())
        .unwrap();
    encoder.acknowledge(0);
    let frames: Vec<_> = (1..5).map(|f| encoder_frame(&mut encoder, f)).collect();
    for bytes in frames.iter().rev() {
        decoder.decode(bytes, &limits()).unwrap();
    }
}

#[test]
fn a_change_of_shape_or_of_scale_is_followed() {
    let mut encoder = Predictive::default();
    let mut decoder = PredictiveDecoder::default();
    let times = |factor: f32| {
        let values = scene(3, 0.0)
            .to_f32_vec()
            .iter()
            .map(|v| v * factor)
            .collect();
        Tensor::new(vec![1, 6, 22, 30], values).unwrap()
    };
    let other = Tensor::new(vec![2, 3, 5], (0..30).map(|i| i as f32).collect()).unwrap();
    let sent = [
        times(1.0),
        times(3.0),
        times(0.1),
        times(0.0),
        times(1.0),
        other,
        times(1.0),
    ];
    for (frame, tensor) in sent.into_iter().enumerate() {
        let bytes = encoder
            .encode(frame as u64, std::slice::from_ref(&tensor), 6)
            .unwrap();
        let received = decoder.decode(&bytes, &limits()).unwrap();
        assert_eq!(received[0].shape(), tensor.shape());
        assert!(furthest(&tensor, &received[0]) <= max_errors(&bytes, &limits()).unwrap()[0]);
        encoder.acknowledge(frame as u64);
    }
}

#[test]
fn a_frame_that_was_overtaken_can_still_be_decoded() {
    // Room for ten frames and what they have taught.
    let limits = Limits {
        max_bytes: 1 << 18,
        ..Limits::default()
    };
    let mut encoder = Predictive::default();
    let mut decoder = PredictiveDecoder::default();
    let mut encode = |frame: u64, known: Option<u64>| {
        known
            .into_iter()
            .for_each(|known| encoder.acknowledge(known));
        encoder
            .encode(frame, &[scene(frame as usize, 0.3)], 8)
            .unwrap()
    };
    decoder.decode(&encode(0, None), &limits).unwrap();
    decoder.decode(&encode(1, Some(0)), &limits).unwrap();
    let late = encode(2, None);
    for frame in 3..8 {
        let bytes = encode(frame, Some((frame - 1).max(1)).filter(|k| *k != 2));
        decoder.decode(&bytes, &limits).unwrap();
    }
    let lost = late.len() - 40..late.len() - 10;
    decoder.decode_partial(&late, &[lost], &limits).unwrap();
    decoder.decode(&late, &limits).unwrap();
}

#[test]
fn what_was_lost_is_as_it_was_and_the_rest_as_it_is() {
    let mut encoder = Predictive::default();
    let mut decoder = PredictiveDecoder::default();
    // By the second one an encoder knows how long bands are.
    for frame in 0..2 {
        let bytes = encoder.encode(frame, &[scene(frame as usize, 0.3)], 8);
        decoder.decode(&bytes.unwrap(), &limits()).unwrap();
        encoder.acknowledge(frame);
    }
    let sent = scene(4, 0.3);
    let bytes = encoder.encode(2, std::slice::from_ref(&sent), 8).unwrap();
    // The last bytes are those of the lowest band.
    let lost = bytes.len() - 40..bytes.len() - 10;
    let partial = decoder.decode_partial(&bytes, &[lost], &limits()).unwrap();
    let whole = decoder.decode_partial(&bytes, &[], &limits()).unwrap();
    assert!(furthest(&sent, &whole[0]) < 0.1);
    let rows = |t: &Tensor, rows: std::ops::Range<usize>| {
        t.to_f32_vec()[rows.start * 30..rows.end * 30].to_vec()
    };
    assert_eq!(rows(&partial[0], 0..4), rows(&whole[0], 0..4));
    assert_ne!(rows(&partial[0], 18..22), rows(&whole[0], 18..22));
    assert!(furthest(&sent, &partial[0]) < 6.0);
    // Without its head a frame is nothing.
    let head = std::slice::from_ref(&(3..4));
    assert!(decoder.decode_partial(&bytes, head, &limits()).is_err());
    // And it was not kept.
    let next = {
        encoder.acknowledge(2);
        encoder.encode(3, &[sent], 8).unwrap()
    };
    assert!(matches!(
        decoder.decode(&next, &limits()),
        Err(CodeError::Reference(2))
    ));
}

#[test]
fn what_was_lost_goes_on_from_the_newest_frame_that_is_known() {
    let limits = Limits::default();
    let mut encoder = Predictive::default();
    let mut decoder = PredictiveDecoder::default();
    // It gets brighter with every frame.
    let brightness = |frame: u64| (10 * frame) as f32;
    let scene = |frame: u64| {
        let at = |i: usize| brightness(frame) + ((i * 7) % 5) as f32;
        Tensor::new(vec![8, 64, 30], (0..8 * 64 * 30).map(at).collect()).unwrap()
    };
    let mut encode = |frame: u64, acknowledged: bool| {
        let bytes = encoder.encode(frame, &[scene(frame)], 8).unwrap();
        if acknowledged {
            encoder.acknowledge(frame);
        }
        bytes
    };
    let lowest = |tensors: Vec<Tensor>| tensors[0].to_f32_vec()[63 * 30 + 15];
    for (frame, acknowledged) in [(0, false), (1, true), (2, false), (3, false)] {
        let bytes = encode(frame, acknowledged);
        decoder.decode(&bytes, &limits).unwrap();
    }
    // Predicted from frame 1. The last bytes are those of the lowest band.
    let mut behind_loss = |bytes: &[u8], lost: bool| {
        let lost = lost.then_some(bytes.len() - 2..bytes.len());
        lowest(
            decoder
                .decode_partial(bytes, lost.as_slice(), &limits)
                .unwrap(),
        )
    };
    let near = |value: f32, frame: u64| (value - brightness(frame)).abs() < 6.0;
    assert!(near(behind_loss(&encode(4, false), true), 3));
    assert!(near(behind_loss(&encode(5, false), false), 5));
    // That one is not kept to predict from, but it is known.
    assert!(near(behind_loss(&encode(6, false), true), 5));
}

#[test]
fn several_threads_give_what_one_gives() {
    let mut encoders = [Predictive::default(), Predictive::default()];
    let mut decoders = [PredictiveDecoder::default(), PredictiveDecoder::default()];
    encoders[0].set_parallel(false);
    decoders[0].set_parallel(false);
    let limits = Limits::default();
    for number in 0..6 {
        let high = (0..16).flat_map(|i| scene(number + i, 0.3).to_f32_vec());
        let tensor = Tensor::new(vec![24, 88, 30], high.collect()).unwrap();
        let number = number as u64;
        let [one, several] = encoders.each_mut().map(|encoder| {
            encoder.acknowledge(number.saturating_sub(2));
            encoder
                .encode(number, std::slice::from_ref(&tensor), 8)
                .unwrap()
        });
        assert!(one == several, "frame {number}");
        let (head, _) = frame::Head::read(&one, &limits).unwrap();
        let bands = |part: &frame::Part| match part {
            frame::Part::Levels(levels) => levels.bands.len(),
            frame::Part::Embedded(_) => 0,
        };
        assert!(
            bands(&head.tensors[0]) >= bands::ENOUGH,
            "frame {number}: {}",
            bands(&head.tensors[0])
        );
        let lost = one.len() - 1400..one.len() - 1300;
        let [one, several] = decoders.each_mut().map(|decoder| {
            let part = decoder.decode_partial(&one, std::slice::from_ref(&lost), &limits);
            (part.unwrap(), decoder.decode(&several, &limits).unwrap())
        });
        assert!(one == several, "frame {number}");
    }
}

/// Values as activations have them, now and then with what cannot be quantised.
fn tensor() -> impl Strategy<Value = Tensor> {
    let shape = prop_oneof![
        proptest::collection::vec(0usize..7, 0..4),
        (1usize..3, 1usize..6, 1usize..12, 1usize..12).prop_map(|(n, c, h, w)| vec![n, c, h, w]),
    ];
    (shape, 0..5u8, -6i32..7, any::<u64>()).prop_map(|(shape, kind, exponent, seed)| {
        let n: usize = shape.iter().product();
        let scale = 10f32.powi(exponent);
        let mut state = seed | 1;
        let values = (0..n).map(|i| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let noise = (state >> 40) as f32 / (1 << 24) as f32 - 0.3;
            match seed >> 61 {
                0 => f32::NAN,
                1 if i == 5 => 1e6 * scale,
                2 => 0.0,
                3..6 => noise.max(0.0) * scale,
                _ => (noise + i as f32 / 9.0) * scale,
            }
        });
        let data = match kind {
            0 => Data::F16(values.map(f16::from_f32).collect()),
            1 => Data::F64(values.map(f64::from).collect()),
            2 => Data::I32(values.map(|v| v as i32).collect()),
            _ => Data::F32(values.collect()),
        };
        Tensor::from_data(shape, data).unwrap()
    })
}

proptest! {
    #[test]
    fn every_tensor_comes_back_within_the_stated_error(
        frames in proptest::collection::vec(proptest::collection::vec(tensor(), 0..3), 1..4),
        bits in prop_oneof![Just(AUTO), 2u8..=8, Just(16), Just(32)],
        acknowledged: bool,
    ) {
        let (mut encoder, mut decoder) = (Predictive::default(), crate::decoder());
        let limits = Limits { max_bytes: 1 << 20, ..Limits::default() };
        for (frame, sent) in frames.iter().enumerate() {
            let bytes = encoder.encode(frame as u64, sent, bits).unwrap();
            let bounds = max_errors(&bytes, &limits).unwrap();
            let received = decoder.decode(&bytes, &limits).unwrap();
            prop_assert_eq!(received.len(), sent.len());
            for ((s, r), bound) in sent.iter().zip(&received).zip(bounds) {
                prop_assert_eq!((s.dtype(), s.shape()), (r.dtype(), r.shape()));
                if bound == 0.0 || !s.dtype().is_float() {
                    prop_assert_eq!(s.to_le_bytes(), r.to_le_bytes());
                }
                for (a, b) in s.to_f32_vec().into_iter().zip(r.to_f32_vec()) {
                    prop_assert!((a - b).abs() <= bound || a == b || (a.is_nan() && b.is_nan()), "{} {} {}", a, b, bound);
                }
            }
            if acknowledged {
                encoder.acknowledge(frame as u64);
            }
        }
    }

    #[test]
    fn damage_gives_an_error_or_tensors_within_the_limits(
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let (mut encoder, mut decoder) = (Predictive::default(), PredictiveDecoder::default());
        decoder.decode(&encoder_frame(&mut encoder, 0), &limits()).unwrap();
        encoder.acknowledge(0);
        let mut bytes = encoder_frame(&mut encoder, 1);
        for (at, flip) in damage {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(tensors) = decoder.decode(&bytes, &limits()) {
            prop_assert!(tensors.iter().map(Tensor::byte_len).sum::<usize>() <= limits().max_bytes);
        }
    }

    #[test]
    fn noise_after_a_good_start_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
        let head = b"SITC\x01\x04\x01\x00\x05\x00\x01\x01\x04\x01\x02\x09\x05\x00\x00\x80\x3f\x00\x08\x00\x00\x00\x00\x00\x03";
        let stream = [head, &[bytes.len() as u8][..], &bytes].concat();
        // Whatever it says, it says something.
        let tensors = PredictiveDecoder::default().decode(&stream, &limits()).unwrap();
        prop_assert_eq!(tensors[0].shape(), [1, 2, 9, 5]);
    }
}
