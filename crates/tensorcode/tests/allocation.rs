// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The promise of `Decode::decode` about memory, on valid and on damaged streams.

use proptest::prelude::*;
use splitinfer_tensor::{Data, Tensor};
use splitinfer_tensorcode::{Decode, Limits, decoder, encoder};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts what is allocated now, and the most that ever was. (There is one test in this file, so nothing else
/// allocates meanwhile. Zstandard's tables, of constant size, are outside of it.)
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Bytes that were allocated at the same time during `run`, at most.
fn peak(run: impl FnOnce()) -> usize {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    run();
    PEAK.load(Relaxed) - before
}

fn tensor(halves: bool, flat: bool, seed: u32) -> Tensor {
    let values = (0..4096u32).map(|i| (i.wrapping_mul(seed) >> 20) as f32);
    let data = match halves {
        true => Data::F16(values.map(half::f16::from_f32).collect()),
        false => Data::F32(values.collect()),
    };
    let shape = if flat {
        vec![1, 4096]
    } else {
        vec![2, 32, 8, 8]
    };
    Tensor::from_data(shape, data).unwrap()
}

/// A tensor of one column, with a band for each row of blocks, the most that there can be, and long enough for several threads.
fn many_bands(halves: bool, predicted: bool) -> Vec<u8> {
    let mut bytes = b"SITC\x01\x04\x01\x00\x01".to_vec();
    bytes.push(u8::from(predicted));
    // Levels, element type, two dimensions: 4096 and 1.
    bytes.extend([1, if halves { 10 } else { 1 }, 2, 0x80, 0x20, 1]);
    bytes.extend(0.25f32.to_le_bytes());
    // All channels in this step; quantum; none by frequency.
    bytes.extend([0, 1, 0]);
    bytes.extend(0.125f32.to_le_bytes());
    bytes.extend([1, 0x80, 1].repeat(1024));
    bytes.extend([0; 128].repeat(1024));
    bytes
}

/// A tensor of as many channels as values, each in a step of its own.
fn many_channels(halves: bool, predicted: bool) -> Vec<u8> {
    let mut bytes = b"SITC\x01\x04\x01\x00\x01".to_vec();
    bytes.push(u8::from(predicted));
    // Levels, element type, three dimensions: 4096, 1 and 1.
    bytes.extend([1, if halves { 10 } else { 1 }, 3, 0x80, 0x20, 1, 1]);
    bytes.extend(0.25f32.to_le_bytes());
    bytes.push(2);
    bytes.extend((0..4096).map(|i| (i % 7) as u8));
    // Quantum; some channels by frequency, in one band of 600 bytes.
    bytes.extend([1, 2]);
    bytes.extend([0x55; 512]);
    bytes.extend(0.125f32.to_le_bytes());
    bytes.extend([1, 0xd8, 4]);
    bytes.extend([0x5a; 600]);
    bytes
}

/// Without its last bytes, twice: the second time what is lost goes on from what came of the first.
fn behind_loss(decoder: &mut dyn Decode, bytes: &[u8], limits: &Limits) {
    let lost = bytes.len().saturating_sub(8)..bytes.len();
    for _ in 0..2 {
        drop(decoder.decode_partial(bytes, std::slice::from_ref(&lost), limits));
    }
}

proptest! {
    #[test]
    fn no_stream_makes_the_decoder_allocate_beyond_twelve_times_the_limit(
        halves: bool,
        flat: bool,
        predicted: bool,
        bits in prop_oneof![2u8..=8, Just(16), Just(32)],
        seed: u32,
        damage in proptest::collection::vec((0usize..64, any::<u8>()), 0..4),
    ) {
        let limits = Limits { max_bytes: 1 << 14, ..Limits::default() };
        let (mut encoder, mut decoder) = (encoder(), decoder());
        // A frame to predict from, in another step.
        let earlier = encoder.encode(0, &[tensor(halves, flat, 3)], 2).unwrap();
        if predicted && decoder.decode(&earlier, &limits).is_ok() {
            encoder.acknowledge(0);
        }
        let mut bytes = encoder.encode(1, &[tensor(halves, flat, seed | 1)], bits).unwrap();
        // In the headers and the first parameters, where lengths and shapes are.
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let used = peak(|| drop(decoder.decode(&bytes, &limits)));
        prop_assert!(used <= 12 * limits.max_bytes + 4096, "{} bytes", used);
        let used = peak(|| behind_loss(decoder.as_mut(), &bytes, &limits));
        prop_assert!(used <= 12 * limits.max_bytes + 4096, "{} bytes behind loss", used);
        let limits = Limits { max_bytes: if halves { 1 << 13 } else { 1 << 14 }, ..limits };
        for (shape, bytes) in [
            (vec![4096, 1], many_bands(halves, predicted)),
            (vec![4096, 1, 1], many_channels(halves, predicted)),
        ] {
            let values = tensor(halves, true, 3).into_data();
            let column = Tensor::from_data(shape.clone(), values).unwrap();
            let (mut encoder, mut decoder) = (self::encoder(), self::decoder());
            let earlier = encoder.encode(0, &[column], 2).unwrap();
            prop_assert!(decoder.decode(&earlier, &limits).is_ok());
            // The threads that help are started once, and stay.
            prop_assert!(decoder.decode(&bytes, &limits).is_ok());
            let used = peak(|| drop(decoder.decode(&bytes, &limits)));
            prop_assert!(used <= 12 * limits.max_bytes + 4096, "{} bytes for {:?}", used, shape);
            let used = peak(|| behind_loss(decoder.as_mut(), &bytes, &limits));
            prop_assert!(used <= 12 * limits.max_bytes + 4096, "{} bytes for {:?} behind loss", used, shape);
        }
    }
}
