// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Runs a model on frames: `… ! splitinfer-edge ! appsink`.

use super::plugins;
use crate::playing::Playing;
use anyhow::{Context, Result, anyhow};
use gst::glib;
use gst::prelude::*;
use std::path::Path;

/// Neither the start of a large model nor a frame takes that long.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(120);

/// A pipeline that ends in `splitinfer-edge`, and still needs a source.
pub(super) struct Inference {
    pub pipeline: gst::Pipeline,
    pub edge: gst::Element,
    sink: gst_app::AppSink,
}

impl Inference {
    /// # Errors
    /// When GStreamer or the element is missing, or a property is not the element's.
    pub fn new(model: &Path, properties: &[(String, String)]) -> Result<Self> {
        gst::init().context("GStreamer does not start")?;
        plugins::need("splitinfer-edge", "gstsplitinfer")?;
        let edge = make("splitinfer-edge")?;
        edge.set_property(
            "model",
            model.to_str().context("the model's path is no text")?,
        );
        for (name, value) in properties {
            set(&edge, name, value)?;
        }
        // A file does not wait for anybody, and no frame may be left out.
        let sink = gst_app::AppSink::builder()
            .sync(false)
            .max_buffers(8)
            .build();
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([&edge, sink.upcast_ref()])?;
        edge.link(&sink)?;
        Ok(Self {
            pipeline,
            edge,
            sink,
        })
    }

    /// Plays, and hands each frame over with its number, until the end or until `each` says that it is enough. How many
    /// there were.
    ///
    /// # Errors
    /// When an element fails, and what `each` finds wrong.
    pub fn run(self, mut each: impl FnMut(u64, &gst::SampleRef) -> Result<bool>) -> Result<u64> {
        let playing = Playing::start(self.pipeline, self.sink)?;
        let mut number = 0;
        while let Some(sample) = playing.next(PATIENCE)? {
            let more = each(number, &sample)?;
            number += 1;
            if !more {
                break;
            }
        }
        Ok(number)
    }
}

/// The frame of a sample.
pub(super) fn picture(sample: &gst::SampleRef) -> Result<&gst::BufferRef> {
    sample.buffer().context("a frame without a picture")
}

/// An element of GStreamer's.
pub(super) fn make(name: &str) -> Result<gst::Element> {
    let made = gst::ElementFactory::make(name).build();
    made.map_err(|_| anyhow!("GStreamer has no element {name}: install its base and good plugins"))
}

/// Sets a property by text.
///
/// # Errors
/// When there is no such property, or it cannot have that value.
pub(super) fn set(element: &gst::Element, name: &str, value: &str) -> Result<()> {
    let kind = element
        .factory()
        .map_or_else(String::new, |f| f.name().to_string());
    let spec = element
        .find_property(name)
        .filter(|p| p.flags().contains(glib::ParamFlags::WRITABLE))
        .with_context(|| format!("{kind} has no property {name} that can be set"))?;
    let value = glib::Value::deserialize_with_pspec(value, &spec)
        .map_err(|_| anyhow!("{kind}: `{value}` is no value for the property {name}"))?;
    element.set_property_from_value(name, &value);
    Ok(())
}
