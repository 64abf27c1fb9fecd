// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which split the next frame gets: the one the user fixed, or the one that `crates/plan` finds best.

use std::time::{Duration, Instant};

use splitinfer_plan::{Choice, Decision, Objective, Offload, Profile, Selector, Wish};
use splitinfer_tensorcode::{Encode, Predictive};
use splitinfer_vision::Picture;

use super::engine::Engine;
use super::imp::Started;
use super::settings::Settings;
use super::split;
use super::streaming::{JPEG_QUALITY, bits};

/// A change of the split, as the message `splitinfer-plan` tells it.
pub(super) struct PlanChange {
    pub(super) old: String,
    pub(super) new: String,
    pub(super) reason: String,
    pub(super) predicted: Option<Duration>,
}

impl PlanChange {
    /// `measured`: the median latency of the last frames, under the old split.
    pub(super) fn to_structure(&self, measured: Option<Duration>) -> gst::Structure {
        let ms = |t: Option<Duration>| t.map_or(-1.0, |t| t.as_secs_f64() * 1e3);
        gst::Structure::builder("splitinfer-plan")
            .field("old-split", &self.old)
            .field("new-split", &self.new)
            .field("reason", &self.reason)
            .field("predicted-ms", ms(self.predicted))
            .field("measured-ms", ms(measured))
            .build()
    }
}

/// The planner of one started element; on the streaming thread.
pub(super) struct Planner {
    selector: Selector,
    /// Of each candidate, between the first two pictures that have a choice: what the choices cost on this machine is
    /// measured on these, for the second tells what is left to send once the server has the first.
    encoders: Vec<Predictive>,
}

impl Planner {
    pub(super) fn new(engine: &Engine) -> Self {
        Self {
            selector: Selector::new(engine.candidates().len()),
            encoders: Vec::new(),
        }
    }

    /// The split for the next frame, and the change if it is one. `interval`: time between inferred frames.
    pub(super) fn choose(
        &mut self,
        started: &Started,
        engine: &Engine,
        settings: &Settings,
        picture: &Picture,
        interval: Option<Duration>,
        now: Instant,
    ) -> Result<(Choice, Option<PlanChange>), gst::ErrorMessage> {
        let candidates = engine.candidates();
        let old = self.selector.current();
        let (new, reason, predicted) = match settings.split.resolve(candidates) {
            Ok(Some(choice)) => (choice, "set by the property 'split'".to_owned(), None),
            // Reported when it was set; what ran before goes on.
            Err(_) => return Ok((old.unwrap_or(Choice::Here), None)),
            Ok(None) if started.link.is_none() => (Choice::Here, "no server is set".into(), None),
            Ok(None) => match self.plan(started, engine, settings, picture, interval, now)? {
                Some(plan) => (plan.choice, plan.reason, Some(plan.predicted)),
                None => return Ok((old.unwrap_or(Choice::Here), None)),
            },
        };
        if predicted.is_none() {
            self.selector.set_current(new);
        }
        let change = (old != Some(new)).then(|| PlanChange {
            old: old
                .map_or("none", |old| split::name(old, candidates))
                .to_owned(),
            new: split::name(new, candidates).to_owned(),
            reason,
            predicted,
        });
        Ok((new, change))
    }

    /// `None` while the last plan still holds.
    fn plan(
        &mut self,
        started: &Started,
        engine: &Engine,
        settings: &Settings,
        picture: &Picture,
        interval: Option<Duration>,
        now: Instant,
    ) -> Result<Option<Decision>, gst::ErrorMessage> {
        let Some(link) = &started.link else {
            return Ok(None);
        };
        let stats = link.stats();
        let rtt = stats.rtt.unwrap_or_default();
        for round in link.take_rounds() {
            self.selector.learn(&round, rtt, now);
        }
        let wish = Wish {
            connected: stats.connected,
            objective: settings.objective.into(),
            budget: settings.latency_budget,
            interval,
        };
        if !self.selector.is_due(&wish, now) {
            return Ok(None);
        }
        if wish.connected {
            self.measure(engine, settings, picture)?;
        }
        Ok(Some(self.selector.decide(&wish, rtt, now)))
    }

    /// Measures what there is to choose among, unless that is done.
    fn measure(
        &mut self,
        engine: &Engine,
        settings: &Settings,
        picture: &Picture,
    ) -> Result<(), gst::ErrorMessage> {
        let first = self.selector.profile().is_none();
        if !first && self.encoders.is_empty() {
            return Ok(());
        }
        let count = engine.candidates().len();
        self.encoders.resize_with(count, Predictive::default);
        let number = u64::from(!first);
        let fresh: Vec<u64> = self.selector.profile().map_or_else(Vec::new, |first| {
            first.candidates.iter().map(|c| c.bytes).collect()
        });
        let profile = measure(engine, settings, picture, &mut self.encoders, number, &fresh)?;
        self.selector.set_profile(profile);
        for encoder in &mut self.encoders {
            encoder.acknowledge(number);
        }
        if !first {
            self.encoders.clear();
        }
        Ok(())
    }
}

/// Encodes the tensors of every candidate of this picture, and the picture itself: sizes and times of what would cross.
/// `fresh`: bytes of frames that stand alone, where this one does not.
fn measure(
    engine: &Engine,
    settings: &Settings,
    picture: &Picture,
    encoders: &mut [Predictive],
    number: u64,
    fresh: &[u64],
) -> Result<Profile, gst::ErrorMessage> {
    let encoding = |e: &dyn std::fmt::Display| gst::error_msg!(gst::StreamError::Encode, ("{e}"));
    let timed = engine.profile()?;
    let mut candidates = Vec::new();
    let heads = engine.heads(picture)?.into_iter().zip(encoders).enumerate();
    for (i, ((tensors, head), encoder)) in heads {
        let begun = Instant::now();
        let bytes = encoder
            .encode(number, &tensors, bits(settings))
            .map_err(|e| encoding(&e))?;
        let encode = begun.elapsed();
        candidates.push(Offload {
            name: split::name(Choice::Candidate(i), engine.candidates()).to_owned(),
            head: timed.head.get(i).copied().unwrap_or(head),
            encode,
            bytes: bytes.len() as u64,
            fresh_bytes: fresh.get(i).copied().unwrap_or(bytes.len() as u64),
            // Both directions touch every value once.
            decode: encode,
            tail: timed.tail.get(i).copied().unwrap_or_default(),
        });
    }
    let begun = Instant::now();
    let jpeg = splitinfer_tensorcode::picture::encode_jpeg(
        &picture.rgb,
        picture.width,
        picture.height,
        JPEG_QUALITY,
    )
    .map_err(|e| encoding(&e))?;
    let encode = begun.elapsed();
    Ok(Profile {
        whole: timed.whole,
        picture: Some(Offload {
            name: "server".into(),
            head: Duration::ZERO,
            encode,
            bytes: jpeg.len() as u64,
            fresh_bytes: jpeg.len() as u64,
            decode: encode,
            tail: timed.whole,
        }),
        candidates,
    })
}

impl From<super::Objective> for Objective {
    fn from(objective: super::Objective) -> Self {
        match objective {
            super::Objective::Latency => Self::Latency,
            super::Objective::EdgeLoad => Self::EdgeLoad,
            super::Objective::Bandwidth => Self::Bandwidth,
            super::Objective::ServerLoad => Self::ServerLoad,
        }
    }
}
