// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The gate: frame after frame in, a verdict on each window of each object out.

use crate::calibration::{Calibration, Learnt};
use crate::combined::probability_wrong;
use crate::evidence::Evidence;
use crate::metric::{effective_rank, relative_error, scaled_residual};
use crate::motion::Motion;
use crate::observation::Observation;
use crate::track::{Identity, Seen, Tracker};
use crate::window::Window;
use std::collections::{BTreeMap, VecDeque};

/// What a window is scored by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metric {
    /// [`relative_error`], as published.
    RelativeError,
    /// [`effective_rank`] at [`SHARE`].
    EffectiveRank,
    /// [`scaled_residual`].
    ScaledResidual,
    /// [`probability_wrong`].
    #[default]
    Combined,
}

/// Share of the sum of the singular values that the effective rank explains.
pub const SHARE: f64 = 0.9;

/// From this probability of being wrong on a window is gated by the combined metric, and is none to learn from.
const LIKELY: f64 = 0.5;

/// As long as no rank is known.
const DEFAULT_RANK: usize = 3;

/// What the user sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// T: frames of a window, at least 4.
    pub window: usize,
    pub metric: Metric,
    /// r; `None`: learnt from the first windows that seem good.
    pub rank: Option<usize>,
    /// ε: a window that scores above it is bad; `None`: 0.5 for the combined metric, which is a probability, and
    /// learnt from the first windows that seem good for the others.
    pub threshold: Option<f64>,
    /// Whether bad windows are gated; else somebody else decides, such as a [`DriftWatch`](crate::DriftWatch).
    pub gates: bool,
    /// Frames after a gated window on which no other is.
    pub cooldown: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: 20,
            metric: Metric::default(),
            rank: None,
            threshold: None,
            gates: true,
            cooldown: 0,
        }
    }
}

/// An object of a frame.
#[derive(Clone, Debug)]
pub struct Object {
    pub seen: Seen,
    pub observation: Observation,
}

/// What became of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub identity: Identity,
    /// Which object of the last frame it is about; `None` where it was not found on that.
    pub object: Option<usize>,
    /// Number of the first and the last frame.
    pub frames: [u64; 2],
    /// By the metric in force.
    pub score: f64,
    /// What the score was compared with; `None` while that is being learnt.
    pub threshold: Option<f64>,
    /// 0 (bad) to 1; `None` while the threshold is being learnt.
    pub quality: Option<f64>,
    pub evidence: Evidence,
    /// The score is above the threshold.
    pub bad: bool,
    /// Bad, bad windows are gated, and no cool-down in force.
    pub gated: bool,
}

/// What a frame brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Of each object of the frame: how good the last window of it was.
    pub qualities: Vec<Option<f64>>,
    /// Of the objects that were on the last three frames: by how much their points' motion changed, in units of the
    /// object's size.
    pub jitters: Vec<f64>,
    /// Windows that the frame completed.
    pub verdicts: Vec<Verdict>,
}

/// Watches one stream.
#[derive(Clone, Debug)]
pub struct Gate {
    settings: Settings,
    tracker: Tracker,
    windows: BTreeMap<Identity, Window>,
    /// Numbers of the last T frames.
    frames: VecDeque<u64>,
    calibration: Calibration,
    /// The last frame of the last window that was gated.
    gated: Option<u64>,
}

impl Gate {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            tracker: Tracker::default(),
            windows: BTreeMap::new(),
            frames: VecDeque::new(),
            calibration: Calibration::default(),
            gated: None,
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Other settings from the next frame on. Windows under way begin anew if their length changes, and what was learnt
    /// is learnt anew if the metric or the rank does.
    pub fn set(&mut self, settings: Settings) {
        if settings.window != self.settings.window {
            self.windows.clear();
            self.frames.clear();
        }
        if (settings.metric, settings.rank) != (self.settings.metric, self.settings.rank) {
            self.calibration = Calibration::default();
        }
        self.settings = settings;
    }

    /// The stream was interrupted: identities and windows begin anew, what was learnt stays.
    pub fn interrupt(&mut self) {
        self.tracker = Tracker::default();
        self.windows.clear();
        self.frames.clear();
        self.gated = None;
    }

