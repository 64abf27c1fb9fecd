// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the element does with a frame: score it, watch for drift, remember it, send it.

use super::judge::{give_qualities, number, objects, signs};
use super::kept::{Frames, Kept};
use super::settings::Settings;
use super::stats::Counts;
use crate::mark::{self, Reason};
use crate::report::Report;
use splitinfer_meta::{Completed, FrameResult};
use splitinfer_quality::{DriftWatch, Gate, Orders, Outcome, Round, Verdict};
use std::collections::VecDeque;

/// So many windows may be on their way to the adapt pad.
const WINDOWS_ON_THE_WAY: usize = 2;

/// So many looks of the teacher may be waited for; one that takes longer than the frames that others are drawn from counts
/// nothing any more.
const LOOKS_UNDER_WAY: usize = 64;

/// What a frame led to.
#[derive(Default)]
pub(super) struct Seen {
    /// Frames for the adapt pad, the oldest first.
    pub(super) send: Vec<gst::Buffer>,
    /// Structures of element messages.
    pub(super) messages: Vec<gst::Structure>,
    /// Of every how many frames upstream should give pictures from now on, where it has not been asked so.
    pub(super) pictures: Option<u32>,
}

/// Watches one stream.
pub(super) struct Watch {
    settings: Settings,
    gate: Gate,
    drift: DriftWatch,
    frames: Frames,
    counts: Counts,
    /// Of the next scored frame, as the gate counts.
    next: u64,
    /// Frames that the teacher looks at, as their results count and as the gate does.
    looks: VecDeque<(u64, u64)>,
    /// The lowest on the last frame.
    quality: Option<f64>,
    /// Of every how many frames upstream was asked for pictures.
    asked: Option<u32>,
}

