// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The test vectors of `docs/tensor-code.md`.

use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{Affine, Encode as _, Limits, decoder, max_errors};

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
