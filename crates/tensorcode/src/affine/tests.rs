// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The promises of the code as a whole.

use super::*;
use crate::max_errors;
use proptest::prelude::*;

fn round_trip(tensors: &[Tensor], bits: u8) -> (Vec<Tensor>, Vec<f32>, usize) {
    let limits = Limits {
        max_bytes: tensors.iter().map(Tensor::byte_len).sum(),
        ..Limits::default()
    };
    let bytes = Affine::default().encode(0, tensors, bits).unwrap();
    let decoded = AffineDecoder::default().decode(&bytes, &limits).unwrap();
    (decoded, max_errors(&bytes, &limits).unwrap(), bytes.len())
}

fn depth() -> impl Strategy<Value = u8> {
    prop_oneof![Just(AUTO), 2u8..=8, Just(16), Just(32)]
}

/// Values as activations have them: many zeros, constant channels, offsets.
fn tensor() -> impl Strategy<Value = Tensor> {
    let shape = prop_oneof![
        proptest::collection::vec(0usize..7, 0..4),
        (1usize..3, 1usize..6, 1usize..9, 1usize..9).prop_map(|(n, c, h, w)| vec![n, c, h, w]),
        (1usize..3, 16usize..40, 1usize..9).prop_map(|(n, s, f)| vec![n, s, f]),
    ];
    (shape, 0..4u8, -3i32..4, any::<u64>()).prop_map(|(shape, dtype, exponent, seed)| {
        let n: usize = shape.iter().product();
        let scale = 10f32.powi(exponent);
        let mut state = seed | 1;
        let values = (0..n).map(|i| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let noise = (state >> 40) as f32 / (1 << 24) as f32 - 0.3;
            match seed >> 60 {
                0..4 => noise.max(0.0) * scale,
                4..8 => (noise + (i / 32) as f32) * scale,
                8..12 if i / 64 % 2 == 0 => 1.5 * scale,
                _ => noise * scale,
            }
        });
        let data = match dtype {
            0 => Data::F16(values.map(f16::from_f32).collect()),
            1 => Data::F64(values.map(|v| f64::from(v) * 1.000_000_001).collect()),
            2 => Data::I32(values.map(|v| (v * 100.0) as i32).collect()),
            _ => Data::F32(values.collect()),
        };
        Tensor::from_data(shape, data).unwrap()
    })
}

fn as_f64(t: &Tensor) -> Vec<f64> {
    match t.data() {
        Data::F64(v) => v.clone(),
        _ => t.to_f32_vec().into_iter().map(f64::from).collect(),
    }
}