impl Watch {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            settings: *settings,
            gate: Gate::new(settings.gate(None)),
            drift: DriftWatch::new(settings.drift()),
            frames: Frames::default(),
            counts: Counts::default(),
            next: 0,
            looks: VecDeque::new(),
            quality: None,
            asked: None,
        }
    }

    /// Other settings, from the next frame on.
    pub(super) fn set(&mut self, settings: &Settings) {
        self.settings = *settings;
        self.gate.set(settings.gate(self.drift.threshold()));
        self.drift.set(settings.drift());
    }

    /// A flush, or another stream.
    pub(super) fn interrupt(&mut self) {
        self.gate.interrupt();
        self.drift.interrupt();
        self.frames.clear();
        self.looks.clear();
        self.quality = None;
        self.asked = None;
    }

    /// What upstream is to be asked for, unless it has been: where frames come over a network, not all of them bring their
    /// pictures.
    pub(super) fn pictures(&mut self) -> Option<u32> {
        let every = u32::try_from(self.drift.pictures_every()).unwrap_or(u32::MAX);
        (self.asked.replace(every) != Some(every)).then_some(every)
    }

    pub(super) fn quality(&self) -> f64 {
        self.quality.unwrap_or(-1.0)
    }

    pub(super) fn stats(&self, dropped: u64) -> gst::Structure {
        self.counts.to_structure(&self.gate, &self.drift, dropped)
    }

    /// Frames that may be on their way to the adapt pad.
    pub(super) fn most_on_the_way(&self) -> usize {
        WINDOWS_ON_THE_WAY * self.gate.settings().window
    }

    /// Scores a frame and puts the qualities on its objects. With `wanted`, somebody takes frames for adaptation;
    /// `random` is uniform in [0, 1).
    pub(super) fn frame(&mut self, buffer: &mut gst::Buffer, wanted: bool, random: f64) -> Seen {
        self.counts.frames += 1;
        let Some(mut result) = splitinfer_meta::read(buffer) else {
            return Seen::default();
        };
        if result.completed == Completed::None {
            return Seen::default();
        }
        self.counts.scored += 1;
        // Over a network a frame may come without its picture; what is there in its place is the last one.
        let pictured = !buffer.flags().contains(gst::BufferFlags::GAP);
        let this = self.next;
        self.next += 1;
        let outcome = self.gate.frame(this, objects(&result));
        self.quality = outcome.qualities.iter().flatten().copied().reduce(f64::min);
        if give_qualities(&mut result, &outcome) {
            splitinfer_meta::update(buffer.make_mut(), &result);
        }
        let kept = Kept {
            number: this,
            frame: result.frame,
            copy: (wanted && pictured)
                .then(|| buffer.copy_deep().ok())
                .flatten(),
        };
        self.frames.push(kept, self.gate.settings().window);
        let mut seen = Seen::default();
        seen.messages = self.verdicts(&outcome, &result, &mut seen.send);
        if wanted {
            let signs = signs(&result, &outcome);
            let version = result.model_version;
            let orders = self.drift.frame(this, version, signs, pictured, random);
            self.follow(&orders, &mut seen);
            self.gate.set(self.settings.gate(self.drift.threshold()));
            seen.pictures = self.pictures();
        }
        seen
    }

    /// Does what the watch for drift asks for.
    fn follow(&mut self, orders: &Orders, seen: &mut Seen) {
        if orders.look
            && let Some(kept) = self.frames.last()
            && sent(
                kept,
                Reason::Canary {
                    teaches: orders.teaches,
                },
                &[],
                orders.complete,
                &mut seen.send,
            )
        {
            self.counts.canaries += 1;
            if self.looks.len() == LOOKS_UNDER_WAY {
                self.looks.pop_front();
            }
            self.looks.push_back((kept.frame, kept.number));
        }
        if let Some(round) = orders.began {
            self.counts.rounds += 1;
            let frame = self.frames.last().map_or(0, |kept| kept.frame);
            seen.messages.push(drift_structure(&round, frame));
        }
        let last = orders.learn.last().filter(|_| orders.complete);
        for kept in self.frames.all() {
            let complete = Some(&kept.number) == last;
            if orders.learn.contains(&kept.number)
                && sent(kept, Reason::Drift, &[], complete, &mut seen.send)
            {
                self.counts.sent += 1;
            }
        }
    }

    /// What the branch has to say.
    pub(super) fn report(&mut self, report: Report) -> Seen {
        let mut seen = Seen::default();
        match report {
            Report::Training(training) => self.drift.trained(training),
            Report::Canary { frame, error } => {
                let under_way = self.looks.iter().position(|(f, _)| *f == frame);
                if let Some((_, number)) = under_way.and_then(|i| self.looks.remove(i)) {
                    let orders = self.drift.error(number, error);
                    self.follow(&orders, &mut seen);
                }
            }
        }
        seen
    }

    /// Tells of the windows that a frame completed, and sends the frames of those that are gated.
    fn verdicts(
        &mut self,
        outcome: &Outcome,
        result: &FrameResult,
        send: &mut Vec<gst::Buffer>,
    ) -> Vec<gst::Structure> {
        let mut messages = Vec::new();
        for verdict in &outcome.verdicts {
            let structure = self.structure(verdict, result);
            self.counts.windows += 1;
            self.counts.bad += u64::from(verdict.bad);
            self.counts.gated += u64::from(verdict.gated);
            messages.push(structure);
        }
        let gated =
            |v: &Verdict, number: u64| v.gated && (v.frames[0]..=v.frames[1]).contains(&number);
        for kept in self.frames.all() {
            let windows: Vec<gst::Structure> = outcome
                .verdicts
                .iter()
                .zip(&messages)
                .filter(|(v, _)| gated(v, kept.number))
                .map(|(_, s)| s.clone())
                .collect();
            if !windows.is_empty() && sent(kept, Reason::Gate, &windows, false, send) {
                self.counts.sent += 1;
            }
        }
        messages
    }

    /// What is told of a window, in messages and on its frames.
    fn structure(&self, verdict: &Verdict, result: &FrameResult) -> gst::Structure {
        let frame = |number| self.frames.frame_of(number).unwrap_or(result.frame);
        let mut s = gst::Structure::builder("svdgate")
            .field("window", self.counts.windows)
            .field("track", number(verdict.identity))
            .field("first-frame", frame(verdict.frames[0]))
            .field("last-frame", frame(verdict.frames[1]))
            .field("score", verdict.score)
            .field("bad", verdict.bad)
            .field("gated", verdict.gated)
            .field("residual", verdict.evidence.residual)
            .field("jitter", verdict.evidence.jitter)
            .field("confidence", 1.0 - verdict.evidence.unsure)
            .build();
        s.set_if_some("threshold", verdict.threshold);
        s.set_if_some("quality", verdict.quality);
        s.set_if_some(
            "mirror-agreement",
            verdict.evidence.disagreement.map(|d| 1.0 - d),
        );
        if let Some(object) = verdict.object.and_then(|i| result.objects.get(i)) {
            s.set("label", object.label.replace('\0', "\u{FFFD}"));
            s.set("box", gst::Array::new(object.box_.map(f64::from)));
        }
        s
    }
}

/// What is told of a round of learning that began with a frame, as its result counts.
fn drift_structure(round: &Round, frame: u64) -> gst::Structure {
    let mut s = gst::Structure::builder("svdgate-drift")
        .field("frame", frame)
        .field("cause", round.cause.name())
        .field("round", u32::try_from(round.number).unwrap_or(u32::MAX))
        .build();
    s.set_if_some("error", round.error);
    s.set_if_some("usual-error", round.usual);
    s
}

/// Marks a frame and sends it, once.
fn sent(
    kept: &mut Kept,
    reason: Reason,
    windows: &[gst::Structure],
    complete: bool,
    send: &mut Vec<gst::Buffer>,
) -> bool {
    let Some(mut copy) = kept.copy.take() else {
        return false;
    };
    if let Err(error) = mark::attach(copy.make_mut(), kept.frame, reason, windows, complete) {
        gst::error!(super::imp::CAT, "no metadata on the frame: {error}");
        return false;
    }
    send.push(copy);
    true
}
