// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where the models can be cut, what crosses there, and whether the objects stay the same: `tests/measure.sh cuts [--quick]`.

use anyhow::{Context, Result};
use splitinfer_runtime::SessionOptions;
use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{AUTO, AUTO_BITS, Limits, decoder, encoder, picture};
use splitinfer_tests::measure::{self, Subject, median, ms};
use splitinfer_tests::model::{LocalModel, largest_difference, matches};
use splitinfer_video::{VideoDecoder, VideoEncoder};
use splitinfer_vision::{Object, Picture};

/// As the element encodes it.
const JPEG_QUALITY: u8 = 90;

fn main() -> Result<()> {
    let quick = std::env::args().any(|a| a == "--quick");
    splitinfer_tests::init();
    let frames = if quick { 10 } else { 60 };
    println!("# Cuts\n\n{}\n", measure::machine());
    println!(
        "One thread; {frames} frames of each video, evenly spread over its first {}. *Coded*: {AUTO_BITS} bits, each frame by \
         itself (what a stream takes, `tensor-code` measures), median bytes a frame; *of JPEG*: against the JPEG (quality {JPEG_QUALITY}) of the model's input picture. \
         *As H.264*: as `splitinfer-edge` sends it as a video, each from the one {STEP} frames before. \
         *Exact*: largest difference of any output, tail after head against the whole model. *F1*: objects after coding \
         against those of the whole model on the untouched frame (same class, IoU ≥ 0.5; keypoints within 5 % of the \
         person's size).",
        frames * STEP
    );
    let mut worst = 0.0f32;
    let mut best = f64::INFINITY;
    for subject in measure::subjects() {
        let (difference, ratio) = table(&subject, frames)?;
        worst = worst.max(difference);
        best = best.min(ratio);
    }
    println!("\n{{\"max_output_difference\": {worst:e}, \"smallest_cut_over_jpeg\": {best:.2}}}");
    Ok(())
}

/// Frames between two that are used: neighbours are nearly the same.
const STEP: usize = 5;

/// What one way of sending the work does to the frames of a video.
#[derive(Default)]
struct Row {
    bytes: Vec<f64>,
    hits: usize,
    found: usize,
    difference: f32,
}

impl Row {
    fn f1(&self, expected: usize) -> f64 {
        let total = self.found + expected;
        if total == 0 {
            1.0
        } else {
            2.0 * self.hits as f64 / total as f64
        }
    }

    fn add(&mut self, bytes: usize, found: &[Object], expected: &[Object]) {
        self.bytes.push(bytes as f64);
        self.hits += matches(found, expected);
        self.found += found.len();
    }
}