proptest! {
    #[test]
    fn every_tensor_comes_back_within_the_stated_error(
        tensors in proptest::collection::vec(tensor(), 0..4),
        bits in depth(),
    ) {
        let (decoded, bounds, _) = round_trip(&tensors, bits);
        prop_assert_eq!(decoded.len(), tensors.len());
        for ((a, b), bound) in tensors.iter().zip(&decoded).zip(bounds) {
            prop_assert_eq!(a.shape(), b.shape());
            prop_assert_eq!(a.dtype(), b.dtype());
            if bits == 32 || !a.dtype().is_float() {
                prop_assert_eq!(a, b);
                prop_assert_eq!(bound, 0.0);
            }
            for (x, y) in as_f64(a).into_iter().zip(as_f64(b)) {
                prop_assert!((x - y).abs() <= f64::from(bound), "{} became {}, bound {}", x, y, bound);
                prop_assert!(x != 0.0 || y == 0.0, "zero became {}", y);
            }
        }
    }

    #[test]
    fn noise_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let limits = Limits { max_bytes: 1 << 16, ..Limits::default() };
        prop_assert!(AffineDecoder::default().decode(&bytes, &limits).is_err());
    }

    #[test]
    fn a_damaged_stream_gives_an_error_or_finite_tensors_within_the_limits(
        tensors in proptest::collection::vec(tensor(), 1..3),
        bits in depth(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut bytes = Affine::default().encode(0, &tensors, bits).unwrap();
        for (at, flip) in damage {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        if let Some(cut) = cut {
            let at = cut.index(bytes.len());
            bytes.truncate(at);
        }
        let limits = Limits { max_bytes: 1 << 14, ..Limits::default() };
        if let Ok(decoded) = AffineDecoder::default().decode(&bytes, &limits) {
            let headers = describe(&bytes, &limits).unwrap();
            let total: usize = decoded.iter().map(Tensor::byte_len).sum();
            prop_assert!(total <= limits.max_bytes);
            for (t, header) in decoded.iter().zip(headers) {
                let quantised = header.coding != Coding::Exact;
                prop_assert!(!quantised || t.to_f32_vec().iter().all(|v| v.is_finite()));
            }
        }
    }
}

#[test]
fn nan_and_infinity_arrive_as_they_were_sent() {
    let mut values = vec![0.5f32; 64];
    values[3] = f32::NAN;
    values[9] = f32::NEG_INFINITY;
    let sent = Tensor::new(vec![1, 1, 8, 8], values).unwrap();
    let (received, bound, _) = round_trip(std::slice::from_ref(&sent), 4);
    assert_eq!(sent.to_le_bytes(), received[0].to_le_bytes());
    assert_eq!(bound, [0.0]);
}

#[test]
fn a_dead_channel_costs_only_its_value() {
    let wave = |i: usize| ((i * 2_654_435_761) % 251) as f32;
    let alive: Vec<f32> = (0..4096).map(wave).collect();
    let mut both = alive.clone();
    both.extend(vec![0.25; 4096]);
    let one = Tensor::new(vec![1, 1, 64, 64], alive).unwrap();
    let two = Tensor::new(vec![1, 2, 64, 64], both).unwrap();
    let (_, _, a) = round_trip(&[one], 8);
    let (decoded, _, b) = round_trip(&[two], 8);
    assert!(b <= a + 8, "{b} bytes with a dead channel, {a} without");
    assert!(decoded[0].to_f32_vec()[4096..].iter().all(|v| *v == 0.25));
}

#[test]
fn the_largest_half_does_not_become_infinite() {
    let values: Vec<f16> = (0..64)
        .map(|i| if i == 7 { f16::MAX } else { f16::MIN })
        .collect();
    let sent = Tensor::new(vec![1, 1, 8, 8], values).unwrap();
    let (received, bound, _) = round_trip(&[sent], 2);
    assert!(received[0].to_f32_vec().iter().all(|v| v.is_finite()));
    assert!(bound[0] < 65504.0);
}

#[test]
fn a_small_stream_that_announces_much_is_refused_before_it_is_allocated() {
    let sent = Tensor::new(vec![1, 4, 256, 256], vec![1f32; 4 << 16]).unwrap();
    let bytes = Affine::default().encode(0, &[sent], 8).unwrap();
    assert!(bytes.len() < 100);
    let limits = |max_bytes| Limits {
        max_bytes,
        ..Limits::default()
    };
    let mut decoder = AffineDecoder::default();
    assert!(decoder.decode(&bytes, &limits(4 << 18)).is_ok());
    let refused = decoder.decode(&bytes, &limits((4 << 18) - 1)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "bytes of decoded tensors: 1048576 announced, 1048575 accepted"
    );
}

#[test]
fn an_empty_tensor_of_absurd_dimensions_is_only_empty() {
    let shape = vec![0, 1 << 31, 1 << 31, 1 << 31];
    let sent = Tensor::new(shape, Vec::<f32>::new()).unwrap();
    let (received, _, _) = round_trip(std::slice::from_ref(&sent), 8);
    assert_eq!(received[0], sent);
    // The same, said to be quantised.
    let mut bytes = Affine::default().encode(0, &[sent], 8).unwrap();
    bytes[9..12].copy_from_slice(&[1, 8, 1]);
    let refused = AffineDecoder::default().decode(&bytes, &Limits::default());
    assert_eq!(
        refused.unwrap_err().to_string(),
        "tensor 0: an empty tensor is quantised"
    );
}

#[test]
fn every_other_depth_is_refused() {
    for bits in [1, 9, 15, 17, 31, 33, 255] {
        let refused = Affine::default().encode(0, &[], bits);
        assert!(matches!(refused, Err(CodeError::Bits(b)) if b == bits));
    }
}

#[test]
fn encoders_and_decoders_can_move_to_another_thread() {
    fn send<T: Send + 'static>() {}
    send::<Affine>();
    send::<AffineDecoder>();
}
