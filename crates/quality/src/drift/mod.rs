// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Has the student become worse than it could be here? What its own answers show raises doubt, the teacher's look at a few
//! frames settles it, and then frames are taken to learn from, until learning no longer pays.
//!
//! ```text
//!            errors of the first looks                    evidence enough
//! Learning ─────────────────────────────► Watching ─────────────────────────► Gathering ──► Training
//!     ▲                                      ▲  learning brought nothing                       │
//!     │                                      └─────────────────────────────────────────────────┤
//!     └────────────────────────────────────────────────────────────────────── new weights ─────┘
//! ```
//!
//! What is usual is learnt anew after new weights: an error that was usual once is not good enough for a student that has
//! been better since.

mod chart;
mod sampling;
mod signs;
#[cfg(test)]
mod tests;

pub use signs::Signs;

use chart::{Chart, HEAD_START, LOST};
use sampling::{Pace, Sampling};
use signs::Usual;
use std::collections::VecDeque;

/// Frames between two looks while it is learnt what is usual, and while there is doubt.
const LEARNING_EVERY: u64 = 8;
const DOUBTING_EVERY: u64 = 3;
/// The same while it is seen what a round of learning has brought.
const CHECKING_EVERY: u64 = 2;
/// Where pictures have to be asked for: while nothing is wrong, of every so many frames. Enough for looks by rule to find one soon,
/// and for a first round to find some among the frames that are kept.
const CALM_EVERY: u64 = 10;
/// Evidence from which there is doubt, of what makes an alarm.
const DOUBT: f64 = 0.15;
/// So many looks without an alarm settle a doubt that signs raised.
const SETTLED_AFTER: usize = 3;
/// At first the student is worth training when it is off by this much, in units of the objects' size.
const WORTH: f64 = 0.15;
/// Another round pays while the error is less than the least so far by this share, or the student is lost altogether: it may
/// be on its way though nobody sees it.
const PAYS: f64 = 0.2;
/// An error that is not worth another round.
const GOOD: f64 = 0.1;
const MOST_ROUNDS: usize = 6;
/// At least so many frames are taken in a round, besides the looks that led to it.
const LEAST: usize = 3;
/// In the second round frames are taken this far apart, and in each further one twice as far: neighbours teach little that is
/// new (docs/measurements/adaptation.md).
const APART: u64 = 4;
/// So many frames before a sign was enough the student was already worse.
const SEEN_BEFORE: u64 = 3;
/// The cool-down doubles so often at most.
const MOST_DOUBLINGS: u32 = 5;
/// What comes of a training is waited for so many frames.
const PATIENCE: u64 = 3000;

/// What the user sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DriftSettings {
    /// Share of the frames that the teacher looks at by rule. 0: it is not asked, and signs alone decide.
    pub rate: f64,
    /// Frames that are kept; half as many are learnt from in a round.
    pub window: usize,
    /// Frames after learning that brought little in which it does not begin again; twice as many each time in a row.
    pub cooldown: u64,
    /// Whether the student's own answers raise doubt.
    pub signs: bool,
}

/// Why frames are taken to learn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The student was bad from the beginning, or from new weights on that came from elsewhere.
    FirstLook,
    /// The sign that raised the doubt.
    Sign(&'static str),
    /// The looks by rule.
    Canary,
}

impl Cause {
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstLook => "first-look",
            Self::Sign(name) => name,
            Self::Canary => "canary",
        }
    }
}

/// What to do with frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Orders {
    /// The teacher is to look at this frame and to say how wrong the student was on it.
    pub look: bool,
    /// The look is one of those that a doubt or new weights led to: there is something to learn from the frame.
    pub teaches: bool,
    /// Frames to learn from, by number, in order: kept ones, or this one.
    pub learn: Vec<u64>,
    /// The last of them completes a round: it is time to train.
    pub complete: bool,
    /// A round began.
    pub began: Option<Round>,
}

/// A round of learning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    pub cause: Cause,
    /// From 1.
    pub number: usize,
    /// The student's error, by the looks that led here; `None` where the teacher is not asked.
    pub error: Option<f64>,
    /// What was usual.
    pub usual: Option<f64>,
    /// The error before the first, and the least of the rounds so far.
    first: f64,
    least: f64,
}

impl Doubt {
    /// From where on the student seems worse: a sign is an average, for which a few frames are enough.
    fn from(&self) -> u64 {
        self.since.saturating_sub(SEEN_BEFORE)
    }
}

/// What came of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Training {
    /// New weights are on their way.
    Changed,
    /// The weights stay.
    Unchanged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Learning,
    Watching,
    /// So many frames are still to be taken, this far apart, the next not before.
    Gathering {
        left: usize,
        apart: u64,
        next: u64,
    },
    Training {
        since: u64,
    },
}