/// Prints the table of one model; the largest difference, and the smallest cut over the JPEG.
fn table(subject: &Subject, count: usize) -> Result<(f32, f64)> {
    let options = SessionOptions {
        threads: 1,
        ..SessionOptions::default()
    };
    let mut model = LocalModel::load(&subject.model, &options)?;
    let (caps, frames) = measure::frames(&subject.source, count * STEP)?;
    let video = gst_video::VideoInfo::from_caps(&caps)?;
    let candidates = model.split.candidates().to_vec();
    let mut rows: Vec<Row> = candidates.iter().map(|_| Row::default()).collect();
    let mut jpeg = Row::default();
    let mut film = Film::new(&model);
    let mut expected_total = 0;
    let bar = measure::progress(count);
    bar.set_message(subject.name.clone());
    for buffer in frames.iter().step_by(STEP) {
        let seen = model.picture(buffer, &video)?;
        let input = model.tensor(&seen)?;
        let whole = model.split.whole(&input)?;
        let expected = model.read(&whole)?;
        expected_total += expected.len();
        for (i, row) in rows.iter_mut().enumerate() {
            let tensors = model.split.head(i, &input)?;
            let exact = model.split.tail(i, &tensors)?;
            row.difference = row.difference.max(largest_difference(&exact, &whole));
            let (bytes, received) = through_code(&tensors)?;
            let found = model.read(&model.split.tail(i, &received)?)?;
            row.add(bytes, &found, &expected);
        }
        let (bytes, received) = through_jpeg(&seen)?;
        jpeg.add(bytes, &objects(&mut model, &received)?, &expected);
        if let Some(film) = &mut film {
            let (bytes, received) = film.pass(&seen)?;
            let found = objects(&mut model, &received)?;
            film.row.add(bytes, &found, &expected);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let profile = model.split.profile(if count < 20 { 5 } else { 30 })?;

    println!(
        "\n## {} ({}×{} video, {expected_total} objects)\n",
        subject.name,
        video.width(),
        video.height()
    );
    println!("Whole model: {:.2} ms.\n", ms(profile.whole));
    println!(
        "| # | tensors | shapes | MACs here % | head ms | tail ms | raw kB | coded kB | of JPEG | exact | F1 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let jpeg_bytes = median(&jpeg.bytes);
    for (i, (cut, row)) in candidates.iter().zip(&rows).enumerate() {
        let shapes: Vec<String> = cut.tensors.iter().map(|t| shape(&t.shape)).collect();
        println!(
            "| {i} | `{}` | {} | {:.0} | {:.2} | {:.2} | {:.1} | {:.1} | {:.2} | {:.1e} | {:.3} |",
            measure::short(&cut.name),
            shapes.join(" + "),
            cut.head_macs as f64 * 100.0 / (cut.head_macs + cut.tail_macs).max(1) as f64,
            ms(profile.head[i]),
            ms(profile.tail[i]),
            cut.raw_bytes as f64 / 1e3,
            median(&row.bytes) / 1e3,
            median(&row.bytes) / jpeg_bytes,
            row.difference,
            row.f1(expected_total),
        );
    }
    let film = film.iter().map(|film| ("H.264", &film.row));
    for (name, row) in [("JPEG", &jpeg)].into_iter().chain(film) {
        println!(
            "| – | the picture, as {name} | {}×{} | 0 | 0 | {:.2} | {:.1} | {:.1} | {:.2} | – | {:.3} |",
            model.info.input.width,
            model.info.input.height,
            ms(profile.whole),
            f64::from(model.info.input.width * model.info.input.height * 3) / 1e3,
            median(&row.bytes) / 1e3,
            median(&row.bytes) / jpeg_bytes,
            row.f1(expected_total),
        );
    }
    let smallest = rows
        .iter()
        .map(|r| median(&r.bytes) / jpeg_bytes)
        .fold(f64::INFINITY, f64::min);
    let worst = rows.iter().map(|r| r.difference).fold(0.0, f32::max);
    Ok((worst, smallest))
}

/// The picture as the element sends it as a video.
struct Film {
    encoder: VideoEncoder,
    decoder: VideoDecoder,
    row: Row,
}

impl Film {
    /// `None`, and says so, without the codecs.
    fn new(model: &LocalModel) -> Option<Self> {
        let (width, height) = (model.info.input.width, model.info.input.height);
        let codecs = VideoEncoder::new(None, width, height)
            .and_then(|encoder| Ok((encoder, VideoDecoder::new(width, height)?)));
        match codecs {
            Ok((encoder, decoder)) => Some(Self {
                encoder,
                decoder,
                row: Row::default(),
            }),
            Err(problem) => {
                eprintln!("skipped: H.264, {problem}");
                None
            }
        }
    }

    fn pass(&mut self, seen: &Picture) -> Result<(usize, Picture)> {
        let key = self.row.bytes.is_empty();
        let coded = self.encoder.encode(seen, key)?;
        Ok((coded.bytes.len(), self.decoder.decode(&coded.bytes)?))
    }
}

fn objects(model: &mut LocalModel, seen: &Picture) -> Result<Vec<Object>> {
    let input = model.tensor(seen)?;
    let outputs = model.split.whole(&input)?;
    model.read(&outputs)
}

fn through_code(tensors: &[Tensor]) -> Result<(usize, Vec<Tensor>)> {
    let bytes = encoder().encode(0, tensors, AUTO)?;
    let received = decoder().decode(&bytes, &Limits::default())?;
    Ok((bytes.len(), received))
}

fn through_jpeg(seen: &Picture) -> Result<(usize, Picture)> {
    let bytes = picture::encode_jpeg(&seen.rgb, seen.width, seen.height, JPEG_QUALITY)?;
    let (width, height, rgb) = picture::decode_jpeg(&bytes, &Limits::default())?;
    Ok((
        bytes.len(),
        Picture::new(width, height, rgb).context("the JPEG came back")?,
    ))
}

fn shape(dims: &[usize]) -> String {
    dims.iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join("×")
}
