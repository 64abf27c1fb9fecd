// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How long a frame takes on its way into a model: 768 x 432 I420 to a 416 x 416 letterbox.
//!
//! `cargo run --release -p splitinfer-vision --example preprocess`

use std::time::{Duration, Instant};

use splitinfer_vision::{
    ColorMatrix, ColorRange, Frame, ModelInfo, PixelFormat, Plane, Preprocessor, VisionError,
};

const ROUNDS: usize = 300;

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn main() -> Result<(), VisionError> {
    let (w, h) = (768usize, 432usize);
    let data: Vec<u8> = (0..w * h * 3 / 2).map(|i| (i * 31 % 251) as u8).collect();
    let (y, uv) = data.split_at(w * h);
    let (u, v) = uv.split_at(w * h / 4);
    let plane = |data, stride| Plane { data, stride };
    let frame = Frame::new(
        PixelFormat::I420,
        w as u32,
        h as u32,
        vec![plane(y, w), plane(u, w / 2), plane(v, w / 2)],
        ColorMatrix::Bt709,
        ColorRange::Limited,
    )?;
    for (filter, dtype, dims) in [
        ("bilinear", "float32", "1,3,416,416"),
        ("area", "float32", "1,3,416,416"),
        ("antialias", "float32", "1,3,416,416"),
        ("bilinear", "float32", "1,416,416,3"),
        ("bilinear", "float16", "1,3,416,416"),
        ("bilinear", "uint8", "1,416,416,3"),
    ] {
        let text = format!(
            "[modelinfo]\nversion=1.0\n[x]\ndir=input\ntype={dtype}\ndims={dims}\n\
             [splitinfer]\nhead=raw\ncolour=bgr\nresize=letterbox\nfilter={filter}\npad=114\n"
        );
        let mut preprocessor = Preprocessor::new(&ModelInfo::parse(&text)?);
        let (mut pictures, mut tensors) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let (picture, _) = preprocessor.picture(&frame)?;
            pictures.push(start.elapsed());
            let start = Instant::now();
            std::hint::black_box(preprocessor.tensor(&picture)?);
            tensors.push(start.elapsed());
        }
        println!(
            "{filter:9} {dtype:7} {dims:11}: picture {:.3} ms, tensor {:.3} ms",
            median(pictures),
            median(tensors)
        );
    }
    Ok(())
}
