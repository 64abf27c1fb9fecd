// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One run: a film through an edge, a link, and a server in a process of its own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gst::prelude::*;
use splitinfer_evaluate::Found;
use splitinfer_link::Trace;
use splitinfer_meta::{Completed, FrameResult};
use splitinfer_tools::network::{Forward, Relay};

use super::film::Film;
use crate::measure::ms;
use crate::process::{Server, free_port};

/// Frames at the beginning on the link without loss, which do not count.
pub const WARM_UP: usize = 60;
const PATIENCE: Duration = Duration::from_secs(60);

/// What is played.
pub struct Play<'a> {
    pub model: PathBuf,
    /// Of `splitinfer-edge`.
    pub properties: Vec<(&'a str, String)>,
    /// Before and after [`WARM_UP`].
    pub links: [&'a str; 2],
    pub seed: u64,
}

/// A frame as it came out.
pub struct Seen {
    pub number: usize,
    /// From its arrival at the element to its result, ms.
    pub latency: f64,
    pub completed: Completed,
    pub received: Option<f64>,
    pub found: Vec<Found>,
}

/// What came of it.
pub struct Run {
    /// Without those of the warm-up.
    pub frames: Vec<Seen>,
    pub bytes_a_frame: u64,
}

/// Plays the film once.
///
/// # Errors
/// When something does not start, connect, or end.
pub fn play(film: &Film, play: &Play<'_>) -> Result<Run> {
    let server = Server::listening(&[
        &format!("model={}", play.model.display()),
        "monitor-port=-1",
    ]);
    let near = free_port();
    let address = |port| format!("127.0.0.1:{port}").parse();
    let forward = Forward {
        near: address(near)?,
        far: address(server.port())?,
    };
    let link = |text: &str| text.parse::<Trace>().map(Arc::new);
    let relay = Relay::start(&[forward], link(play.links[0])?, Instant::now(), play.seed)?;
    let pipeline = Pipeline::start(film, play, near)?;
    pipeline.wait_for_server()?;
    let lossy = link(play.links[1])?;
    film.show(&pipeline.source, |number| {
        if number == WARM_UP {
            relay.change(lossy.clone());
        }
    })?;
    pipeline.wait_for_end()?;
    let stats: gst::Structure = pipeline.edge.property("stats");
    let mut frames = std::mem::take(&mut *pipeline.seen.lock().unwrap());
    frames.retain(|frame| frame.number >= WARM_UP);
    Ok(Run {
        frames,
        bytes_a_frame: stats.get("bytes-per-frame").unwrap_or_default(),
    })
}

struct Pipeline {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    edge: gst::Element,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Pipeline {
    fn start(film: &Film, play: &Play<'_>, port: u16) -> Result<Self> {
        // As a camera: while the element is busy only the newest picture is kept.
        let text = "appsrc name=camera is-live=true format=time max-buffers=0 max-bytes=0 \
             ! queue leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0 \
             ! splitinfer-edge name=edge ! appsink name=out sync=false qos=false";
        let pipeline = gst::parse::launch(text)?.downcast::<gst::Pipeline>();
        let pipeline = pipeline.ok().context("not a pipeline")?;
        let named = |name| pipeline.by_name(name).context("no such element");
        let edge = named("edge")?;
        edge.set_property("model", play.model.to_str());
        edge.set_property("server", format!("127.0.0.1:{port}"));
        for (name, value) in &play.properties {
            edge.set_property_from_str(name, value);
        }
        let source = named("camera")?.downcast::<gst_app::AppSrc>();
        let source = source.ok().context("no appsrc")?;
        source.set_caps(Some(&film.caps));
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let note = seen.clone();
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let frame = sample.buffer().and_then(Seen::new);
            note.lock().unwrap().extend(frame);
            Ok(gst::FlowSuccess::Ok)
        });
        let out = named("out")?.downcast::<gst_app::AppSink>();
        out.ok()
            .context("no appsink")?
            .set_callbacks(callbacks.build());
        pipeline.set_state(gst::State::Playing)?;
        Ok(Self {
            pipeline,
            source,
            edge,
            seen,
        })
    }

    fn wait_for_server(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let stats: gst::Structure = self.edge.property("stats");
            if stats.get("connected") == Ok(true) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("the server is not there: {stats}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_for_end(&self) -> Result<()> {
        let bus = self.pipeline.bus().context("no bus")?;
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        match bus.timed_pop_filtered(gst::ClockTime::try_from(PATIENCE).ok(), &kinds) {
            Some(message) if message.type_() == gst::MessageType::Eos => Ok(()),
            other => bail!("the stream does not end well: {other:?}"),
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Seen {
    fn new(buffer: &gst::BufferRef) -> Option<Self> {
        let result = splitinfer_meta::read(buffer)?;
        Some(Self {
            number: usize::try_from(buffer.offset()).ok()?,
            latency: ms(result.latency.into()),
            completed: result.completed,
            received: result.received,
            found: found(&result),
        })
    }
}

fn found(result: &FrameResult) -> Vec<Found> {
    let objects = result.objects.iter().map(|object| Found {
        label: object.label.clone(),
        score: f64::from(object.score),
        bbox: object.box_.map(f64::from),
        keypoints: object.keypoints.iter().map(|k| k.map(f64::from)).collect(),
        ..Found::default()
    });
    objects.collect()
}
