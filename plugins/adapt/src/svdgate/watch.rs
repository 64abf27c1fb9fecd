// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the element does with a frame: score, remember, send.

use super::judge::{give_qualities, number, objects};
use super::kept::{Frames, Kept};
use super::settings::Settings;
use super::stats::Counts;
use crate::mark::{self, Reason};
use splitinfer_meta::{Completed, FrameResult};
use splitinfer_quality::{Canary, Gate, Outcome, Verdict};

/// So many windows may be on their way to the adapt pad.
const WINDOWS_ON_THE_WAY: usize = 2;

/// What a frame led to.
#[derive(Default)]
pub(super) struct Seen {
    /// Frames for the adapt pad, the oldest first.
    pub(super) send: Vec<gst::Buffer>,
    /// Structures of element messages.
    pub(super) messages: Vec<gst::Structure>,
}

/// Watches one stream.
pub(super) struct Watch {
    gate: Gate,
    canary: Canary,
    frames: Frames,
    counts: Counts,
    /// Of the next scored frame, as the gate counts.
    next: u64,
    /// The lowest on the last frame.
    quality: Option<f64>,
}

impl Watch {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            gate: Gate::new(settings.gate()),
            canary: Canary::new(settings.canary_rate),
            frames: Frames::default(),
            counts: Counts::default(),
            next: 0,
            quality: None,
        }
    }

    /// Other settings, from the next frame on.
    pub(super) fn set(&mut self, settings: &Settings) {
        self.gate.set(settings.gate());
        self.canary.set_rate(settings.canary_rate);
    }

    /// A flush, or another stream.
    pub(super) fn interrupt(&mut self) {
        self.gate.interrupt();
        self.frames.take_all();
        self.quality = None;
    }

    pub(super) fn quality(&self) -> f64 {
        self.quality.unwrap_or(-1.0)
    }

    pub(super) fn stats(&self, dropped: u64) -> gst::Structure {
        self.counts.to_structure(&self.gate, &self.canary, dropped)
    }

    /// Frames that may be on their way to the adapt pad.
    pub(super) fn most_on_the_way(&self) -> usize {
        WINDOWS_ON_THE_WAY * self.gate.settings().window
    }

    /// Scores a frame and puts the qualities on its objects. With `wanted`, somebody takes frames for adaptation;
    /// `random` is uniform in [0, 1).
    pub(super) fn frame(
        &mut self,
        buffer: &mut gst::Buffer,
        wanted: bool,
        random: impl Fn() -> f64,
    ) -> Seen {
        self.counts.frames += 1;
        let Some(mut result) = splitinfer_meta::read(buffer) else {
            return Seen::default();
        };
        if result.completed == Completed::None {
            return Seen::default();
        }
        self.counts.scored += 1;
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
            copy: wanted.then(|| buffer.copy_deep().ok()).flatten(),
        };
        let left = self.frames.push(kept, self.gate.settings().window);
        let mut send = self.canaries(left, random);
        let messages = self.verdicts(&outcome, &result, &mut send);
        Seen { send, messages }
    }

    /// The stream has ended: what was kept was accepted.
    pub(super) fn end(&mut self, random: impl Fn() -> f64) -> Vec<gst::Buffer> {
        let left = self.frames.take_all();
        self.canaries(left, random)
    }

    /// Of frames that no window can claim any more, those that the teacher is to see.
    fn canaries(&mut self, left: Vec<Kept>, random: impl Fn() -> f64) -> Vec<gst::Buffer> {
        let mut send = Vec::new();
        for mut kept in left {
            if self.canary.picks(random()) && sent(&mut kept, Reason::Canary, &[], &mut send) {
                self.counts.canaries += 1;
            }
        }
        send
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
            if !windows.is_empty() && sent(kept, Reason::Gate, &windows, send) {
                self.counts.sent += 1;
            }
        }
        messages
    }

    /// How wrong the student was on a frame of the canary; when that is an alarm, the frames that are kept, to be learnt
    /// from, and the message that tells of it.
    pub(super) fn canary_error(
        &mut self,
        error: f64,
    ) -> Option<(Vec<gst::Buffer>, gst::Structure)> {
        if !self.canary.error(error) {
            return None;
        }
        self.counts.alarms += 1;
        let mut send = Vec::new();
        for kept in self.frames.all() {
            if sent(kept, Reason::Alarm, &[], &mut send) {
                self.counts.sent += 1;
            }
        }
        let structure = gst::Structure::builder("svdgate-canary")
            .field("error", error)
            .field("usual-error", self.canary.usual_error().unwrap_or_default())
            .build();
        Some((send, structure))
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

/// Marks a frame and sends it, once.
fn sent(
    kept: &mut Kept,
    reason: Reason,
    windows: &[gst::Structure],
    send: &mut Vec<gst::Buffer>,
) -> bool {
    let Some(mut copy) = kept.copy.take() else {
        return false;
    };
    if let Err(error) = mark::attach(copy.make_mut(), kept.frame, reason, windows) {
        gst::error!(super::imp::CAT, "no metadata on the frame: {error}");
        return false;
    }
    send.push(copy);
    true
}
