// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! docs/weight-update.md tells the truth: its test vector is what this crate writes and reads.

use splitinfer_graph::Model;
use splitinfer_graph::build::GraphBuilder;
use splitinfer_tensor::DType;
use splitinfer_weights::{Encoding, KEPT, Precision, Versions, encode};

const DOC: &str = include_str!("../../../docs/weight-update.md");

fn model(a: &[f32; 4], b: &[f32; 2]) -> Model {
    GraphBuilder::new(17)
        .input("x", DType::F32, &[1])
        .weight("a", &[4], a)
        .weight("b", &[2], b)
        .node("Add", &["x", "a"], &["y"], vec![])
        .node("Add", &["x", "b"], &["z"], vec![])
        .untyped_output("y")
        .untyped_output("z")
        .model()
        .unwrap()
}

/// The bytes of the fenced block that begins with "```hex NAME"; what follows a `;` is a comment.
fn vector(name: &str) -> Vec<u8> {
    let start = format!("```hex {name}\n");
    let (_, rest) = DOC
        .split_once(&start)
        .unwrap_or_else(|| panic!("no vector {name}"));
    let (block, _) = rest.split_once("```").unwrap();
    let bytes = block
        .lines()
        .flat_map(|line| line.split(';').next().unwrap().split_whitespace());
    bytes
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    let lines = bytes
        .chunks(16)
        .map(|line| line.iter().map(|b| format!("{b:02x} ")).collect());
    lines.collect::<Vec<String>>().join("\n")
}

#[test]
fn the_update_is_as_documented() {
    let versions = Versions::new(model(&[0.5, -0.25, 0.125, 1.0], &[1.0, 2.0]));
    let trained = model(&[0.53, -0.25, 0.1, 1.0], &[f32::INFINITY, 2.0]);
    let how = Encoding {
        precision: Precision::OfSize(1.0 / 64.0),
        share: 1.0,
    };
    let coded = encode(&versions, 1, &trained, &how).unwrap();
    assert_eq!(hex(&vector("update")), hex(&coded.bytes));
    let (_, received) = versions.read(&vector("update")).unwrap();
    let expected = model(&[0.53125, -0.25, 0.1015625, 1.0], &[f32::INFINITY, 2.0]);
    assert_eq!(received.to_bytes(), expected.to_bytes());
}

#[test]
fn how_many_versions_are_held_is_as_documented() {
    assert_eq!(KEPT, 2);
    assert!(DOC.contains("the newest version and the one before"));
}
