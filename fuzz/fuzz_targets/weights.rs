// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Weight updates: whatever is accepted has the announced digest. The first byte of the input says whether the rest stands
//! alone or behind a header that leads on, since nothing guesses a digest.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitinfer_graph::Model;
use splitinfer_graph::build::GraphBuilder;
use splitinfer_tensor::DType;
use splitinfer_weights::{Encoding, HEADER_BYTES, Versions, digest, encode};

fn model(scale: f32) -> Model {
    let weights: Vec<f32> = (0..30).map(|i| (i % 7) as f32 * scale).collect();
    GraphBuilder::new(17)
        .input("x", DType::F32, &[1])
        .weight("a", &[10], &weights[..10])
        .weight("b", &[20], &weights[10..])
        .node("Add", &["x", "a"], &["y"], vec![])
        .node("Add", &["x", "b"], &["z"], vec![])
        .untyped_output("y")
        .untyped_output("z")
        .model()
        .expect("a valid model")
}

fuzz_target!(|data: &[u8]| {
    let Some((&alone, data)) = data.split_first() else {
        return;
    };
    let versions = Versions::new(model(1.0));
    let mut bytes = Vec::new();
    if alone % 4 != 0 {
        let sound =
            encode(&versions, 1, &model(1.1), &Encoding::default()).expect("the same graph");
        bytes.extend(&sound.bytes[..HEADER_BYTES]);
    }
    bytes.extend(data);
    if let Ok((header, model)) = versions.read(&bytes) {
        assert_eq!(digest(&model), Ok(header.digest));
    }
});
