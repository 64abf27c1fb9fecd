// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How many bytes updates take, and what their coding does to the outputs.

use std::time::Instant;

use anyhow::{Context, Result};
use splitinfer_graph::Model;
use splitinfer_runtime::{Session, SessionOptions};
use splitinfer_tensor::Tensor;
use splitinfer_weights::{Encoding, Precision, Versions, encode};

use crate::measure::{self, Subject, median, ms};
use crate::model::LocalModel;
use crate::trainer::{EXACT, nudged};

/// An update so often, in seconds, for the rate: as AMS sends them.
const INTERVAL: f64 = 10.0;
/// Change of each version, as a share of each tensor's size.
const CHANGES: [f32; 3] = [0.01, 0.02, 0.05];

/// Figures of the default coding, the worst of all changes.
pub struct Default {
    pub kbit_s: f64,
    pub bits_per_parameter: f64,
    /// Of the outputs, in percent of what the training changed them by.
    pub error_pct: f64,
}

struct Row {
    bits: f64,
    bytes: f64,
    full: f64,
    changed: f64,
    /// Of the outputs: what coding changed over what training changed, and over their size.
    of_change: f64,
    of_size: f64,
    encode_ms: f64,
    decode_ms: f64,
}

/// Prints a table for each student; the figures of the default coding.
///
/// # Errors
/// When a model cannot be run.
pub fn tables(students: &[&Subject], quick: bool) -> Result<Vec<Default>> {
    let versions = if quick { 2 } else { 5 };
    println!(
        "## Bytes\n\nEach version changes every tensor by so many percent of its root mean square, a change of rank two with a \
         fifth of noise (not a real training yet); {versions} versions in a row from the same file, means. *Coding*: the largest \
         step. *bits* a parameter \
         of the model; *full*: an update from the file to the last version; *kbit/s*: an update every {INTERVAL} s. \
         *Error*: ‖y(coded) − y(trained)‖ on frames of the scene, in percent of what the training changed since the file, and \
         of the outputs.\n"
    );
    let mut all = Vec::new();
    for subject in students {
        all.push(table(subject, versions)?);
    }
    Ok(all)
}

fn table(subject: &Subject, versions: u64) -> Result<Default> {
    let base = Model::load(&subject.model)?;
    let outputs = Outputs::new(subject)?;
    let raw = base.to_bytes().len();
    println!("### {}, {raw} bytes\n", subject.name);
    println!(
        "| change % | coding | bits | bytes | kbit/s | changed % | full bytes | error, of the change % | of the outputs % | encode ms | decode ms |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut default = Default {
        kbit_s: 0.0,
        bits_per_parameter: 0.0,
        error_pct: 0.0,
    };
    for change in CHANGES {
        for (name, how) in codings() {
            let row = run(&base, &outputs, change, &how, versions)?;
            let kbit_s = row.bytes * 8.0 / INTERVAL / 1e3;
            println!(
                "| {:.0} | {name} | {:.2} | {:.0} | {kbit_s:.1} | {:.1} | {:.0} | {:.2} | {:.3} | {:.1} | {:.1} |",
                change * 100.0,
                row.bits,
                row.bytes,
                row.changed * 100.0,
                row.full,
                row.of_change * 100.0,
                row.of_size * 100.0,
                row.encode_ms,
                row.decode_ms
            );
            if how == Encoding::default() {
                default.kbit_s = default.kbit_s.max(kbit_s);
                default.bits_per_parameter = default.bits_per_parameter.max(row.bits);
                default.error_pct = default.error_pct.max(row.of_change * 100.0);
            }
        }
        if versions > 2 || change == CHANGES[1] {
            generic(&base, change)?;
        }
    }
    println!();
    Ok(default)
}

fn codings() -> Vec<(String, Encoding)> {
    let with = |precision, share| Encoding { precision, share };
    let mut all = vec![("every bit".to_owned(), EXACT)];
    for divisor in [8.0, 4.0, 2.0, 1.0] {
        let precision = Precision::OfChange(1.0 / divisor);
        all.push((format!("1/{divisor} of the change"), with(precision, 1.0)));
    }
    let precision = Precision::OfSize(1.0 / 64.0);
    all.push(("1/64 of the tensor".to_owned(), with(precision, 1.0)));
    for share in [0.2, 0.05] {
        let name = format!("1/4 of the change, {:.0} % of them", share * 100.0);
        all.push((name, with(Precision::OfChange(0.25), share)));
    }
    all
}

