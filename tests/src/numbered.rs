// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames that carry their number as their colour, and a model that reads it back: so that a result on the wrong frame
//! shows by its content.

use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use splitinfer_graph::Model;
use splitinfer_graph::build::{GraphBuilder, int, ints};
use splitinfer_meta::FrameResult;
use splitinfer_tensor::{DType, Tensor};

pub const WIDTH: u32 = 64;
pub const HEIGHT: u32 = 48;
/// Numbers that can be told apart.
pub const NUMBERS: u64 = 1000;

const SIDE: usize = 32;
/// Grey level of digit 0, and the distance between digits.
const DARKEST: f32 = 20.0;
const STEP: f32 = 22.0;

/// An RGB frame of [`WIDTH`]×[`HEIGHT`] with `number` (modulo [`NUMBERS`]) as its mean colour, one decimal digit a
/// channel, under a pattern that gives the coders something to do.
pub fn picture(number: u64) -> Vec<u8> {
    let n = number % NUMBERS;
    let level = digits(n).map(|d| DARKEST + STEP * d as f32);
    (0..WIDTH * HEIGHT)
        .flat_map(|i| {
            let ripple = if (i % WIDTH / 4 + i / WIDTH / 4).is_multiple_of(2) {
                3.0
            } else {
                -3.0
            };
            level.map(|v| (v + ripple) as u8)
        })
        .collect()
}

/// The number that a picture of [`WIDTH`]×[`HEIGHT`] shows, in rows of RGB without padding, also after lossy coding.
pub fn shown(rgb: &[u8]) -> u64 {
    let pixels = rgb.as_chunks::<3>().0;
    let mean = |channel: usize| {
        let sum: f32 = pixels.iter().map(|p| f32::from(p[channel])).sum();
        sum / pixels.len() as f32
    };
    (0..3)
        .map(|channel| ((mean(channel) - DARKEST) / STEP).round() as u64)
        .fold(0, |n, d| n * 10 + d)
}

/// The number that the model read off the frame of this result; `None` if the result has no output of the model.
pub fn read(result: &FrameResult) -> Option<u64> {
    let tensor = result.tensors.iter().find(|t| t.name == "digits")?;
    let values: Vec<f32> = tensor
        .data
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    let number = |values: &[f32]| {
        values
            .iter()
            .map(|v| ((v * 255.0 - DARKEST) / STEP).round() as u64)
            .fold(0, |n, d| n * 10 + d)
    };
    // The two halves come over different tensors of a cut: if they differ, tensors of two frames were mixed.
    let (deep, skip) = values.split_at_checked(3)?;
    (number(deep) == number(skip)).then(|| number(deep))
}

/// Writes the model and its sidecar to `folder`; the path of the model.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_model(folder: &Path) -> std::io::Result<String> {
    write(&model(), folder)
}

/// What a model does for nothing, after its last cut.
#[derive(Clone, Copy, Debug)]
pub enum Idle {
    /// About a millisecond.
    Millisecond,
    /// About a tenth of a second.
    TenthOfASecond,
}

/// As [`write_model`], but the model takes longer, most of it after its last cut, so that it is worth sending away.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_slow_model(folder: &Path, idle: Idle) -> std::io::Result<String> {
    write(&graph(0, Some(idle)), folder)
}

/// As [`write_model`], but at the cut `mean+wide` every frame is many packets, of which the first has all that the digits need:
/// whoever lacks others still reads them.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_wide_model(folder: &Path) -> std::io::Result<String> {
    write(&wide(), folder)
}

fn write(model: &Model, folder: &Path) -> std::io::Result<String> {
    let path = folder.join("numbers.onnx");
    model.save(&path)?;
    let sidecar = format!(
        "[modelinfo]\nversion=1.0\n\n[picture]\ntype=float32\ndims=1,3,{SIDE},{SIDE}\ndir=input\nranges=0.0,1.0\n\n\
         [digits]\ntype=float32\ndims=1,6\ndir=output\n\n\
         [splitinfer]\nresize=stretch\nfilter=area\nhead=raw\n"
    );
    std::fs::write(folder.join("numbers.onnx.modelinfo"), sidecar)?;
    Ok(path.to_string_lossy().into_owned())
}

/// Two ways through the model, one of them a skip connection, so that some cuts consist of two tensors.
fn model() -> Model {
    turned(0)
}

/// The same graph with other weights: both its first convolution, which every head runs, and its second, which tails run,
/// turn the digits by `turns` places. So the skip connection shows what the head did, and the other way what both did.
///
/// # Panics
/// Never: the graph is valid.
pub fn turned(turns: usize) -> Model {
    graph(turns, None)
}

/// `idle`: convolutions beside the two ways.
fn graph(turns: usize, idle: Option<Idle>) -> Model {
    let identity = turn(0);
    let turn = turn(turns);
    let pool = || vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    let g = GraphBuilder::new(17)
        .input("picture", DType::F32, &[1, 3, SIDE, SIDE])
        .weight("w1", &[3, 3, 1, 1], &turn)
        .weight("w2", &[3, 3, 1, 1], &turn)
        .weight("w3", &[3, 3, 1, 1], &identity)
        .node("Conv", &["picture", "w1"], &["conv1"], vec![])
        .node("AveragePool", &["conv1"], &["pool1"], pool())
        .node("GlobalAveragePool", &["pool1"], &["skip"], vec![])
        .node("Conv", &["pool1", "w2"], &["conv2"], vec![])
        .node("AveragePool", &["conv2"], &["pool2"], pool())
        .node("Conv", &["pool2", "w3"], &["conv3"], vec![])
        .node("AveragePool", &["conv3"], &["pool3"], pool())
        .node("GlobalAveragePool", &["pool3"], &["alone"], vec![]);
    idling(g, idle)
        .node("Concat", &["deep", "skip"], &["both"], vec![int("axis", 1)])
        .node("Flatten", &["both"], &["digits"], vec![int("axis", 1)])
        .output("digits", DType::F32, &[1, 6])
        .model()
        .expect("the model is valid")
}

