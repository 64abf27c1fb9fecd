// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A video file as what models are run on.

use super::pipeline::{Inference, make, picture};
use super::results;
use crate::progress::Progress;
use anyhow::{Result, bail};
use gst::prelude::*;
use splitinfer_evaluate::Found;
use std::collections::BTreeMap;
use std::path::Path;

/// Runs the model on the frames of a file, on so many of the first or on all.
///
/// # Errors
/// When the file cannot be read or decoded here, or an element fails.
pub(super) fn run(
    inference: Inference,
    video: &Path,
    frames: Option<u64>,
    progress: &Progress,
) -> Result<BTreeMap<u64, Vec<Found>>> {
    std::fs::File::open(video)?;
    let source = make("filesrc")?;
    source.set_property("location", video);
    let (decoder, convert) = (make("decodebin")?, make("videoconvert")?);
    inference.pipeline.add_many([&source, &decoder, &convert])?;
    source.link(&decoder)?;
    convert.link(&inference.edge)?;
    // The decoder's pads come when it knows what the file holds; sound has no place here.
    decoder.connect_pad_added(move |_, pad| {
        let free = convert.static_pad("sink").filter(|sink| !sink.is_linked());
        let _ = free.map(|sink| pad.link(&sink));
    });
    let mut results = BTreeMap::new();
    let pipeline = inference.pipeline.clone();
    let count = inference.run(|number, sample| {
        if let (0, None) = (number, frames) {
            progress.expect(length(&pipeline, sample).unwrap_or(0));
        }
        let found = match splitinfer_meta::read(picture(sample)?) {
            Some(result) => results::objects(result)?,
            None => Vec::new(),
        };
        results.insert(number, found);
        progress.step();
        Ok(frames.is_none_or(|n| number + 1 < n))
    })?;
    if count == 0 {
        bail!("it has no pictures");
    }
    Ok(results)
}

/// Frames in the file, as far as that can be told.
fn length(pipeline: &gst::Pipeline, sample: &gst::SampleRef) -> Option<usize> {
    let duration = pipeline.query_duration::<gst::ClockTime>()?;
    let rate = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?.fps();
    let (n, d) = (
        u64::try_from(rate.numer()).ok()?,
        u64::try_from(rate.denom()).ok()?,
    );
    let seconds = gst::ClockTime::SECOND.nseconds();
    usize::try_from(
        duration
            .nseconds()
            .mul_div_round(n, d.checked_mul(seconds)?)?,
    )
    .ok()
}
