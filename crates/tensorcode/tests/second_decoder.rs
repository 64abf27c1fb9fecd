// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The specification is enough for a second implementation: `second_decoder.py`, which was written from
//! docs/tensor-code.md, gets the same values. Skipped, and said so, where there is no Python.

use std::process::{Command, Stdio};

use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{AUTO, Encode, Limits, Predictive, decoder};

const SHAPE: [usize; 4] = [1, 7, 19, 26];

/// Things that move by whole pixels and by parts of one, noise, light that changes, and a large peak.
fn scene(frame: usize) -> Tensor {
    let mut state = frame as u64 * 77 + 1;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let [_, channels, height, width] = SHAPE;
    let mut values = Vec::new();
    for c in 0..channels {
        for y in 0..height {
            for x in 0..width {
                let slow = x as f32 + 0.4 * frame as f32;
                let mut value = (slow * (c + 1) as f32 / 9.0).sin() + 0.1 * frame as f32;
                if (frame * 2..frame * 2 + 6).contains(&x) && (5..12).contains(&y) {
                    value += 2.0 + ((x - frame * 2) * (y + c)) as f32 * 0.2;
                }
                if (c, y, x) == (2, 17, 25) {
                    value += 90.0;
                }
                values.push((value + 0.1 * noise()).max(if c == 3 { 0.0 } else { -9.0 }));
            }
        }
    }
    Tensor::new(SHAPE.to_vec(), values).unwrap()
}

#[test]
fn a_decoder_written_from_the_specification_gets_the_same() {
    let python = Command::new("python3")
        .arg("-V")
        .stdout(Stdio::null())
        .status();
    if !python.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: there is no python3");
    }
    let folder = std::env::temp_dir().join(format!("second-decoder-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let small = Tensor::new(vec![5], vec![0.5, -2.0, 3.0, 40.0, 0.0]).unwrap();
    let exact = Tensor::new(vec![2], vec![7i32, -7]).unwrap();
    let (mut encoder, mut decoder) = (Predictive::default(), decoder());
    let (mut files, mut expected) = (Vec::new(), Vec::new());
    for frame in 0..7 {
        // The fifth is predicted from the third, the last in another step and at a coarser depth. Between, some channels are
        // coarser than others, in one frame as before.
        let bits = if frame == 6 { 3 } else { AUTO };
        match frame {
            2 => encoder.set_coarser(&[vec![0, 3, -2, 1, 0, -5, 4]]),
            5 => encoder.set_coarser(&[vec![1, -3, 0, 0, 2, 2, -1]]),
            _ => {}
        }
        let sent = [scene(frame), exact.clone(), small.clone()];
        let bytes = encoder.encode(frame as u64, &sent, bits).unwrap();
        let received = decoder.decode(&bytes, &Limits::default()).unwrap();
        if frame != 3 {
            encoder.acknowledge(frame as u64);
        }
        expected.extend([received[0].clone(), received[2].clone()]);
        let file = folder.join(format!("{frame}.bin"));
        std::fs::write(&file, bytes).unwrap();
        files.push(file);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/second_decoder.py");
    let output = Command::new("python3").arg(script).args(&files).output();
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), expected.len());
    for (number, (line, tensor)) in text.lines().zip(&expected).enumerate() {
        let words = line.split(' ');
        let values = words.map(|w| hexadecimal(w).unwrap());
        assert_eq!(
            values.collect::<Vec<_>>(),
            tensor.to_f32_vec(),
            "tensor {number}"
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// `-0x1.abcp-3`, as Python writes a float.
fn hexadecimal(word: &str) -> Option<f32> {
    if let Some(positive) = word.strip_prefix('-') {
        return hexadecimal(positive).map(|value| -value);
    }
    let (digits, exponent) = word.strip_prefix("0x")?.split_once('p')?;
    let (whole, fraction) = digits.split_once('.')?;
    let mantissa = u64::from_str_radix(&format!("{whole}{fraction}"), 16).ok()? as f64;
    let exponent = exponent.parse::<i32>().ok()? - 4 * fraction.len() as i32;
    Some((mantissa * 2f64.powi(exponent)) as f32)
}