/// A doubt that a sign raised.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    sign: &'static str,
    /// The frame that raised it.
    since: u64,
    /// Looks that have come back since.
    looks: usize,
}

/// Watches one stream.
#[derive(Clone, Debug)]
pub struct DriftWatch {
    settings: DriftSettings,
    sampling: Sampling,
    chart: Chart,
    usual: Usual,
    phase: Phase,
    /// Round under way, or the one whose new weights are being looked at.
    round: Option<Round>,
    doubt: Option<Doubt>,
    /// No learning before this frame, and how often in a row it brought little.
    not_before: u64,
    in_vain: u32,
    /// These weights were tried to be bettered in vain: what they err is as good as it gets, however much it is.
    as_good_as_it_gets: bool,
    version: Option<u64>,
    /// The frame now, and the first since the stream was interrupted.
    now: u64,
    first: u64,
    /// Looks that teach, since the last round.
    taught: usize,
    /// On the frame of the last look neither student nor teacher found anything.
    empty: bool,
    /// Whether there is a picture of the frame now.
    pictured: bool,
    /// Frames that the branch has had, of those that are kept, and those without a picture.
    taken: VecDeque<u64>,
}

impl DriftWatch {
    pub fn new(settings: DriftSettings) -> Self {
        Self {
            settings,
            sampling: Sampling::new(settings.rate),
            chart: Chart::default(),
            usual: Usual::default(),
            phase: if settings.rate > 0.0 {
                Phase::Learning
            } else {
                Phase::Watching
            },
            round: None,
            doubt: None,
            not_before: 0,
            in_vain: 0,
            as_good_as_it_gets: false,
            version: None,
            now: 0,
            first: 0,
            taught: 0,
            empty: false,
            pictured: false,
            taken: VecDeque::new(),
        }
    }

    /// Other settings, from the next frame on.
    pub fn set(&mut self, settings: DriftSettings) {
        self.sampling.set_rate(settings.rate);
        if !self.sampling.is_on() && self.phase == Phase::Learning {
            self.phase = Phase::Watching;
        } else if self.sampling.is_on() && !self.chart.is_learnt() && self.phase == Phase::Watching
        {
            self.phase = Phase::Learning;
        }
        self.settings = settings;
    }

    /// The stream was interrupted: nothing that is kept or under way is of use any more; what was learnt is.
    pub fn interrupt(&mut self) {
        self.usual.interrupt();
        self.sampling.forget();
        self.taken.clear();
        self.first = self.now + 1;
        if matches!(self.phase, Phase::Gathering { .. }) {
            self.end_round();
        }
    }

    /// The next frame, its number greater than the last one's, that the student of this `version` answered. `pictured`: there
    /// is a picture of it for the teacher. `random` is uniform in [0, 1).
    pub fn frame(
        &mut self,
        number: u64,
        version: u64,
        signs: Signs,
        pictured: bool,
        random: f64,
    ) -> Orders {
        self.now = number;
        let kept_from = self.kept_from();
        self.taken.retain(|f| *f >= kept_from);
        self.pictured = pictured;
        if !pictured {
            self.taken.push_back(number);
        }
        if self.version.replace(version).is_some_and(|v| v != version) {
            self.new_weights();
        }
        // Where neither finds anything there is nothing to hurry for.
        let nothing = self.empty && signs.is_empty();
        let sign = self.usual.frame(signs).filter(|_| self.settings.signs);
        let mut orders = Orders::default();
        match self.phase {
            Phase::Learning => {
                let every = self.round.map_or(LEARNING_EVERY, |_| CHECKING_EVERY);
                let pace = if nothing {
                    Pace::Rule
                } else {
                    Pace::Every(every)
                };
                self.look(pace, random, &mut orders);
            }
            Phase::Watching => self.watch(sign, nothing, random, &mut orders),
            Phase::Gathering { .. } => {
                if sign.is_some() {
                    self.hurry();
                }
                if pictured {
                    self.gather(&mut orders);
                }
            }
            Phase::Training { since } if number.saturating_sub(since) > self.patience() => {
                self.end_round()
            }
            Phase::Training { .. } => {}
        }
        orders
    }

    fn look(&mut self, pace: Pace, random: f64, orders: &mut Orders) {
        orders.look = self.sampling.looks(self.now, pace, self.pictured, random);
        orders.teaches = orders.look && pace != Pace::Rule;
        if orders.look {
            self.taken.push_back(self.now);
        }
        self.taught += usize::from(orders.teaches);
    }

