// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the planner is compared with.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use splitinfer_plan::{Choice, Profile};

use super::run::{Policy, View, Wanted};
use super::setting::Setting;
use super::world::{Left, Seen};

/// Always the same.
pub struct Fixed {
    choice: Choice,
    profile: Profile,
    waiting: splitinfer_plan::Fixed,
    start: Instant,
    budget: Duration,
}

impl Fixed {
    pub fn new(setting: &Setting, choice: Choice) -> Self {
        Self {
            choice,
            profile: setting.profile(),
            waiting: splitinfer_plan::Fixed::default(),
            start: Instant::now(),
            budget: setting.budget,
        }
    }
}

impl Policy for Fixed {
    fn start(&mut self, start: Instant) {
        self.start = start;
    }

    fn see(&mut self, seen: &Seen) {
        match *seen {
            Seen::Worked { infer, encode, .. } => self.waiting.worked(infer + encode),
            Seen::Sent { number, .. } => self.waiting.sent(number.into()),
            Seen::Answered { number, round, .. } => {
                self.waiting.answered(number.into(), round.taken);
            }
            Seen::Missed { number, at } => {
                self.waiting.given_up(number.into(), self.start + at);
            }
            _ => {}
        }
    }

    fn choose(&mut self, view: &View) -> Wanted {
        let rest = self.rest(self.choice);
        let patience = self
            .waiting
            .patience(self.choice, self.budget, rest, view.now);
        Wanted {
            patience,
            ..self.choice.into()
        }
    }

    fn rest(&self, choice: Choice) -> Duration {
        self.profile.rest(choice)
    }
}

/// After Neurosurgeon (Kang et al., ASPLOS 2017): times of heads and tails by a regression over the work in them, edge
/// and server each its own; the bandwidth of the last transfer; no hysteresis, no queues. Two gifts: it sends our code
/// instead of raw tensors, and its regression is fitted to this very model. As published it reckons with no coding,
/// for there was none; a second one knows how long encoding and decoding take.
pub struct Neurosurgeon {
    profile: Profile,
    choices: Vec<Choice>,
    /// Predicted time here and there of each candidate, and of all here.
    candidates: Vec<(Duration, Duration)>,
    whole: Duration,
    /// Encoding here and decoding there of each choice; empty for the one that does not know.
    coding: HashMap<Choice, Duration>,
    faster: f64,
    bandwidth: f64,
    rtt: Duration,
}

impl Neurosurgeon {
    /// It knows the coding times before the first frame, as it knows those of inference.
    pub fn with_coding(setting: &Setting) -> Self {
        let mut all = Self::as_published(setting);
        for (choice, offload) in all.profile.offloads() {
            let last = setting.code(choice, 1, Some(0), Duration::ZERO);
            all.coding.insert(choice, offload.encode + last.decode);
        }
        all
    }

    pub fn as_published(setting: &Setting) -> Self {
        let profile = setting.profile();
        let shares: Vec<f64> = setting.model.cuts.iter().map(|c| c.head_share).collect();
        let heads: Vec<f64> = profile
            .candidates
            .iter()
            .map(|c| c.head.as_secs_f64())
            .collect();
        let mut points: Vec<(f64, f64)> = shares.iter().copied().zip(heads).collect();
        points.push((0.0, 0.0));
        points.push((1.0, profile.whole.as_secs_f64()));
        let (offset, slope) = regression(&points);
        let time = |share: f64| Duration::from_secs_f64((offset + slope * share).max(0.0));
        Self {
            candidates: shares.iter().map(|s| (time(*s), time(1.0 - s))).collect(),
            choices: setting.choices(),
            whole: time(1.0),
            coding: HashMap::new(),
            faster: setting.edge_slower * setting.server_faster,
            bandwidth: 1.25e6,
            rtt: Duration::ZERO,
            profile,
        }
    }

    fn predicted(&self, choice: Choice) -> Duration {
        let (here, there) = match choice {
            Choice::Here => return self.whole,
            Choice::Picture | Choice::Video => (Duration::ZERO, self.whole),
            Choice::Candidate(i) => self.candidates[i],
        };
        let coding = self.coding.get(&choice).copied().unwrap_or_default();
        let bytes = self.profile.offload(choice).map_or(0, |o| o.bytes);
        let seconds = bytes as f64 / self.bandwidth;
        coding + here + there.div_f64(self.faster) + Duration::from_secs_f64(seconds) + self.rtt
    }
}

impl Policy for Neurosurgeon {
    fn see(&mut self, seen: &Seen) {
        if let Seen::Answered { round, .. } = seen {
            let transfer = round
                .taken
                .saturating_sub(self.rtt + round.queue + round.work)
                .max(Duration::from_micros(100));
            self.bandwidth = round.bytes as f64 / transfer.as_secs_f64();
        }
    }

    fn choose(&mut self, view: &View) -> Wanted {
        self.rtt = view.rtt.unwrap_or_default();
        let all = self.choices.iter().copied();
        let best = all.min_by_key(|c| self.predicted(*c));
        best.unwrap_or(Choice::Here).into()
    }

    fn rest(&self, choice: Choice) -> Duration {
        self.profile.rest(choice)
    }
}

/// Least squares: offset and slope.
fn regression(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let (x, y) = points
        .iter()
        .fold((0.0, 0.0), |(a, b), p| (a + p.0 / n, b + p.1 / n));
    let above: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let below: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let slope = if below > 0.0 { above / below } else { 0.0 };
    (y - slope * x, slope)
}

/// Discounted UCB (Garivier and Moulines, ALT 2011) over the choices, without any profile: it learns from the latencies
/// of frames that have left.
pub struct Bandit {
    profile: Profile,
    choices: Vec<Choice>,
    /// Discounted number and sum of costs, each in budgets.
    arms: Vec<(f64, f64)>,
    budget: Duration,
}

const DISCOUNT: f64 = 0.98;
const EXPLORE: f64 = 0.1;

impl Bandit {
    pub fn new(setting: &Setting) -> Self {
        let choices = setting.choices();
        Self {
            profile: setting.profile(),
            arms: vec![(0.0, 0.0); choices.len()],
            choices,
            budget: setting.budget,
        }
    }
}

impl Policy for Bandit {
    fn see(&mut self, _: &Seen) {}

    fn left(&mut self, left: &Left, latency: Duration) {
        for (number, sum) in &mut self.arms {
            *number *= DISCOUNT;
            *sum *= DISCOUNT;
        }
        if let Some(i) = self.choices.iter().position(|c| *c == left.choice) {
            self.arms[i].0 += 1.0;
            self.arms[i].1 += latency.as_secs_f64() / self.budget.as_secs_f64();
        }
    }

    fn choose(&mut self, _: &View) -> Wanted {
        let total: f64 = self.arms.iter().map(|a| a.0).sum();
        let bound = |&(number, sum): &(f64, f64)| {
            if number < 1e-3 {
                return f64::NEG_INFINITY;
            }
            sum / number - EXPLORE * (total.max(1.0).ln() / number).sqrt()
        };
        let best = (0..self.arms.len())
            .min_by(|a, b| bound(&self.arms[*a]).total_cmp(&bound(&self.arms[*b])));
        best.map_or(Choice::Here, |i| self.choices[i]).into()
    }

    fn rest(&self, choice: Choice) -> Duration {
        self.profile.rest(choice)
    }
}