/// Makes `deep` of `alone`, beside so much work.
fn idling(mut g: GraphBuilder, idle: Option<Idle>) -> GraphBuilder {
    const CHANNELS: usize = 32;
    let (from, count) = match idle {
        None => return g.node("Identity", &["alone"], &["deep"], vec![]),
        Some(Idle::Millisecond) => ("pool2", 96),
        Some(Idle::TenthOfASecond) => {
            let times = Tensor::new(vec![4], vec![1i64, 1, 8, 8]).expect("it is valid");
            g = g
                .constant("times", &times)
                .node("Tile", &["conv1", "times"], &["large"], vec![]);
            ("large", 60)
        }
    };
    let mut from = (from.to_owned(), 3);
    for i in 0..count {
        let (weight, to) = (format!("idle{i}.weight"), format!("idle{i}"));
        let shape = [CHANNELS, from.1, 3, 3];
        let values = vec![0.001; shape.iter().product()];
        let pads = vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1])];
        g = g
            .weight(&weight, &shape, &values)
            .node("Conv", &[&from.0, &weight], &[&to], pads);
        from = (to, CHANNELS);
    }
    g.weight("nothing", &[3, CHANNELS, 1, 1], &[0.0; 3 * CHANNELS])
        .node("GlobalAveragePool", &[&from.0], &["idle.mean"], vec![])
        .node("Conv", &["idle.mean", "nothing"], &["idle"], vec![])
        .node("Add", &["alone", "idle"], &["deep"], vec![])
}

/// `wide` is noise that no frame has in common with another, and counts for nothing.
fn wide() -> Model {
    const CHANNELS: usize = 8;
    let shape = [CHANNELS, SIDE, SIDE];
    let mut dice = ChaCha8Rng::seed_from_u64(1);
    let scattered = |count: usize, dice: &mut ChaCha8Rng| -> Vec<f32> {
        let between = |_| dice.random_range(20.0..200.0);
        (0..count).map(between).collect()
    };
    let spread = scattered(CHANNELS * 3, &mut dice);
    let places = scattered(shape.iter().product(), &mut dice);
    GraphBuilder::new(17)
        .input("picture", DType::F32, &[1, 3, SIDE, SIDE])
        .weight("spread", &[CHANNELS, 3, 1, 1], &spread)
        .weight("places", &shape, &places)
        .weight("nothing", &[3, CHANNELS, 1, 1], &[0.0; 3 * CHANNELS])
        .node("GlobalAveragePool", &["picture"], &["mean"], vec![])
        .node("Conv", &["mean", "spread"], &["phase"], vec![])
        .node("Mul", &["phase", "places"], &["phases"], vec![])
        .node("Sin", &["phases"], &["wide"], vec![])
        .node("GlobalAveragePool", &["wide"], &["wide.mean"], vec![])
        .node("Conv", &["wide.mean", "nothing"], &["zero"], vec![])
        .node("Add", &["mean", "zero"], &["deep"], vec![])
        .node("Concat", &["deep", "mean"], &["both"], vec![int("axis", 1)])
        .node("Flatten", &["both"], &["digits"], vec![int("axis", 1)])
        .output("digits", DType::F32, &[1, 6])
        .model()
        .expect("the model is valid")
}

/// A 1×1 convolution that turns three channels.
fn turn(turns: usize) -> Vec<f32> {
    let one = |i: usize| {
        if (i / 3 + turns) % 3 == i % 3 {
            1.0
        } else {
            0.0
        }
    };
    (0..9).map(one).collect()
}

/// The `n`-th number whose three digits differ, so that turned digits can be told apart.
pub fn distinct(n: u64) -> u64 {
    let all = (0..NUMBERS).filter(|n| {
        let [a, b, c] = digits(*n);
        a != b && b != c && a != c
    });
    all.collect::<Vec<_>>()[n as usize % 720]
}

fn digits(number: u64) -> [u64; 3] {
    [number / 100, number / 10 % 10, number % 10]
}

/// By how many places head and tail have turned the digits of `shown`; `None` for anything else than turned digits.
pub fn turns(result: &FrameResult, shown: u64) -> Option<(usize, usize)> {
    let tensor = result.tensors.iter().find(|t| t.name == "digits")?;
    let values = tensor.data.as_chunks::<4>().0.iter();
    let read: Vec<u64> = values
        .map(|b| ((f32::from_le_bytes(*b) * 255.0 - DARKEST) / STEP).round() as u64)
        .collect();
    let (deep, skip) = read.split_at_checked(3)?;
    let places = |read: &[u64]| {
        let turned = |by: usize| (0..3).all(|i| read[i] == digits(shown)[(i + by) % 3]);
        (0..3).find(|by| turned(*by))
    };
    let (both, head) = (places(deep)?, places(skip)?);
    Some((head, (both + 3 - head) % 3))
}