    fn watch(
        &mut self,
        sign: Option<&'static str>,
        nothing: bool,
        random: f64,
        orders: &mut Orders,
    ) {
        match (sign, self.doubt) {
            (Some(sign), None) => {
                self.doubt = Some(Doubt {
                    sign,
                    since: self.now,
                    looks: 0,
                });
                self.chart.expect_worse();
            }
            // It went away before the teacher was asked.
            (None, Some(Doubt { looks: 0, .. })) => {
                self.doubt = None;
                self.chart.forget_evidence();
            }
            _ => {}
        }
        if !self.sampling.is_on() {
            // Nobody settles it, so it has to last.
            let lasts = |d: &Doubt| self.now - d.since >= self.settings.window as u64 / 2;
            if let Some(doubt) = self.doubt.filter(lasts)
                && self.now >= self.not_before
            {
                self.begin(Cause::Sign(doubt.sign), None, doubt.from(), orders);
            }
            return;
        }
        let pace = match nothing || self.now < self.not_before {
            true => Pace::Rule,
            false => self.doubting(),
        };
        self.look(pace, random, orders);
    }

    /// Signs have a budget: a scene may show them for ever. Looks that found more than the usual error have none, as each that
    /// does not confirm it takes some of the evidence away.
    fn doubting(&self) -> Pace {
        let confirmed = match self.doubt {
            Some(_) => self.chart.evidence() > HEAD_START,
            None => self.chart.evidence() > DOUBT,
        };
        match self.doubt {
            _ if confirmed => Pace::Every(DOUBTING_EVERY),
            Some(_) => Pace::Doubt(DOUBTING_EVERY),
            None => Pace::Rule,
        }
    }

    /// How wrong the student was, by the teacher, on a frame that it was to look at, in units of the objects' size; `None` where
    /// neither found anything.
    pub fn error(&mut self, frame: u64, error: Option<f64>) -> Orders {
        self.sampling.came_back(frame);
        self.empty = error.is_none();
        // What is no number counts like nothing to compare.
        let error = error.unwrap_or(f64::NAN);
        let mut orders = Orders::default();
        match self.phase {
            Phase::Learning => {
                self.chart.add(frame, error);
                if self.chart.is_learnt() {
                    self.learnt(&mut orders);
                }
            }
            Phase::Watching => self.judge(frame, error, &mut orders),
            Phase::Gathering { .. } | Phase::Training { .. } => {}
        }
        orders
    }

    fn judge(&mut self, frame: u64, error: f64, orders: &mut Orders) {
        let alarm = self.chart.add(frame, error);
        if alarm && self.now >= self.not_before {
            let (cause, since) = match self.doubt {
                Some(doubt) => (Cause::Sign(doubt.sign), doubt.from()),
                None => (Cause::Canary, self.chart.since().unwrap_or(frame)),
            };
            return self.begin(cause, Some(self.chart.level()), since, orders);
        }
        if let Some(doubt) = &mut self.doubt {
            doubt.looks += 1;
            if doubt.looks >= SETTLED_AFTER && !alarm && self.chart.evidence() <= HEAD_START {
                self.doubt = None;
                self.usual.learn();
            }
        }
    }

    /// It is known how good the student is: at first, or with new weights.
    fn learnt(&mut self, orders: &mut Orders) {
        let error = self.chart.level();
        self.phase = Phase::Watching;
        match self.round {
            None if error > WORTH && !self.as_good_as_it_gets && self.now >= self.not_before => {
                self.begin(Cause::FirstLook, Some(error), 0, orders);
            }
            None => {}
            Some(round) => {
                let pays = error > LOST || error < (1.0 - PAYS) * round.least;
                match pays && error > GOOD && round.number < MOST_ROUNDS {
                    true => self.next_round(round, error, orders),
                    false => {
                        let brought = error < (1.0 - PAYS) * round.first;
                        self.end_learning(brought);
                    }
                }
            }
        }
    }

    /// The first round: what is kept since then comes first.
    fn begin(&mut self, cause: Cause, error: Option<f64>, since: u64, orders: &mut Orders) {
        let round = Round {
            cause,
            number: 1,
            error,
            usual: self.chart.usual(),
            first: error.unwrap_or(f64::INFINITY),
            least: error.unwrap_or(f64::INFINITY),
        };
        self.doubt = None;
        self.chart.forget_evidence();
        self.round = Some(round);
        orders.began = Some(round);
        let from = since.max(self.kept_from());
        let fresh: Vec<u64> = (from..=self.now)
            .filter(|f| !self.taken.contains(f))
            .collect();
        // Every other frame, unless that is too few.
        let wanted = self.wanted();
        let step = (fresh.len() / wanted.max(1)).max(1);
        orders.learn = fresh.into_iter().rev().step_by(step).take(wanted).collect();
        orders.learn.reverse();
        self.taken.extend(&orders.learn);
        let left = wanted.saturating_sub(orders.learn.len());
        if left == 0 {
            orders.complete = true;
            self.phase = Phase::Training { since: self.now };
        } else {
            self.phase = Phase::Gathering {
                left,
                apart: 1,
                next: self.now + 1,
            };
        }
    }

