// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which split the next frame gets: the one the user fixed, or the one that `crates/plan` finds best.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use splitinfer_plan::{Choice, Fixed, Objective, Plan, Selector, Turnaround, Wish, can_pay};
use splitinfer_vision::Picture;

use super::OnDeadline;
use super::engine::Engine;
use super::filming::Filming;
use super::imp::Started;
use super::link::{Link, News};
use super::load::Load;
use super::monitor;
use super::settings::Settings;
use super::split;
use super::survey::{Finding, Survey};

/// Part of the budget that is left for waking up, on a machine with other work, and for handing the result on, when completion
/// here is begun as late as possible.
const MARGIN: f64 = 0.05;
const LEAST_MARGIN: Duration = Duration::from_millis(2);

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

/// What is wanted of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen {
    pub(super) choice: Choice,
    /// When that was decided.
    at: Instant,
    /// Complete it here, too, at once.
    pub(super) probe: bool,
    /// How long an answer is waited for from then on, even if completion here is late for the deadline then.
    patience: Duration,
    /// The longest that the server may take for an answer to be there sooner than without it; `None`: it is of use until it is of
    /// none at all.
    pub(super) longest: Option<Duration>,
}

/// The planner of one started element; on the streaming thread.
pub(super) struct Planner {
    selector: Selector,
    /// Of the weights that the last frame was for.
    version: Option<u64>,
    /// While it is being found out what the choices cost on this machine.
    survey: Option<Survey>,
    surveyed: bool,
    load: Load,
    fixed: Fixed,
    turnaround: Turnaround,
}

impl Planner {
    pub(super) fn new() -> Self {
        Self {
            selector: Selector::new(RandomState::new().hash_one(0)),
            version: None,
            survey: None,
            surveyed: false,
            load: Load::default(),
            fixed: Fixed::default(),
            turnaround: Turnaround::default(),
        }
    }

    /// What the frames leave of this machine's time.
    pub(super) fn load(&self) -> Load {
        self.load
    }

    /// The streaming thread's work on a frame, completion not included.
    pub(super) fn worked(&mut self, choice: Choice, took: Duration) {
        self.load.work = took;
        self.selector.worked(choice, took);
        self.fixed.worked(took);
    }

    pub(super) fn sent(&mut self, number: u64, choice: Choice, bytes: usize, now: Instant) {
        self.fixed.sent(number);
        self.selector.sent(number, choice, bytes as u64, now);
    }

    /// Until when an answer is waited for.
    pub(super) fn give_up_at(
        &self,
        wanted: &Chosen,
        engine: &Engine,
        settings: &Settings,
        deadline: Instant,
    ) -> Instant {
        let budget = settings.latency_budget;
        let rest = match settings.on_deadline() {
            OnDeadline::Complete => self.rest(wanted.choice, engine, budget),
            OnDeadline::Skip => margin(budget),
        };
        let in_time = deadline.checked_sub(rest).unwrap_or(deadline);
        in_time.max((wanted.at + wanted.patience).min(deadline))
    }

    /// To complete a frame here and hand it on.
    pub(super) fn rest(&self, choice: Choice, engine: &Engine, budget: Duration) -> Duration {
        let known = self.selector.time_to_complete(choice);
        known.unwrap_or_else(|| engine.time_to_complete(choice)) + margin(budget)
    }

    /// See [`Chosen::longest`]. A machine that cannot keep up by itself, or is to be spared, rather waits.
    fn longest(
        &self,
        choice: Choice,
        engine: &Engine,
        settings: &Settings,
        interval: Option<Duration>,
    ) -> Option<Duration> {
        let rest = self.selector.time_to_complete(choice);
        let rest = rest.unwrap_or_else(|| engine.time_to_complete(choice));
        let keeps_up = interval.is_none_or(|interval| rest <= interval);
        let soonest = Objective::from(settings.objective) == Objective::Latency;
        (soonest && keeps_up && !rest.is_zero()).then_some(rest)
    }

    /// When the server has to be at work on a frame at the latest for its answer to be here at `due`; `None` before it has
    /// answered any of this choice.
    pub(super) fn server_begins_by(
        &self,
        choice: Choice,
        due: Instant,
        budget: Duration,
        rtt: Duration,
    ) -> Option<Instant> {
        let needed = self.turnaround.needed(choice, rtt)?;
        due.checked_sub(needed + margin(budget))
    }

    /// The server has no tensors that later ones could be predicted from.
    pub(super) fn tensors_lost(&mut self) {
        self.selector.tensors_lost();
    }

    /// The server lacks a picture of the video.
    pub(super) fn video_broken(&mut self) {
        self.selector.video_broken();
    }

