// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The selector as an edge uses it: it learns from the frames that pass, and says where the next one goes.

use std::time::{Duration, Instant};

use crate::speeds::Speeds;
use crate::transit::{Transit, on_wire};
use crate::{
    ASSUMED_BANDWIDTH, Choice, Decision, Objective, Offload, Path, Profile, Server, Situation,
    decide,
};

/// By what share another choice must be better than the current one to replace it.
const MARGIN: f64 = 0.04;
/// Of so many frames about, the mean of the bytes sent is taken for the next.
const SIZE_MEMORY: u64 = 8;
/// Frames over which the larger frames after a switch are spread.
const PAYS_BACK: f64 = 12.0;
/// After so long without news of the link it is asked whether it has become better, more and more seldom while it has not.
const FIRST_PROBE: Duration = Duration::from_millis(150);
const SLOWEST_PROBE: Duration = Duration::from_secs(2);
/// By how much it may have become better in a second, at most in all, and, where nothing is known, what it may be.
const HOPE: f64 = 4.0;
const MOST_HOPE: f64 = 64.0;
const HOPED_BANDWIDTH: f64 = 12.5e6;
/// A monitor's word counts where the frames have not told anything for so long.
const SILENT: Duration = Duration::from_millis(250);
/// And where it has spoken within this time nobody else needs to ask.
const WATCHED: Duration = Duration::from_millis(600);
/// Completion here may take so many times as long as usual.
const CAUTION: f64 = 1.05;
/// An answer may come so many mean deviations later than expected, and this share.
const DEVIATIONS: f64 = 3.0;
const SPARE: f64 = 0.1;

/// What one answered frame told about path and server.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub number: u64,
    pub choice: Choice,
    pub bytes: u64,
    /// From sending to the last byte of the answer.
    pub taken: Duration,
    /// How long it waited on the server.
    pub queue: Duration,
    /// Decoding and inference there.
    pub work: Duration,
}

/// What is wanted of the next plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    pub connected: bool,
    pub objective: Objective,
    /// From the prepared picture to the result.
    pub budget: Duration,
    /// Time between two inferred frames; `None`: not known.
    pub interval: Option<Duration>,
    /// Frames that may be under way at a time.
    pub in_flight: u32,
}

/// Where the next frame goes.
#[derive(Clone, Debug)]
pub struct Plan {
    pub decision: Decision,
    /// The frame is sent to see how the link is, and completed here all the same.
    pub probe: bool,
    /// From now on, how long an answer is to be waited for even if completion here is late then.
    pub patience: Duration,
}

/// Estimators and the current choice.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    current: Option<Choice>,
    speeds: Option<Speeds>,
    link: Transit,
    /// Mean wait on the server, seconds.
    queue: f64,
    /// The last cut that was sent, and whether the server has answered a frame of it: what it lacks stands alone.
    coded: Option<(usize, bool)>,
    probes: Probes,
    /// When the last frame is likely to have come, whatever it waited for.
    came: Option<Instant>,
    /// When the monitor's last word on the rate was heard.
    monitored: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Probes {
    wait: Duration,
    last: Option<Instant>,
}

impl Default for Probes {
    fn default() -> Self {
        Self {
            wait: FIRST_PROBE,
            last: None,
        }
    }
}

impl Selector {
    /// What each choice costs on this machine; until it is set, everything is done here.
    pub fn set_profile(&mut self, profile: Profile) {
        self.speeds = Some(Speeds::new(profile));
    }

    /// A candidate of the profile was only estimated, and is known now.
    pub fn measured(&mut self, candidate: usize, offload: Offload) {
        let profile = self.speeds.as_mut().map(Speeds::measured_mut);
        if let Some(old) = profile.and_then(|p| p.candidates.get_mut(candidate)) {
            *old = offload;
        }
    }

    /// As it was set, with the sizes of frames as they are now.
    pub fn profile(&self) -> Option<&Profile> {
        self.speeds.as_ref().map(Speeds::measured)
    }

    pub fn current(&self) -> Option<Choice> {
        self.current
    }

    /// The choice was made by somebody else.
    pub fn set_current(&mut self, choice: Choice) {
        self.current = Some(choice);
    }

    /// The streaming thread has worked so long on a frame of this choice, inference and coding.
    pub fn worked(&mut self, choice: Choice, took: Duration) {
        if let Some(speeds) = &mut self.speeds {
            speeds.worked(choice, took);
        }
    }

    /// A frame of this choice was completed here after all.
    pub fn completed(&mut self, choice: Choice, took: Duration) {
        if let Some(speeds) = &mut self.speeds {
            speeds.completed(choice, took);
        }
    }

    pub fn sent(&mut self, number: u64, choice: Choice, bytes: u64, now: Instant) {
        let there = self.speeds.as_ref().map_or(0.0, |s| s.there(choice));
        self.link.sent(number, bytes, self.queue + there, now);
        if let Choice::Candidate(i) = choice
            && self.coded.is_none_or(|(cut, _)| cut != i)
        {
            self.coded = Some((i, false));
        }
    }

