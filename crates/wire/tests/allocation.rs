// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Decoders allocate no more than a stated multiple of the bytes they were given, whatever these announce.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use splitinfer_wire::limits::MAX_CONTROL_BYTES;
use splitinfer_wire::{FrameHeader, Hello, Message, MessageReader, ResultHeader, objects};
use splitinfer_wire::{SendFrames, Token, Version, Wants, WireObject};

/// What a decoder may allocate for each byte of input, in docs/protocol.md's words "sixteen times". The
/// worst case is the shortest object with the longest label; the constant part is for error values.
const FACTOR: usize = 16;
const CONSTANT: usize = 4096;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn count(change: isize) {
    // Allocations while a thread starts or ends are of no interest.
    let _ = NOW.try_with(|now| {
        now.set(now.get().saturating_add_signed(change));
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
    });
}

// SAFETY: every call goes to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most bytes that were allocated at once while `f` ran.
fn peak<T>(f: impl FnOnce() -> T) -> usize {
    let before = NOW.get();
    PEAK.set(before);
    drop(f());
    PEAK.get() - before
}

fn assert_bounded<T>(what: &str, bytes: &[u8], f: impl FnOnce(&[u8]) -> T) {
    let (peak, bound) = (peak(|| f(bytes)), FACTOR * bytes.len() + CONSTANT);
    assert!(peak <= bound, "{what}: {peak} for {} bytes", bytes.len());
}

fn hello() -> Hello {
    Hello {
        version: Version::OURS,
        agent: String::new(),
        token: Token::default(),
        model_hash: [0; 32],
        model_size: 0,
        sidecar: String::new(),
        input_name: "x".into(),
        input_shape: Vec::new(),
        candidates: vec![vec!["t".into()]; 4096],
        wants: Wants::Objects,
        send_frames: SendFrames::Never,
        max_result_bytes: 0,
    }
}

#[test]
fn the_counter_counts() {
    assert!(peak(|| vec![0u8; 10_000]) >= 10_000);
}

#[test]
fn announced_lengths_are_not_believed() {
    let huge = [0xff; 64];
    for code in 0..20 {
        assert_bounded("message", &huge, |bytes| Message::decode(code, bytes));
    }
    // Lengths within their limits, and nothing behind them.
    let label_count = 60_000u32.to_be_bytes();
    assert_bounded("labels", &label_count, objects::decode);
    let mut object_count = vec![0, 0, 0, 0];
    object_count.extend(60_000u32.to_be_bytes());
    assert_bounded("objects", &object_count, objects::decode);
    let mut frame = huge;
    frame[..2].copy_from_slice(&1024u16.to_be_bytes());
    assert_bounded("frame header", &frame, FrameHeader::decode);
    assert_bounded("result header", &frame, ResultHeader::decode);
}

#[test]
fn an_announced_message_is_not_made_room_for_before_it_comes() {
    let mut prefix = (MAX_CONTROL_BYTES as u32).to_be_bytes().to_vec();
    prefix.extend([0, 1]);
    assert_bounded("reader", &prefix, |bytes| {
        let mut reader = MessageReader::default();
        reader.push(bytes);
        reader.next_message()
    });
}

#[test]
fn the_shortest_items_do_not_swell() {
    let bytes = Message::Hello(Box::new(hello())).encode().unwrap();
    assert_bounded("Hello", &bytes, |bytes| Message::decode(1, &bytes[6..]));

    let object = |label: &str| WireObject {
        class: 0,
        label: label.into(),
        score: 0.0,
        box_: [0.0; 4],
        track: None,
        keypoints: Vec::new(),
        quality: None,
    };
    for label in [String::new(), "x".repeat(256)] {
        let bytes = objects::encode(&vec![object(&label); 60_000]).unwrap();
        assert_bounded("objects", &bytes, objects::decode);
    }
}