    /// Rank and threshold that were learnt.
    pub fn learnt(&self) -> Option<Learnt> {
        self.calibration.learnt()
    }

    /// The objects of the next frame on which the student was asked. `number` grows from frame to frame.
    pub fn frame(&mut self, number: u64, objects: Vec<Object>) -> Outcome {
        if self.frames.len() == self.settings.window {
            self.frames.pop_front();
        }
        self.frames.push_back(number);
        let seen: Vec<Seen> = objects.iter().map(|o| o.seen).collect();
        let identities = self.tracker.frame(&seen);
        let place: BTreeMap<Identity, usize> = identities.iter().copied().zip(0..).collect();
        let mut rows: Vec<Option<Observation>> =
            objects.into_iter().map(|o| Some(o.observation)).collect();
        for identity in place.keys() {
            let window = || Window::new(self.settings.window);
            self.windows.entry(*identity).or_insert_with(window);
        }
        for (identity, window) in &mut self.windows {
            window.push(place.get(identity).and_then(|i| rows[*i].take()));
        }
        self.windows.retain(|_, window| !window.has_ended());
        let due: Vec<Identity> = self
            .windows
            .iter()
            .filter_map(|(i, w)| w.is_due().then_some(*i))
            .collect();
        let verdicts = due
            .into_iter()
            .filter_map(|i| self.judge(i, place.get(&i).copied()))
            .collect();
        let quality = |i: &Identity| self.windows.get(i)?.quality;
        let jitter = |i: &Identity| self.windows.get(i)?.jitter();
        Outcome {
            qualities: identities.iter().map(quality).collect(),
            jitters: identities.iter().filter_map(jitter).collect(),
            verdicts,
        }
    }

    fn judge(&mut self, identity: Identity, object: Option<usize>) -> Option<Verdict> {
        let frames = [*self.frames.front()?, *self.frames.back()?];
        let rows = self.windows.get_mut(&identity)?.take();
        let motion = Motion::of(&rows)?;
        let evidence = Evidence::with(&motion, &rows);
        let wrong = probability_wrong(&evidence);
        let Settings { metric, rank, .. } = self.settings;
        let learnt = self.calibration.learnt();
        let score = match metric {
            Metric::Combined => wrong,
            _ => score_of(
                metric,
                &motion,
                rank.or(learnt.map(|l| l.rank)).unwrap_or(DEFAULT_RANK),
            ),
        };
        let threshold = self.settings.threshold.or(match metric {
            Metric::Combined => Some(LIKELY),
            _ => learnt.map(|l| l.threshold),
        });
        if metric != Metric::Combined && wrong < LIKELY {
            self.calibration
                .add(&motion, rank, |m, rank| score_of(metric, m, rank));
        }
        let quality = threshold.map(|t| quality(metric, score, t));
        let bad = threshold.is_some_and(|t| score > t);
        let gated = bad && self.settings.gates && self.is_open(frames[1]);
        if gated {
            self.gated = Some(frames[1]);
        }
        self.windows.get_mut(&identity)?.quality = quality;
        Some(Verdict {
            identity,
            object,
            frames,
            score,
            threshold,
            quality,
            evidence,
            bad,
            gated,
        })
    }

    /// Several objects that are bad on one frame are gated together.
    fn is_open(&self, frame: u64) -> bool {
        self.gated.is_none_or(|gated| {
            gated == frame || frame.saturating_sub(gated) > self.settings.cooldown
        })
    }
}

fn score_of(metric: Metric, motion: &Motion, rank: usize) -> f64 {
    match metric {
        Metric::RelativeError => relative_error(motion, rank),
        Metric::EffectiveRank => effective_rank(motion, SHARE) as f64,
        Metric::ScaledResidual | Metric::Combined => scaled_residual(motion, rank),
    }
}

/// A probability as it is; other scores by how they compare with the threshold, at which the quality is a half.
fn quality(metric: Metric, score: f64, threshold: f64) -> f64 {
    match metric {
        Metric::Combined => 1.0 - score,
        _ if score <= 0.0 => 1.0,
        _ => threshold.max(0.0) / (threshold.max(0.0) + score),
    }
}
