// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which split the next frame gets: the one the user fixed, or the one that `crates/plan` finds best.

use std::time::{Duration, Instant};

use splitinfer_plan::{
    Choice, Objective, Offload, Path, Profile, Server, Situation, Smoothed, decide,
};
use splitinfer_tensorcode::{Encode, Predictive};
use splitinfer_vision::Picture;

use super::engine::Engine;
use super::imp::Started;
use super::link::{Link, Round};
use super::monitor::{self, Capacity};
use super::settings::Settings;
use super::split::{self, SplitSetting};
use super::streaming::{JPEG_QUALITY, bits};
use crate::net::client::LinkStats;

/// How often the plan is made anew while nothing happens.
const REPLAN: Duration = Duration::from_millis(250);
/// Of so many frames about, the mean of the bytes sent is taken for the next.
const SIZE_MEMORY: u64 = 8;

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
    current: Option<Choice>,
    /// What each choice costs on this machine; measured on the first two pictures that have a choice, for the second
    /// tells what is left to send once the server has the first.
    profile: Option<Profile>,
    /// Of each candidate, between the two.
    encoders: Vec<Predictive>,
    capacity: Capacity,
    /// On the server: decoding and inference, of the picture and of each candidate's tail.
    picture_there: Smoothed,
    tails_there: Vec<Smoothed>,
    queue_there: Smoothed,
    planned: Option<Planned>,
}

/// When and for what the current plan was made.
struct Planned {
    at: Instant,
    connected: bool,
    objective: Objective,
    budget: Duration,
}

impl Planner {
    pub(super) fn new(engine: &Engine) -> Self {
        Self {
            current: None,
            profile: None,
            encoders: Vec::new(),
            capacity: Capacity::default(),
            picture_there: Smoothed::default(),
            tails_there: vec![Smoothed::default(); engine.candidates().len()],
            queue_there: Smoothed::default(),
            planned: None,
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
        let old = self.current;
        let (new, reason, predicted) = match settings.split.resolve(candidates) {
            Ok(Some(choice)) => (choice, "set by the property 'split'".to_owned(), None),
            // Reported when it was set; what ran before goes on.
            Err(_) => return Ok((old.unwrap_or(Choice::Here), None)),
            Ok(None) => match self.plan(started, engine, settings, picture, interval, now)? {
                Some(plan) => plan,
                None => return Ok((old.unwrap_or(Choice::Here), None)),
            },
        };
        self.current = Some(new);
        if settings.split != SplitSetting::Auto {
            self.planned = None;
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
    ) -> Result<Option<(Choice, String, Option<Duration>)>, gst::ErrorMessage> {
        let Some(link) = &started.link else {
            return Ok(Some((Choice::Here, "no server is set".into(), None)));
        };
        let path = self.path(link, now);
        let wanted = Planned {
            at: now,
            connected: path.is_some(),
            objective: settings.objective.into(),
            budget: settings.latency_budget,
        };
        if self
            .planned
            .as_ref()
            .is_some_and(|planned| planned.holds(&wanted))
        {
            return Ok(None);
        }
        if path.is_some() {
            self.measure(engine, settings, picture)?;
        }
        let alone = Profile::default();
        let decision = decide(&Situation {
            budget: Some(wanted.budget),
            interval,
            objective: wanted.objective,
            current: self.current,
            ..Situation::new(self.profile.as_ref().unwrap_or(&alone), path.as_ref())
        });
        self.planned = Some(wanted);
        Ok(Some((
            decision.choice,
            decision.reason,
            Some(decision.predicted),
        )))
    }

    /// The way to the server as the last frames and the monitor found it; `None` without a connection.
    fn path(&mut self, link: &Link, now: Instant) -> Option<Path> {
        let stats = link.stats();
        for round in link.take_rounds() {
            self.learn(&round, &stats, now);
        }
        let mut server = Server {
            queue: self.queue_there.get().unwrap_or_default(),
            picture: self.picture_there.get(),
            tails: self.tails_there.iter().map(Smoothed::get).collect(),
            ..Server::default()
        };
        let profile = self.profile.as_ref();
        monitor::complete(&mut server, &self.capacity, profile, &stats, now);
        let bandwidth = self.capacity.estimate(&stats);
        link.tell_bandwidth(bandwidth);
        stats.connected.then(|| Path {
            rtt: monitor::rtt(&stats).unwrap_or_default(),
            bandwidth,
            server,
        })
    }

    fn learn(&mut self, round: &Round, stats: &LinkStats, now: Instant) {
        let rtt = monitor::rtt(stats).unwrap_or_default();
        let there = round.server.queue + round.server.decode + round.server.compute;
        let transfer = round.taken.saturating_sub(rtt + there);
        self.capacity.add(now, round.bytes, transfer, stats);
        self.queue_there.add(round.server.queue);
        let work = round.server.decode + round.server.compute;
        let profile = self.profile.as_mut();
        let sent = match round.choice {
            Choice::Picture => {
                self.picture_there.add(work);
                profile.and_then(|p| p.picture.as_mut())
            }
            Choice::Candidate(i) => {
                if let Some(tail) = self.tails_there.get_mut(i) {
                    tail.add(work);
                }
                profile.and_then(|p| p.candidates.get_mut(i))
            }
            Choice::Here => None,
        };
        if let Some(offload) = sent {
            offload.bytes = (offload.bytes * (SIZE_MEMORY - 1) + round.bytes) / SIZE_MEMORY;
        }
    }

    /// Measures what there is to choose among, unless that is done.
    fn measure(
        &mut self,
        engine: &Engine,
        settings: &Settings,
        picture: &Picture,
    ) -> Result<(), gst::ErrorMessage> {
        let first = self.profile.is_none();
        if !first && self.encoders.is_empty() {
            return Ok(());
        }
        let count = engine.candidates().len();
        self.encoders.resize_with(count, Predictive::default);
        let number = u64::from(!first);
        let profile = measure(engine, settings, picture, &mut self.encoders, number)?;
        self.profile = Some(profile);
        for encoder in &mut self.encoders {
            encoder.acknowledge(number);
        }
        if !first {
            self.encoders.clear();
        }
        Ok(())
    }
}

impl Planned {
    fn holds(&self, wanted: &Self) -> bool {
        self.connected == wanted.connected
            && self.objective == wanted.objective
            && self.budget == wanted.budget
            && wanted.at.saturating_duration_since(self.at) < REPLAN
    }
}

/// Encodes the tensors of every candidate of this picture, and the picture itself: sizes and times of what would cross.
fn measure(
    engine: &Engine,
    settings: &Settings,
    picture: &Picture,
    encoders: &mut [Predictive],
    number: u64,
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
