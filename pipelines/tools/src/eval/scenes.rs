// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Scenes with known truth as what models are run on.

use super::labels::Labels;
use super::pipeline::{Inference, make, picture, set};
use super::{Scenes, plugins, results};
use anyhow::{Context, Result};
use gst::prelude::*;
use splitinfer_evaluate::truth::read_scene_frame;
use splitinfer_evaluate::{Actual, Frame};

/// Frames with results and truth, and the domain that the scene says each is of.
pub(super) type Seen = Vec<(String, Frame)>;

/// Identities of different scenes are different.
const SCENE_SHIFT: u32 = 32;

/// Runs the model on the scenes of one domain, one after another in one stream.
///
/// # Errors
/// When an element is missing or fails, for example for a domain that cannot be understood.
pub(super) fn run(
    inference: Inference,
    scenes: &Scenes,
    domain: &str,
    frames: u64,
    labels: &Labels,
    mut step: impl FnMut(),
) -> Result<Seen> {
    plugins::need("scenesrc", "gstadapt")?;
    attach(&inference, scenes, domain, frames)?;
    let mut seen = Seen::new();
    inference.run(|number, sample| {
        let buffer = picture(sample)?;
        let (scene_domain, actual) = truth(buffer, number / frames)?;
        let found = match splitinfer_meta::read(buffer) {
            Some(result) => results::objects(result)?,
            None => Vec::new(),
        };
        let frame = Frame {
            number,
            found: labels.found(found),
            actual: labels.actual(actual),
        };
        seen.push((scene_domain, frame));
        step();
        Ok(true)
    })?;
    Ok(seen)
}

/// `scenesrc ! caps ! concat`, for each scene one.
fn attach(inference: &Inference, scenes: &Scenes, domain: &str, frames: u64) -> Result<()> {
    let concat = make("concat")?;
    inference.pipeline.add(&concat)?;
    concat.link(&inference.edge)?;
    let side = |v: u32| i32::try_from(v).context("a side of the picture is too long");
    let caps = gst::Caps::builder("video/x-raw")
        .field("width", side(scenes.width)?)
        .field("height", side(scenes.height)?)
        .field(
            "framerate",
            gst::Fraction::new(scenes.rate.0, scenes.rate.1),
        )
        .build();
    for seed in scenes.seed..scenes.seed.saturating_add(scenes.count) {
        let source = make("scenesrc")?;
        set(&source, "scene", &scenes.kind)?;
        set(&source, "scenario", &scenes.scenario)?;
        source.set_property("seed", seed);
        source.set_property("domain", domain);
        source.set_property(
            "num-buffers",
            i32::try_from(frames).context("too many frames")?,
        );
        inference.pipeline.add(&source)?;
        source.link_filtered(&concat, &caps)?;
    }
    Ok(())
}

/// What the scene says about its frame.
fn truth(buffer: &gst::BufferRef, scene: u64) -> Result<(String, Vec<Actual>)> {
    let meta = gst::meta::CustomMeta::from_buffer(buffer, "SplitInferTruth")
        .context("a frame of the scene came without its truth")?;
    let json: &str = meta.structure().get("json").context("the scene's truth")?;
    let (_, domain, mut actual) = read_scene_frame(json)?;
    for object in &mut actual {
        object.track = object.track.map(|t| t + (scene << SCENE_SHIFT));
    }
    Ok((domain, actual))
}