    /// A frame was answered in time.
    pub fn answered(&mut self, round: &Round) {
        let there = (round.queue + round.work).as_secs_f64();
        self.link
            .answered(round.number, round.taken.as_secs_f64(), there);
        self.queue += (round.queue.as_secs_f64() - self.queue) / 4.0;
        let predicted = matches!((round.choice, self.coded), (Choice::Candidate(i), Some((cut, true))) if i == cut);
        if let Some(speeds) = &mut self.speeds {
            speeds.served(round.choice, round.work);
            let profile = speeds.measured_mut();
            let sent = match round.choice {
                Choice::Picture => profile.picture.as_mut(),
                // Those that stand alone are no measure of those that do not.
                Choice::Candidate(i) if predicted => profile.candidates.get_mut(i),
                _ => None,
            };
            if let Some(offload) = sent {
                offload.bytes = (offload.bytes * (SIZE_MEMORY - 1) + round.bytes) / SIZE_MEMORY;
            }
        }
        if let (Choice::Candidate(i), Some((cut, known))) = (round.choice, &mut self.coded)
            && i == *cut
        {
            *known = true;
        }
    }

    /// A frame was not answered in time.
    pub fn given_up(&mut self, number: u64, now: Instant) {
        self.link.given_up(number, now);
    }

    /// The session is gone, and what the server had with it.
    pub fn disconnected(&mut self) {
        self.link.disconnected();
        self.coded = None;
    }

    /// Round trip of the connection as QUIC smooths it, with what waits before its own packets.
    pub fn trip(&mut self, rtt: Duration, now: Instant) {
        self.link.trip(rtt, now);
    }

    /// What a monitor beside the connection has found: mean round trip of its small packets, and bytes a second of the
    /// link, measured at `at`.
    pub fn monitored(&mut self, rtt: Option<Duration>, rate: Option<(f64, Instant)>, now: Instant) {
        if let Some(rtt) = rtt {
            self.link.monitored_rtt(rtt);
        }
        if let Some((rate, at)) = rate
            && self.monitored.is_none_or(|last| at > last)
        {
            self.monitored = Some(at);
            if self.link.age(now).is_none_or(|age| age >= SILENT) {
                self.link.monitored_rate(rate, now);
            }
        }
    }

    /// What the server tells of itself without a frame: how long a new one would wait there, and how long it works on
    /// frames of a choice, as it has on those of others. It counts where this one's frames have not told anything for a
    /// while, the times until they tell it for the first time.
    pub fn server(
        &mut self,
        queue: Duration,
        times: impl Iterator<Item = (Choice, Duration)>,
        now: Instant,
    ) {
        if self.link.age(now).is_none_or(|age| age >= SILENT) {
            self.queue = queue.as_secs_f64();
        }
        let unknown = self.speeds.as_mut().filter(|s| !s.server_known());
        if let Some(speeds) = unknown {
            times.for_each(|(choice, took)| speeds.served(choice, took));
        }
    }

    /// Bytes a second of the link, as far as they are known.
    pub fn bandwidth(&self, now: Instant) -> Option<f64> {
        self.link.rate(now)
    }

    /// How long it takes to complete a frame of this choice here, with some caution; `None` without a profile.
    pub fn time_to_complete(&self, choice: Choice) -> Option<Duration> {
        let speeds = self.speeds.as_ref()?;
        let profile = speeds.measured();
        let rest = match choice {
            Choice::Candidate(i) => profile.candidates.get(i).map_or(profile.whole, |c| c.tail),
            Choice::Here | Choice::Picture => profile.whole,
        };
        Some(rest.mul_f64(speeds.rest(choice) * CAUTION))
    }

    /// Where the next frame goes.
    pub fn decide(&mut self, wish: &Wish, now: Instant) -> Plan {
        self.link.clean(now);
        let waited = self.waited(wish.interval, now);
        let profile = self.profile_now(wish, now);
        let path = wish.connected.then(|| self.path(now, false));
        let mut decision = self.decide_on(wish, &profile, path.as_ref(), waited);
        if decision.choice != Choice::Here && self.current == Some(Choice::Here) {
            self.probes = Probes::default();
        }
        self.current = Some(decision.choice);
        let mut probe = false;
        if let Some(choice) = self.probe(wish, &profile, &decision, waited, now) {
            probe = decision.choice == Choice::Here;
            decision.choice = choice;
        }
        Plan {
            patience: self.patience(wish, &decision),
            decision,
            probe,
        }
    }

    /// None where completion here, begun in time for the deadline, comes after the answer most likely has; else all that
    /// the budget gives, for then it would more often spoil what goes well than save what does not.
    fn patience(&self, wish: &Wish, decision: &Decision) -> Duration {
        let late = DEVIATIONS * self.link.deviation() + decision.predicted.as_secs_f64() * SPARE;
        let answer = decision.predicted + Duration::from_secs_f64(late);
        let rest = self.time_to_complete(decision.choice);
        if answer + rest.unwrap_or_default() > wish.budget {
            wish.budget
        } else {
            Duration::ZERO
        }
    }

