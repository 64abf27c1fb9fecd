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
//!
//! While nothing is wrong the teacher still looks at a few frames, by rule. When enough of them have come together they are
//! learnt from, too, without more ado.

mod chart;
mod frames;
mod gathering;
mod middle;
mod moments;
mod orders;
mod progress;
mod rest;
mod review;
mod sampling;
mod signs;
#[cfg(test)]
mod tests;

pub use orders::{Cause, DriftSettings, Orders, Round, Training};
pub use signs::Signs;

use chart::{Chart, HEAD_START};
use frames::Frames;
use gathering::Gathering;
use progress::Progress;
use rest::Rest;
use review::Review;
use sampling::{Pace, Sampling};
use signs::Usual;

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
/// At least so many frames are taken in a round, besides the looks that led to it.
const LEAST: usize = 3;
/// So many frames before a sign was enough the student was already worse.
const SEEN_BEFORE: u64 = 3;
/// What comes of a training is waited for so many frames.
const PATIENCE: u64 = 3000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Learning,
    Watching,
    Gathering(Gathering),
    Training { since: u64 },
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

impl Doubt {
    /// From where on the student seems worse: a sign is an average, for which a few frames are enough.
    fn from(&self) -> u64 {
        self.since.saturating_sub(SEEN_BEFORE)
    }
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
    rest: Rest,
    review: Review,
    /// These weights were tried to be bettered in vain: what they err is as good as it gets, however much it is.
    as_good_as_it_gets: bool,
    version: Option<u64>,
    frames: Frames,
    /// Looks that teach, since the last round.
    taught: usize,
    /// On the frame of the last look neither student nor teacher found anything.
    empty: bool,
    /// Whether there is a picture of the frame now.
    pictured: bool,
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
            rest: Rest::default(),
            review: Review::default(),
            as_good_as_it_gets: false,
            version: None,
            frames: Frames::default(),
            taught: 0,
            empty: false,
            pictured: false,
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
        self.frames.interrupt();
        if matches!(self.phase, Phase::Gathering(_)) {
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
        self.frames.next(number, self.settings.window);
        self.pictured = pictured;
        if !pictured {
            self.frames.take();
        }
        if self.version.replace(version).is_some_and(|v| v != version) {
            self.new_weights();
        }
        if self
            .review
            .since()
            .is_some_and(|s| number.saturating_sub(s) > self.patience())
        {
            self.review.ends(false);
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
            Phase::Gathering(ref mut gathering) => {
                if sign.is_some() {
                    gathering.hurry(number);
                }
                if pictured && gathering.takes(number) {
                    orders.learn = vec![number];
                    orders.complete = gathering.is_complete();
                    self.frames.take();
                }
                if orders.complete {
                    self.phase = Phase::Training { since: number };
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
        let now = self.frames.now();
        orders.look = self.sampling.looks(now, pace, self.pictured, random);
        orders.teaches = orders.look && pace != Pace::Rule;
        if orders.look {
            self.frames.take();
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
                    since: self.frames.now(),
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
            let lasts = |d: &Doubt| self.frames.now() - d.since >= self.settings.window as u64 / 2;
            if let Some(doubt) = self.doubt.filter(lasts)
                && self.is_rested()
            {
                self.begin(Cause::Sign(doubt.sign), None, doubt.from(), orders);
            }
            return;
        }
        let pace = match nothing || !self.is_rested() {
            true => Pace::Rule,
            false => self.doubting(),
        };
        self.look(pace, random, orders);
        if orders.look && !orders.teaches && !nothing {
            self.review(orders);
        }
    }

    /// One more look by rule. When there are enough of them, it is the last of those that are learnt from. The watch goes on
    /// meanwhile: nothing is wrong, and perhaps nobody trains.
    fn review(&mut self, orders: &mut Orders) {
        self.review.look();
        let now = self.frames.now();
        if self.doubt.is_none() && self.review.begins(self.settings.batch, now) {
            let usual = self.chart.usual();
            orders.complete = true;
            orders.began = Some(Round {
                cause: Cause::Review,
                number: 1,
                error: usual,
                usual,
                progress: Progress::new(None),
            });
        }
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
            Phase::Gathering(_) | Phase::Training { .. } => {}
        }
        orders
    }

    fn judge(&mut self, frame: u64, error: f64, orders: &mut Orders) {
        let alarm = self.chart.add(frame, error);
        if alarm && self.is_rested() {
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
            None if error > WORTH && !self.as_good_as_it_gets && self.is_rested() => {
                self.begin(Cause::FirstLook, Some(error), 0, orders);
            }
            None => {}
            Some(mut round) => match round.progress.goes_on(round.number, error, round.usual) {
                true => self.next_round(round, error, orders),
                false => self.end_learning(round.progress.has_brought(error)),
            },
        }
    }

    /// The first round: what is kept since then comes first.
    fn begin(&mut self, cause: Cause, error: Option<f64>, since: u64, orders: &mut Orders) {
        let round = Round {
            cause,
            number: 1,
            error,
            usual: self.chart.usual(),
            progress: Progress::new(error),
        };
        self.doubt = None;
        self.chart.forget_evidence();
        self.review.forget();
        self.round = Some(round);
        orders.began = Some(round);
        let wanted = self.wanted();
        orders.learn = self.frames.take_since(since, wanted);
        let left = wanted.saturating_sub(orders.learn.len());
        let now = self.frames.now();
        orders.complete = left == 0;
        self.phase = match orders.complete {
            true => Phase::Training { since: now },
            false => Phase::Gathering(Gathering::new(round.number, left, now)),
        };
    }

    fn next_round(&mut self, last: Round, error: f64, orders: &mut Orders) {
        let round = Round {
            number: last.number + 1,
            error: Some(error),
            ..last
        };
        self.round = Some(round);
        orders.began = Some(round);
        let (left, now) = (self.wanted(), self.frames.now());
        self.phase = Phase::Gathering(Gathering::new(round.number, left, now));
    }

    /// What came of the training that the last complete round led to.
    pub fn trained(&mut self, training: Training) {
        if training == Training::Changed || self.review.ends(false) {
            return;
        }
        if matches!(self.phase, Phase::Training { .. }) {
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
        self.as_good_as_it_gets = false;
        // There was no drift: what is usual stays so.
        if self.review.ends(true) {
            return;
        }
        if !matches!(self.phase, Phase::Training { .. }) {
            self.round = None;
        }
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
        self.rest.count(brought);
        self.end_round();
    }

    fn end_round(&mut self) {
        self.round = None;
        self.phase = match self.chart.is_learnt() || !self.sampling.is_on() {
            true => Phase::Watching,
            false => Phase::Learning,
        };
        self.rest.begin(self.frames.now(), self.settings.cooldown);
    }

    /// Whether it may be learnt again.
    fn is_rested(&self) -> bool {
        self.rest.is_over(self.frames.now())
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

    /// Of every how many frames there should be a picture for what comes next.
    pub fn pictures_every(&self) -> u64 {
        match self.phase {
            Phase::Gathering(gathering) => gathering.pictures_every(),
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
