// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the element costs: against a bare ONNX Runtime loop over the same frames, stage by stage, and in frames a second
//! through two processes. `tests/measure.sh overhead [--quick]`.

use std::time::Instant;

use anyhow::{Context, Result};
use gst::prelude::*;
use splitinfer_runtime::SessionOptions;
use splitinfer_tests::measure::{self, Subject, median, ms};
use splitinfer_tests::model::LocalModel;
use splitinfer_tests::process::Server;

/// ONNX Runtime's threads on both sides of every comparison.
const THREADS: usize = 1;

fn main() -> Result<()> {
    let quick = std::env::args().any(|a| a == "--quick");
    splitinfer_tests::init();
    println!("# Overhead of the elements\n\n{}\n", measure::machine());
    let subjects = measure::subjects();
    anyhow::ensure!(!subjects.is_empty(), "there is no model to measure with");
    let (rounds, frames) = if quick { (5, 40) } else { (11, 100) };

    println!("## Element against a bare loop\n");
    println!(
        "One thread; {rounds} rounds of {frames} frames, in turn: *bare* prepares each frame, runs the session and reads the \
         head in a loop without GStreamer; *inference* is `session.run` alone; *element* is `appsrc ! splitinfer-edge ! \
         fakesink`. Medians; the ratio is taken round by round.\n"
    );
    println!(
        "| model | frame | inference ms | bare ms | element ms | element over bare % | element over inference % |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut worst = f64::NEG_INFINITY;
    for subject in &subjects {
        worst = worst.max(compare(subject, rounds, frames)?);
    }

    println!("\n## Two processes on this machine\n");
    println!(
        "Edge and server share the processor, {} frames as fast as they go, `max-in-flight=4`. Stages are means a frame.\n",
        frames * 2
    );
    println!(
        "| model | split | frames/s | by server % | latency p50 / p99 ms | bytes/frame | prepare | head | encode | decode | tail ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let mut pose = None;
    for subject in &subjects {
        let best = two_processes(subject, frames * 2)?;
        if subject.name == "walker-student" {
            pose = Some(best);
        }
    }
    let pose = pose.map_or("null".to_owned(), |fps| format!("{fps:.1}"));
    println!("\n{{\"element_over_bare_pct\": {worst:.2}, \"fps_pipelined\": {pose}}}");
    Ok(())
}

/// One row of the first table; the element's time over the bare loop's, in percent.
fn compare(subject: &Subject, rounds: usize, count: usize) -> Result<f64> {
    let (caps, frames) = measure::frames(&subject.source, count)?;
    let video = gst_video::VideoInfo::from_caps(&caps)?;
    let options = SessionOptions {
        threads: THREADS,
        ..SessionOptions::default()
    };
    let mut model = LocalModel::load(&subject.model, &options)?;
    bare(&mut model, &frames, &video, true)?;
    let element = Element::new(subject, &caps)?;
    element.run(&frames)?;
    let bar = measure::progress(rounds);
    bar.set_message(subject.name.clone());
    let (mut alone, mut loops, mut elements, mut ratios, mut over) =
        (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        let inference = bare(&mut model, &frames, &video, false)?;
        let whole = bare(&mut model, &frames, &video, true)?;
        let through = element.run(&frames)?;
        alone.push(inference);
        loops.push(whole);
        elements.push(through);
        ratios.push((through / whole - 1.0) * 100.0);
        over.push((through / inference - 1.0) * 100.0);
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!(
        "| {} | {}×{} | {:.2} | {:.2} | {:.2} | {:+.1} | {:+.1} |",
        subject.name,
        video.width(),
        video.height(),
        median(&alone),
        median(&loops),
        median(&elements),
        median(&ratios),
        median(&over),
    );
    Ok(median(&ratios))
}

/// The loop that a program without GStreamer would run: milliseconds a frame. With `everything`, preparing the frame and
/// reading the head included.
fn bare(
    model: &mut LocalModel,
    frames: &[gst::Buffer],
    video: &gst_video::VideoInfo,
    everything: bool,
) -> Result<f64> {
    let first = model.picture(frames.first().context("no frames")?, video)?;
    let first = model.tensor(&first)?;
    let begun = Instant::now();
    for buffer in frames {
        if everything {
            let picture = model.picture(buffer, video)?;
            let tensor = model.tensor(&picture)?;
            let outputs = model.split.whole(&tensor)?;
            std::hint::black_box(model.read(&outputs)?);
        } else {
            std::hint::black_box(model.split.whole(&first)?);
        }
    }
    Ok(ms(begun.elapsed()) / frames.len() as f64)
}

/// The element between an appsrc and a fakesink, playing.
struct Element {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    edge: gst::Element,
}

impl Element {
    fn new(subject: &Subject, caps: &gst::Caps) -> Result<Self> {
        let edge = gst::ElementFactory::make("splitinfer-edge")
            .property("model", subject.model.to_string_lossy().as_ref())
            .property("threads", THREADS as u32)
            .build()?;
        let source = gst_app::AppSrc::builder()
            .caps(caps)
            .format(gst::Format::Time)
            .block(true)
            .max_bytes(4 << 20)
            .build();
        let sink = gst::ElementFactory::make("fakesink")
            .property("sync", false)
            .build()?;
        let pipeline = gst::Pipeline::new();
        let elements = [source.upcast_ref(), &edge, &sink];
        pipeline.add_many(elements)?;
        gst::Element::link_many(elements)?;
        pipeline.set_state(gst::State::Playing)?;
        Ok(Self {
            pipeline,
            source,
            edge,
        })
    }

    fn frames_out(&self) -> Result<u64> {
        Ok(self
            .edge
            .property::<gst::Structure>("stats")
            .get("frames")?)
    }

    /// Milliseconds a frame, until the last one has left the element.
    fn run(&self, frames: &[gst::Buffer]) -> Result<f64> {
        let goal = self.frames_out()? + frames.len() as u64;
        let begun = Instant::now();
        for buffer in frames {
            self.source.push_buffer(buffer.clone())?;
        }
        while self.frames_out()? < goal {
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
        Ok(ms(begun.elapsed()) / frames.len() as f64)
    }
}

impl Drop for Element {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Rows of the second table; the most frames a second of any split that uses the server.
fn two_processes(subject: &Subject, count: usize) -> Result<f64> {
    let model = subject.model.to_string_lossy();
    let server = Server::start(&[&format!("model={model}"), &format!("threads={THREADS}")]);
    let (caps, frames) = measure::frames(&subject.source, count)?;
    let element = Element::connected(subject, &caps, &server.address())?;
    let stats: gst::Structure = element.edge.property("stats");
    let rows = stats.get::<gst::Array>("candidates")?;
    let mut splits = vec!["edge".to_owned()];
    for row in rows.iter() {
        splits.push(row.get::<gst::Structure>()?.get("name")?);
    }
    splits.push("server".to_owned());
    drop(element);
    let bar = measure::progress(splits.len());
    let mut best = 0.0f64;
    for split in splits {
        bar.set_message(format!("{} {split}", subject.name));
        let element = Element::connected(subject, &caps, &server.address())?;
        element.edge.set_property("split", &split);
        element.run(&frames)?;
        let stats: gst::Structure = element.edge.property("stats");
        let fps: f64 = stats.get("fps")?;
        if split != "edge" {
            best = best.max(fps);
        }
        let number = |name: &str| stats.get::<f64>(name).unwrap_or(f64::NAN);
        bar.suspend(|| {
            println!(
                "| {} | `{}` | {fps:.1} | {:.0} | {:.1} / {:.1} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
                subject.name,
                measure::short(&split),
                stats.get::<u64>("completed-server").unwrap_or(0) as f64 * 100.0 / frames.len() as f64,
                number("latency-p50"),
                number("latency-p99"),
                stats.get::<u64>("bytes-per-frame").unwrap_or(0),
                number("prepare-ms"),
                number("infer-ms"),
                number("encode-ms"),
                number("server-decode-ms"),
                number("server-compute-ms"),
            );
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(best)
}

impl Element {
    /// As [`new`](Self::new), and connected to a server.
    fn connected(subject: &Subject, caps: &gst::Caps, address: &str) -> Result<Self> {
        let element = Self::new(subject, caps)?;
        element.pipeline.set_state(gst::State::Null)?;
        element.edge.set_property("server", address);
        element.edge.set_property("latency-budget", 2000u32);
        element.pipeline.set_state(gst::State::Playing)?;
        let begun = Instant::now();
        while element
            .edge
            .property::<gst::Structure>("stats")
            .get::<bool>("connected")
            != Ok(true)
        {
            anyhow::ensure!(begun.elapsed().as_secs() < 60, "the server does not answer");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Ok(element)
    }
}
