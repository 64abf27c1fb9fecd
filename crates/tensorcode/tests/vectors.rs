// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The test vectors of `docs/tensor-code.md`.

use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{Affine, Encode as _, Limits, Predictive, decoder, max_errors};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let pairs = digits.as_chunks::<2>().0.iter();
    pairs
        .map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn an_exact_tensor() {
    let stream =
        hex("5349 5443 01 01 0100  02 00 20 ff 00 01 00000000 03000000 03000000 03000000  0102ff");
    let tensor = Tensor::new(vec![3], vec![1u8, 2, 255]).unwrap();
    assert_eq!(
        Affine::default()
            .encode(0, std::slice::from_ref(&tensor), 8)
            .unwrap(),
        stream
    );
    assert_eq!(
        decoder().decode(&stream, &Limits::default()).unwrap(),
        [tensor]
    );
}

#[test]
fn a_quantised_tensor_with_a_constant_channel() {
    let values = (0..32)
        .map(|i| (i % 8) as f32 - 1.0)
        .chain([0.5; 32])
        .collect();
    let tensor = Tensor::new(vec![1, 2, 4, 8], values).unwrap();
    let stream = hex(
        "5349 5443 01 01 0100  01 01 03 01 00 04 6c80ec3e 19000000 19000000
         01000000 02000000 04000000 08000000
         02  0000 8000 6c00 bf3f  00 80 6c 3f  88c6fa 88c6fa 88c6fa 88c6fa",
    );
    assert_eq!(
        Affine::default()
            .encode(0, std::slice::from_ref(&tensor), 3)
            .unwrap(),
        stream
    );
    let limits = Limits::default();
    assert_eq!(max_errors(&stream, &limits).unwrap(), [0.461_917_28]);
    let decoded = decoder().decode(&stream, &limits).unwrap();
    let step = 0.923_828_1_f32;
    let expected = (0..32)
        .map(|i| ((i % 8) as f32 - 1.0) * step)
        .chain([0.5; 32]);
    assert_eq!(decoded[0].to_f32_vec(), expected.collect::<Vec<_>>());
}

/// Channel 0 is 2 × column + row, channel 1 zero but for one peak, channel 2 a slope that rises with the frame.
fn frame(peak: f32, rise: f32) -> [Tensor; 2] {
    let value = |i: usize| match i {
        0..20 => (i % 4) as f32 * 2.0 + (i / 4) as f32,
        26 => peak,
        40.. => (i % 4) as f32 * rise,
        _ => 0.0,
    };
    let values = (0..60).map(value).collect();
    [
        Tensor::new(vec![1, 3, 5, 4], values).unwrap(),
        Tensor::new(vec![2], vec![1u8, 2]).unwrap(),
    ]
}

#[test]
fn two_frames_of_the_predictive_code() {
    let embedded = "53495443 01 01 0100 02 00 20 ff 00 01 00000000 02000000 02000000 02000000 0102";
    let streams = [
        "53495443 01 04 0200 07 00  01 01 04 01 03 05 04 824e553e 00 08 00 0d00c03f 02 0c  00 20
         27a0f8001976f0f541bb907b",
        "53495443 01 04 0200 09 02  01 01 04 01 03 05 04 f32feb3e 00 08 02 05 23060740 02 0c  00 20
         fbefe610fd8584c4e40e8274",
    ];
    // The first one with a band for each row of blocks.
    let two_bands =
        "53495443 01 04 0200 07 00  01 01 04 01 03 05 04 824e553e 00 08 00 0d00c03f 01 0a 01 06  00 20
         9b0a5670b49112efd6fa 19bf8200666e";
    let levels = [
        (0.208_307_3_f32, [24, 16, 16, 0, 0]),
        (0.459_350_2, [11, 7, 15, 38, 35]),
    ];
    let (mut encoder, mut decoder) = (Predictive::default(), decoder());
    let frames = [(7, 3.0, 0.5), (9, 9.0, 6.0)];
    for (((number, peak, rise), stream), (step, levels)) in
        frames.into_iter().zip(streams).zip(levels)
    {
        let stream = hex(&format!("{stream}{embedded}"));
        let sent = frame(peak, rise);
        assert_eq!(encoder.encode(number, &sent, 4).unwrap(), stream);
        encoder.acknowledge(number);
        let decoded = decoder.decode(&stream, &Limits::default()).unwrap();
        let level = |i: usize| (decoded[0].to_f32_vec()[i] / step).round() as i32;
        assert_eq!([3, 16, 26, 43, 59].map(level), levels);
        assert_eq!(decoded[1], sent[1]);
        if number == 7 {
            let cut = hex(&format!("{two_bands}{embedded}"));
            let other = decoder.decode(&cut, &Limits::default()).unwrap();
            assert_eq!(decoded, other);
        }
    }
}