fn run(base: &Model, outputs: &Outputs, change: f32, how: &Encoding, count: u64) -> Result<Row> {
    let mut sender = Versions::new(base.clone());
    let mut trained = base.clone();
    let (mut bytes, mut changed, mut parameters) = (0.0, 0.0, 1.0);
    let (mut encoding, mut decoding) = (Vec::new(), Vec::new());
    for version in 1..=count {
        trained = nudged(&trained, change, version);
        let begun = Instant::now();
        let coded = encode(&sender, version, &trained, how)?;
        encoding.push(ms(begun.elapsed()));
        let begun = Instant::now();
        let (_, received) = sender.read(&coded.bytes)?;
        decoding.push(ms(begun.elapsed()));
        bytes += coded.bytes.len() as f64 / count as f64;
        parameters = coded.parameters as f64;
        changed += coded.changed as f64 / parameters / count as f64;
        sender.adopt(version, received);
    }
    let full = sender.full()?.context("there are versions")?;
    let (before, wanted) = (outputs.of(base)?, outputs.of(&trained)?);
    let there = outputs.of(sender.newest().1)?;
    let error = distance(&there, &wanted);
    Ok(Row {
        bits: bytes * 8.0 / parameters,
        bytes,
        full: full.bytes.len() as f64,
        changed,
        of_change: error / distance(&wanted, &before),
        of_size: error / distance(&wanted, &vec![0.0; wanted.len()]),
        encode_ms: median(&encoding),
        decode_ms: median(&decoding),
    })
}

/// What a general compressor makes of the same.
fn generic(base: &Model, change: f32) -> Result<()> {
    let trained = nudged(base, change, 1);
    let (old, new) = (weights(base), weights(&trained));
    let compressed = |bytes: &[u8]| -> Result<usize> { Ok(zstd::encode_all(bytes, 19)?.len()) };
    let halves: Vec<u8> = new
        .iter()
        .flat_map(|v| half::f16::from_f32(*v).to_le_bytes())
        .collect();
    let singles: Vec<u8> = new.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mixed: Vec<u8> = {
        let pairs = old.iter().zip(&new);
        pairs
            .flat_map(|(a, b)| (a.to_bits() ^ b.to_bits()).to_le_bytes())
            .collect()
    };
    for (name, bytes) in [
        ("all weights, zstd 19", compressed(&singles)?),
        ("all weights as halves, zstd 19", compressed(&halves)?),
        ("bits that differ, zstd 19", compressed(&mixed)?),
    ] {
        println!(
            "| {:.0} | {name} | {:.2} | {bytes} | {:.1} | | | | | | |",
            change * 100.0,
            bytes as f64 * 8.0 / new.len() as f64,
            bytes as f64 * 8.0 / INTERVAL / 1e3,
        );
    }
    Ok(())
}

fn weights(model: &Model) -> Vec<f32> {
    let tensors = model.proto().graph.iter().flat_map(|g| &g.initializer);
    tensors
        .filter_map(crate::trainer::singles)
        .flatten()
        .collect()
}

/// The outputs of a model's versions on frames of its scene.
struct Outputs {
    input: String,
    shape: Vec<usize>,
    frames: Vec<Tensor>,
}

impl Outputs {
    fn new(subject: &Subject) -> Result<Self> {
        let mut local = LocalModel::load(&subject.model, &SessionOptions::default())?;
        let (caps, buffers) = measure::frames(&subject.source, 8)?;
        let video = gst_video::VideoInfo::from_caps(&caps)?;
        let mut frames = Vec::new();
        for buffer in &buffers {
            let picture = local.picture(buffer, &video)?;
            frames.push(local.tensor(&picture)?);
        }
        Ok(Self {
            input: local.info.input.name.clone(),
            shape: local.info.input.shape(),
            frames,
        })
    }

    fn of(&self, model: &Model) -> Result<Vec<f32>> {
        let sized = model.with_input_shape(&self.input, &self.shape)?;
        let session = Session::from_model(&sized, &SessionOptions::default())?;
        let mut all = Vec::new();
        for frame in &self.frames {
            let outputs = session.run(&[(&self.input, frame)])?;
            all.extend(outputs.into_iter().flat_map(|(_, t)| t.to_f32_vec()));
        }
        Ok(all)
    }
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
    squares.sum::<f64>().sqrt()
}