    fn next_round(&mut self, last: Round, error: f64, orders: &mut Orders) {
        let round = Round {
            number: last.number + 1,
            error: Some(error),
            least: error.min(last.least),
            ..last
        };
        self.round = Some(round);
        orders.began = Some(round);
        self.phase = Phase::Gathering {
            left: self.wanted(),
            apart: APART << (round.number - 2),
            next: self.now + 1,
        };
    }

    /// Something has changed while frames far apart were being gathered: those from now on are what is to be learnt.
    fn hurry(&mut self) {
        if let Phase::Gathering { apart, next, .. } = &mut self.phase {
            *apart = APART.min(*apart);
            *next = (*next).min(self.now + *apart);
        }
    }

    fn gather(&mut self, orders: &mut Orders) {
        let Phase::Gathering { left, apart, next } = &mut self.phase else {
            return;
        };
        if self.now < *next {
            return;
        }
        orders.learn = vec![self.now];
        self.taken.push_back(self.now);
        *next = self.now + *apart;
        *left -= 1;
        if *left == 0 {
            orders.complete = true;
            self.phase = Phase::Training { since: self.now };
        }
    }

    /// What came of the training that the last complete round led to.
    pub fn trained(&mut self, training: Training) {
        if training == Training::Unchanged && matches!(self.phase, Phase::Training { .. }) {
            self.as_good_as_it_gets = true;
            if let Some(error) = self.round.and_then(|r| r.error) {
                self.chart.accept(error);
            }
            self.usual.learn();
            self.doubt = None;
            self.end_learning(false);
        }
    }

    fn new_weights(&mut self) {
        if !matches!(self.phase, Phase::Training { .. }) {
            self.round = None;
        }
        self.as_good_as_it_gets = false;
        self.learn_anew();
        if !self.sampling.is_on() {
            self.end_round();
        }
    }

    fn learn_anew(&mut self) {
        self.usual.forget();
        self.chart = Chart::default();
        self.doubt = None;
        self.phase = match self.sampling.is_on() {
            true => Phase::Learning,
            false => Phase::Watching,
        };
    }

    /// `brought`: the student is better than before the first round.
    fn end_learning(&mut self, brought: bool) {
        self.in_vain = if brought { 0 } else { self.in_vain + 1 };
        self.end_round();
    }

    fn end_round(&mut self) {
        self.round = None;
        self.phase = match self.chart.is_learnt() || !self.sampling.is_on() {
            true => Phase::Watching,
            false => Phase::Learning,
        };
        if let Some(doublings) = self.in_vain.checked_sub(1) {
            let rest = self.settings.cooldown << doublings.min(MOST_DOUBLINGS);
            self.not_before = self.now + rest;
        }
    }

    /// Frames in which something comes of a training. Without a teacher there may be nobody who trains.
    fn patience(&self) -> u64 {
        match self.sampling.is_on() {
            true => PATIENCE,
            false => self.settings.cooldown,
        }
    }

    /// Frames to learn from in a round, besides those that the looks that led to it teach.
    fn wanted(&mut self) -> usize {
        let all = (self.settings.window / 2).max(2);
        all.saturating_sub(std::mem::take(&mut self.taught))
            .max(LEAST)
    }

    fn kept_from(&self) -> u64 {
        let kept = self.settings.window as u64;
        (self.now + 1).saturating_sub(kept).max(self.first)
    }

    /// Of every how many frames there should be a picture for what comes next.
    pub fn pictures_every(&self) -> u64 {
        match self.phase {
            Phase::Gathering { apart, .. } => (apart / 2).max(1),
            Phase::Learning => self.round.map_or(LEARNING_EVERY, |_| CHECKING_EVERY),
            Phase::Watching if self.doubting() != Pace::Rule => DOUBTING_EVERY,
            Phase::Watching | Phase::Training { .. } => CALM_EVERY,
        }
    }

    /// Probability of being wrong from which a window is worse than usual; `None` while that is being learnt.
    pub fn threshold(&self) -> Option<f64> {
        self.usual.threshold()
    }

    /// Evidence that the student has become worse; above 1 it is an alarm.
    pub fn evidence(&self) -> f64 {
        self.chart.evidence()
    }

    /// Mean error while the student was as usual; `None` while that is still being learnt.
    pub fn usual_error(&self) -> Option<f64> {
        self.chart.usual()
    }

    /// The round under way.
    pub fn round(&self) -> Option<Round> {
        self.round
    }
}