    /// The split for the next frame, and the change if it is one. `filming`: whether this side can make a video;
    /// `interval`: time between inferred frames.
    pub(super) fn choose(
        &mut self,
        started: &Started,
        engine: &Engine,
        settings: &Settings,
        filming: bool,
        interval: Option<Duration>,
        now: Instant,
    ) -> (Chosen, Option<PlanChange>) {
        self.load.interval = interval;
        let candidates = engine.candidates();
        let old = self.selector.current();
        let fixed = |choice| Chosen {
            choice,
            at: now,
            probe: false,
            patience: Duration::ZERO,
            longest: None,
        };
        let video = filming && started.link.as_ref().is_some_and(|l| l.takes_video());
        let choice = settings.split.resolve(candidates, settings.remote_only);
        if let Some(link) = &started.link {
            self.hear(link, now);
            self.selector
                .set_keeps_last_only(!link.keeps_each_candidate());
        }
        // Tensors are predicted from those of the same weights only.
        if self.version.replace(engine.version()) != Some(engine.version()) {
            self.selector.tensors_lost();
        }
        let (wanted, reason, predicted) = match (choice, &started.link) {
            (Ok(Some(choice)), _) => {
                let mut reason = "set by the property 'split'".to_owned();
                let choice = match choice {
                    Choice::Video if !video => {
                        reason.push_str(", and no video can be sent now");
                        Choice::Picture
                    }
                    choice => choice,
                };
                let budget = settings.latency_budget;
                let rest = self.rest(choice, engine, budget);
                let patience = match settings.remote_only {
                    true => budget,
                    false => self.fixed.patience(choice, budget, rest, now),
                };
                let wanted = Chosen {
                    patience,
                    ..fixed(choice)
                };
                (wanted, reason, None)
            }
            // Reported when it was set; what ran before goes on.
            (Err(_), _) => {
                let none = match settings.remote_only {
                    true => Choice::Picture,
                    false => Choice::Here,
                };
                return (fixed(old.unwrap_or(none)), None);
            }
            (Ok(None), None) => (fixed(Choice::Here), "no server is set".into(), None),
            (Ok(None), Some(link)) => {
                let plan = self.plan(link, settings, video, interval, now);
                let budget = settings.latency_budget;
                let rest = self.rest(plan.decision.choice, engine, budget);
                let choice = plan.decision.choice;
                let wanted = Chosen {
                    choice,
                    at: now,
                    probe: plan.probe,
                    patience: match can_pay(budget, rest) {
                        true => plan.patience,
                        false => Duration::ZERO,
                    },
                    longest: self.longest(choice, engine, settings, interval),
                };
                (wanted, plan.decision.reason, Some(plan.decision.predicted))
            }
        };
        if predicted.is_none() {
            self.selector.set_current(wanted.choice);
        }
        // A probe goes elsewhere and changes nothing.
        let new = self.selector.current().unwrap_or(Choice::Here);
        let change = (old != Some(new)).then(|| PlanChange {
            old: old
                .map_or("none", |old| split::name(old, candidates))
                .to_owned(),
            new: split::name(new, candidates).to_owned(),
            reason,
            predicted,
        });
        (wanted, change)
    }

    /// What became of frames that are under way.
    fn hear(&mut self, link: &Link, now: Instant) {
        for news in link.take_news() {
            match news {
                News::Answered(round) => {
                    self.selector.answered(&round);
                    self.fixed.answered(round.number, round.taken);
                    self.turnaround
                        .answered(round.choice, round.queue + round.work);
                }
                News::AnsweredInPart {
                    number,
                    choice,
                    there,
                    after,
                    at,
                } => {
                    // Of the link it tells what a frame without an answer does.
                    self.selector.given_up(number, at);
                    self.fixed.answered_in_part(number);
                    let rtt = monitor::rtt(&link.stats()).unwrap_or_default();
                    self.turnaround.answered_in_part(choice, there, after, rtt);
                }
                News::Refused {
                    number,
                    taken,
                    queue,
                    at,
                } => {
                    self.selector.refused(number, taken, queue, at);
                    self.fixed.given_up(number, now);
                }
                News::GivenUp { number, at } => {
                    self.selector.given_up(number, at);
                    self.fixed.given_up(number, now);
                }
                News::Decoded(choice) => self.selector.decoded(choice),
                News::Completed { choice, took } => self.selector.completed(choice, took),
                News::Disconnected => self.selector.disconnected(),
            }
        }
    }

    fn plan(
        &mut self,
        link: &Link,
        settings: &Settings,
        video: bool,
        interval: Option<Duration>,
        now: Instant,
    ) -> Plan {
        let stats = link.stats();
        if let Some(rtt) = stats.rtt {
            self.selector.trip(rtt, now);
        }
        if stats.connected {
            monitor::tell(&mut self.selector, &stats, now);
        }
        link.tell_bandwidth(self.selector.bandwidth(now));
        let wish = Wish {
            connected: stats.connected,
            video,
            objective: settings.objective.into(),
            budget: settings.latency_budget,
            interval,
            in_flight: u32::try_from(settings.max_in_flight).unwrap_or(u32::MAX),
        };
        self.selector.decide(&wish, now)
    }

    /// Whether [`survey`](Self::survey) has something to find out.
    pub(super) fn is_curious(&self, link: &Link) -> bool {
        !self.surveyed && link.stats().connected
    }

    /// Measures a little of what there is to choose among. For the time when the frame of this picture is on its way.
    ///
    /// # Errors
    /// When inference or coding fails.
    pub(super) fn survey(
        &mut self,
        engine: &Engine,
        settings: &Settings,
        picture: &Picture,
        filming: &mut Option<Filming>,
    ) -> Result<(), gst::ErrorMessage> {
        let survey = self.survey.get_or_insert_with(Survey::new);
        for finding in survey.go_on(engine, settings, picture, filming, self.load)? {
            match finding {
                Finding::Profile(profile) => self.selector.set_profile(profile),
                Finding::Choice(choice, offload) => self.selector.measured(choice, offload),
            }
        }
        if survey.is_done() {
            self.surveyed = true;
            self.survey = None;
        }
        Ok(())
    }
}

fn margin(budget: Duration) -> Duration {
    budget.mul_f64(MARGIN).max(LEAST_MARGIN)
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