    /// How long a frame that is begun now has waited, were they to come at equal intervals.
    fn waited(&mut self, interval: Option<Duration>, now: Instant) -> Duration {
        let (Some(interval), Some(came)) = (interval.filter(|i| !i.is_zero()), self.came) else {
            self.came = Some(now);
            return Duration::ZERO;
        };
        let since = now.saturating_duration_since(came).as_nanos();
        let waited = match since < interval.as_nanos() {
            true => Duration::ZERO,
            false => Duration::from_nanos((since % interval.as_nanos()) as u64),
        };
        self.came = now.checked_sub(waited);
        waited
    }

    fn decide_on(
        &self,
        wish: &Wish,
        profile: &Profile,
        path: Option<&Path>,
        waited: Duration,
    ) -> Decision {
        decide(&Situation {
            budget: Some(wish.budget),
            interval: wish.interval,
            waited,
            in_flight: Some(wish.in_flight),
            objective: wish.objective,
            current: self.current,
            margin: MARGIN,
            ..Situation::new(profile, path)
        })
    }

    /// Whether to ask how the link is, and with which choice: the one that would be best were it better.
    fn probe(
        &mut self,
        wish: &Wish,
        profile: &Profile,
        decision: &Decision,
        waited: Duration,
        now: Instant,
    ) -> Option<Choice> {
        let speeds = self.speeds.as_ref().filter(|_| wish.connected)?;
        let watched = self
            .monitored
            .is_some_and(|at| now.saturating_duration_since(at) < WATCHED);
        let age = self.link.age(now);
        let recent = |at: Instant| now.saturating_duration_since(at) < self.probes.wait;
        if age.is_some_and(|age| age < self.probes.wait)
            || self.probes.last.is_some_and(recent)
            || watched && speeds.server_known()
        {
            return None;
        }
        let hopeful = self.decide_on(wish, profile, Some(&self.path(now, true)), waited);
        let better = hopeful.choice != decision.choice && hopeful.choice != Choice::Here;
        if !better {
            return None;
        }
        self.probes.last = Some(now);
        self.probes.wait = (self.probes.wait * 2).min(SLOWEST_PROBE);
        Some(hopeful.choice)
    }

    /// The way to the server as the last frames found it, or as it may have become meanwhile.
    fn path(&self, now: Instant, hopeful: bool) -> Path {
        let there = |choice| {
            let seconds = self.speeds.as_ref().map(|s| match hopeful {
                true => s.there_at_best(choice),
                false => s.there(choice),
            });
            seconds.map(Duration::from_secs_f64)
        };
        let count = self.profile().map_or(0, |p| p.candidates.len());
        let full = 1_160.0 / on_wire(1_160);
        let rate = match (self.link.rate(now), hopeful) {
            (Some(rate), false) => rate * full,
            (Some(rate), true) => {
                let age = self.link.age(now).unwrap_or_default().as_secs_f64();
                let hope = HOPE.powf(1.0 + age).min(MOST_HOPE);
                (rate * hope).max(self.link.peak(now)) * full
            }
            (None, false) => ASSUMED_BANDWIDTH,
            (None, true) => HOPED_BANDWIDTH,
        };
        Path {
            rtt: Duration::from_secs_f64(self.link.rtt()),
            bandwidth: Some(rate),
            backlog: Duration::from_secs_f64(self.link.backlog(now).min(1e3)),
            server: Server {
                queue: Duration::from_secs_f64(self.queue),
                picture: there(Choice::Picture),
                tails: (0..count).map(|i| there(Choice::Candidate(i))).collect(),
                ..Server::default()
            },
        }
    }

    /// The profile at the speed of this machine now, sizes with what a switch costs.
    fn profile_now(&self, wish: &Wish, now: Instant) -> Profile {
        let Some(speeds) = &self.speeds else {
            return Profile::default();
        };
        let mut profile = speeds.measured().clone();
        profile.whole = profile.whole.mul_f64(speeds.whole());
        let alone = self.frames_alone(wish, now);
        for (i, offload) in profile.candidates.iter_mut().enumerate() {
            let share = match self.coded {
                Some((cut, true)) if cut == i => 0.0,
                _ => (alone / PAYS_BACK).min(1.0),
            };
            let more = offload.fresh_bytes.saturating_sub(offload.bytes) as f64 * share;
            offload.bytes += more as u64;
        }
        let candidates = profile.candidates.iter_mut().enumerate();
        let candidates = candidates.map(|(i, offload)| (Choice::Candidate(i), offload));
        let picture = profile.picture.iter_mut().map(|o| (Choice::Picture, o));
        for (choice, offload) in picture.chain(candidates) {
            let (front, rest) = (speeds.front(choice), speeds.rest(choice));
            offload.head = offload.head.mul_f64(front);
            offload.encode = offload.encode.mul_f64(front);
            offload.tail = offload.tail.mul_f64(rest);
        }
        profile
    }

    /// Frames until the first answer after a switch, about.
    fn frames_alone(&self, wish: &Wish, now: Instant) -> f64 {
        let interval = wish.interval.unwrap_or(Duration::from_millis(33));
        let round = self.link.rtt() + self.queue + self.link.backlog(now) + 0.01;
        (round / interval.as_secs_f64()).ceil().max(1.0)
    }
}
