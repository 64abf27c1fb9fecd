// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Pictures of a scene, drawn before anything is measured, with what is really on them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use splitinfer_evaluate::Actual;
use splitinfer_evaluate::truth::read_scene_frame;

use crate::measure;

pub const WIDTH: u32 = 640;
pub const HEIGHT: u32 = 360;
/// None of those that the models were trained on.
const SEED: u32 = 900_100;

/// See the module's documentation.
pub struct Film {
    frames: Vec<gst::Buffer>,
    pub caps: gst::Caps,
    /// In pixels of the frame.
    pub truth: Vec<Vec<Actual>>,
    pub interval: Duration,
}

impl Film {
    /// Draws `count` pictures of what so many a second would show.
    ///
    /// # Errors
    /// When the scene cannot be drawn.
    pub fn draw(scene: &str, rate: u32, count: usize) -> Result<Self> {
        let source = format!(
            "scenesrc scene={scene} seed={SEED} ! video/x-raw,width={WIDTH},height={HEIGHT},framerate={rate}/1"
        );
        let (caps, frames) = measure::frames(&source, count)?;
        let truth = frames
            .iter()
            .map(|frame| truth(frame))
            .collect::<Result<_>>()?;
        Ok(Self {
            frames,
            caps,
            truth,
            interval: Duration::from_secs(1) / rate,
        })
    }

    pub fn len(&self) -> usize {
        self.frames.len()
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Shows them all, each at its time, as a camera does: what is behind does not hold it up. `before` is told the number of
    /// each.
    ///
    /// # Errors
    /// When the pipeline takes no more.
    pub fn show(&self, out: &gst_app::AppSrc, mut before: impl FnMut(usize)) -> Result<()> {
        let begun = Instant::now();
        for (number, frame) in self.frames.iter().enumerate() {
            let due = self.interval * u32::try_from(number)?;
            std::thread::sleep((begun + due).saturating_duration_since(Instant::now()));
            before(number);
            let mut buffer = frame.copy();
            let writable = buffer.get_mut().context("a new buffer is ours")?;
            writable.set_pts(gst::ClockTime::try_from(due)?);
            writable.set_duration(gst::ClockTime::try_from(self.interval)?);
            writable.set_offset(number as u64);
            out.push_buffer(buffer)?;
        }
        out.end_of_stream()?;
        Ok(())
    }
}

fn truth(frame: &gst::BufferRef) -> Result<Vec<Actual>> {
    let meta = gst::meta::CustomMeta::from_buffer(frame, "SplitInferTruth");
    let meta = meta.context("a picture of a scene without its truth")?;
    let json: String = meta.structure().get("json")?;
    Ok(read_scene_frame(&json)?.2)
}
