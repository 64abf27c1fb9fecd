// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The pipeline inside a Rust application: results from an appsink, messages from the bus, and a property changed while
//! it plays.
//!
//! ```text
//! GST_PLUGIN_PATH=target/gstreamer-1.0 splitinfer-embed-rust --model models/traffic-student.onnx
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use clap::Parser;
use gst::prelude::*;

/// Prints what a model finds on a video.
#[derive(Parser)]
struct Args {
    /// ONNX file; its .modelinfo beside it says how to feed and to read it.
    #[arg(long)]
    model: String,
    /// Video to play; a synthetic street without it.
    #[arg(long)]
    video: Option<String>,
    /// host:port of a splitinfer-server; everything runs here without it.
    #[arg(long)]
    server: Option<String>,
    /// Split to change to after `--change-after` frames.
    #[arg(long, default_value = "edge")]
    then_split: String,
    #[arg(long, default_value_t = 50)]
    change_after: u64,
    /// Frames of the synthetic street.
    #[arg(long, default_value_t = 150)]
    frames: u32,
}

fn main() -> Result<()> {
    let args = Args::parse();
    gst::init()?;
    let pipeline = build(&args)?;
    let inference = pipeline
        .by_name("inference")
        .context("the pipeline has no element 'inference'")?;
    let sink = pipeline
        .by_name("results")
        .and_downcast::<gst_app::AppSink>()
        .context("the pipeline has no appsink 'results'")?;

    let seen = Arc::new(AtomicU64::new(0));
    let splits = Arc::new(Mutex::new(Vec::<String>::new()));
    sink.set_callbacks(callbacks(&args, &inference, &seen, &splits));

    pipeline.set_state(gst::State::Playing)?;
    let ended = follow(&pipeline);
    let stats = inference.property::<gst::Structure>("stats");
    pipeline.set_state(gst::State::Null)?;
    ended?;
    println!(
        "{} frames, splits {:?}, {:.1} fps, latency p50 {:.1} ms",
        seen.load(Ordering::Relaxed),
        splits.lock().unwrap(),
        stats.get::<f64>("fps")?,
        stats.get::<f64>("latency-p50")?,
    );
    Ok(())
}

fn build(args: &Args) -> Result<gst::Pipeline> {
    let source = match &args.video {
        Some(file) => format!("filesrc location=\"{file}\" ! decodebin ! videoconvert"),
        None => format!(
            "scenesrc scene=traffic num-buffers={} ! videoconvert",
            args.frames
        ),
    };
    let text =
        format!("{source} ! splitinfer-edge name=inference ! appsink name=results sync=false");
    let pipeline = gst::parse::launch(&text)
        .context("cannot build the pipeline; is GST_PLUGIN_PATH set to the folder of the plugins?")?
        .downcast::<gst::Pipeline>()
        .map_err(|_| anyhow::anyhow!("not a pipeline"))?;
    let inference = pipeline
        .by_name("inference")
        .context("no element 'inference'")?;
    inference.set_property("model", &args.model);
    if let Some(server) = &args.server {
        inference.set_property("server", server);
    }
    Ok(pipeline)
}

/// Reads the result of each frame from the metadata on its buffer, and changes the split once.
fn callbacks(
    args: &Args,
    inference: &gst::Element,
    seen: &Arc<AtomicU64>,
    splits: &Arc<Mutex<Vec<String>>>,
) -> gst_app::AppSinkCallbacks {
    let (seen, splits, inference) = (Arc::clone(seen), Arc::clone(splits), inference.downgrade());
    let (change_after, then_split) = (args.change_after, args.then_split.clone());
    gst_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let Some(result) = sample.buffer().and_then(splitinfer_meta::read) else {
                return Ok(gst::FlowSuccess::Ok);
            };
            for object in &result.objects {
                let [x, y, w, h] = object.box_;
                println!(
                    "frame {:4}  {:12} {:.2}  at {x:.0},{y:.0}  {w:.0}x{h:.0}",
                    result.frame, object.label, object.score
                );
            }
            let mut splits = splits.lock().unwrap();
            if splits.last() != Some(&result.split) {
                splits.push(result.split);
            }
            if seen.fetch_add(1, Ordering::Relaxed) + 1 == change_after
                && let Some(inference) = inference.upgrade()
            {
                inference.set_property("split", &then_split);
            }
            Ok(gst::FlowSuccess::Ok)
        })
        .build()
}

/// Follows the bus to the end of the stream. A lost server is a warning: the pipeline goes on without it.
fn follow(pipeline: &gst::Pipeline) -> Result<()> {
    let bus = pipeline.bus().context("the pipeline has no bus")?;
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => bail!("{}", error.error()),
            gst::MessageView::Warning(warning) => eprintln!("warning: {}", warning.error()),
            gst::MessageView::Info(info) => eprintln!("info: {}", info.error()),
            gst::MessageView::Element(element) => {
                if let Some(plan) = element
                    .structure()
                    .filter(|s| s.name() == "splitinfer-plan")
                {
                    eprintln!("{plan}");
                }
            }
            _ => {}
        }
    }
    Ok(())
}
