// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A pipeline whose frames are taken out one by one.

use anyhow::{Result, anyhow, bail};
use gst::prelude::*;

/// A playing pipeline; stops when it is dropped.
pub(crate) struct Playing {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
}

impl Playing {
    /// # Errors
    /// When it cannot play; the message is that of the element which could not.
    pub fn start(pipeline: gst::Pipeline, sink: gst_app::AppSink) -> Result<Self> {
        let playing = Self { pipeline, sink };
        if playing.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(playing
                .error()
                .unwrap_or_else(|| anyhow!("it cannot be played")));
        }
        Ok(playing)
    }

    pub fn pipeline(&self) -> &gst::Pipeline {
        &self.pipeline
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// When an element fails, or none comes within `patience`.
    pub fn next(&self, patience: gst::ClockTime) -> Result<Option<gst::Sample>> {
        // In small steps, because an error leaves the sink waiting for what will never come.
        const STEP: gst::ClockTime = gst::ClockTime::from_mseconds(100);
        for _ in 0..patience.mseconds() / STEP.mseconds() {
            if let Some(sample) = self.sink.try_pull_sample(STEP) {
                return Ok(Some(sample));
            }
            if let Some(error) = self.error() {
                return Err(error);
            }
            if self.sink.is_eos() {
                return Ok(None);
            }
        }
        bail!("there was no frame for {patience:.0}");
    }

    fn error(&self) -> Option<anyhow::Error> {
        let message = self
            .pipeline
            .bus()?
            .pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(e) => Some(described(e)),
            _ => None,
        }
    }
}

/// The message of an element and what it adds for developers, which is often what says what was wrong.
fn described(error: &gst::message::Error) -> anyhow::Error {
    let message = error.error().message().trim_end().to_owned();
    // The first line is where in the source it was noticed.
    let debug = error.debug().unwrap_or_default();
    match debug.lines().skip(1).last().map(str::trim) {
        Some(detail) if !detail.is_empty() && !message.contains(detail) => {
            anyhow!("{message} ({detail})")
        }
        _ => anyhow!("{message}"),
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        // It can only fail to stop what does not run.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
