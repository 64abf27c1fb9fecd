// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The edge's side: asks now and then, in trains, and makes figures of the replies.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::MIN_PROBE_BYTES;
use super::bandwidth::Trains;
use super::behind::{Behind, LEAST_BYTES};
use super::budget::Budget;
use super::keys::{MonitorKeys, Side};
use super::packet::{Probe, Reply, header, seal};
use super::path::{Delay, Losses, Reachability, Report};
use super::server::micros;
use super::train::Train;
use super::window::Window;
use crate::limits::MAX_CANDIDATES;
use crate::message::Load;
use crate::rtt::RttEstimator;

/// Between two single probes where trains tell nothing.
const FUTILE_INTERVAL: Duration = Duration::from_secs(1);
/// A train without any reply for so long (and twice the round trip) is lost.
const PATIENCE: Duration = Duration::from_millis(400);
const FIRST_PATIENCE: Duration = Duration::from_secs(1);
/// Trains without any reply after which something is in the way.
const SILENT: u32 = 5;
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const REMEMBERED: usize = 64;
/// Bytes a second that every link is taken to have: before anything is known the slowest is assumed.
const SLOWEST: f64 = 31_250.0;

/// How much the monitor may do.
#[derive(Clone, Copy, Debug)]
pub struct MonitorConfig {
    /// Between two trains; longer where `share` asks for it.
    pub interval: Duration,
    /// Of the link's time, for the monitor's own packets.
    pub share: f64,
    /// Bytes on the wire around each datagram: 28 for UDP over IPv4, 48 over IPv6.
    pub overhead: u32,
    /// Of the session's model.
    pub candidates: usize,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(250),
            share: 0.018,
            overhead: 28,
            candidates: 0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    number: u32,
    /// Number of the first packet of its train.
    train: u32,
    at: Instant,
    /// On the wire.
    bytes: u32,
    answered: bool,
}

/// A train that is on its way.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    first: u32,
    last: u32,
    lost_at: Instant,
    heard: bool,
    /// It is a single packet, and this comes after it.
    follows: Option<Behind>,
}

/// State machine of the edge's side; see the module's documentation for how to drive it.
#[derive(Debug)]
pub struct EdgeMonitor {
    config: MonitorConfig,
    keys: MonitorKeys,
    start: Instant,
    /// `None` when the numbers are used up: then nothing more is sent.
    next_number: Option<u32>,
    /// Datagrams of the train that is to be sent: their lengths.
    outbox: VecDeque<usize>,
    sent: VecDeque<Sent>,
    under_way: Option<UnderWay>,
    next: Instant,
    budget: Budget,
    silent: u32,
    window: Window,
    replies: u32,
    trains: Trains,
    up: Delay,
    down: Delay,
    lost_up: Losses,
    lost_down: Losses,
    tails_from: u16,
    report: Report,
}

impl EdgeMonitor {
    /// The first train is due at once.
    pub fn new(now: Instant, keys: MonitorKeys, config: MonitorConfig) -> Self {
        Self {
            config,
            keys,
            start: now,
            next_number: Some(0),
            outbox: VecDeque::new(),
            sent: VecDeque::new(),
            under_way: None,
            next: now,
            budget: Budget::new(now, config.interval, config.share),
            silent: 0,
            window: Window::default(),
            replies: 0,
            trains: Trains::default(),
            up: Delay::default(),
            down: Delay::default(),
            lost_up: Losses::default(),
            lost_down: Losses::default(),
            tails_from: 0,
            report: Report::default(),
        }
    }

    pub fn report(&self) -> Report {
        Report {
            bandwidth: self.trains.estimate(),
            delay_up: self.up.above,
            delay_down: self.down.above,
            loss_up: self.lost_up.share(),
            loss_down: self.lost_down.share(),
            ..self.report.clone()
        }
    }

    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_number?;
        Some(self.under_way.map_or(self.next, |train| train.lost_at))
    }

    /// Begins the train that is due at `now`, or gives up the one under way.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(train) = self.under_way.filter(|train| train.lost_at <= now) {
            self.under_way = None;
            if !train.heard {
                self.unanswered(now);
            }
        }
        if self.under_way.is_none() && self.next <= now {
            self.begin(now);
        }
    }

    fn unanswered(&mut self, now: Instant) {
        self.silent = self.silent.saturating_add(1);
        if self.silent >= SILENT {
            self.report.reachability = Reachability::Blocked;
            let doublings = (self.silent - SILENT).min(5);
            self.next = now + (Duration::from_secs(1) * 2u32.pow(doublings)).min(LONGEST_WAIT);
        }
    }

    /// A first packet, short, that measures the round trip; after it, unless nobody answers, the bytes whose spread tells
    /// the bandwidth. Where these are many, one packet of theirs goes ahead.
    fn begin(&mut self, now: Instant) {
        self.budget.earn(now, self.rate());
        let futile = self.trains.are_futile();
        let trains = !futile || !self.budget.is_in_debt();
        let answers = self.silent == 0 && self.report.reachability == Reachability::Reachable;
        let time = self.config.interval.mul_f64(self.config.share);
        let behind =
            (trains && answers).then(|| Behind::of(&self.trains, time, self.config.overhead));
        let scouted = behind.filter(|b| b.is_scouted(&self.trains));
        let first = match scouted {
            Some(behind) => behind.each,
            // With room for times of tails in the reply.
            None if futile && behind.is_none() => LEAST_BYTES as usize,
            None => MIN_PROBE_BYTES,
        };
        let mut total = self.wire(first) + behind.map_or(0.0, Behind::wire_bytes);
        if scouted.is_some() {
            total += self.wire(MIN_PROBE_BYTES);
        }
        self.budget.spend(now, total);
        self.next = self.next_in_turn(now);
        match scouted {
            Some(_) => self.send(now, first, None, scouted),
            None => self.send(now, first, behind, None),
        }
    }

    /// The packet that went ahead was answered after `rtt`.
    fn scouted(&mut self, now: Instant, behind: Behind, rtt: Duration) {
        let behind = behind.after_scout(rtt, self.report.rtt.as_ref(), self.rate());
        self.send(now, MIN_PROBE_BYTES, Some(behind), None);
    }

    /// A datagram of `first` bytes, and what is behind it, in one go.
    fn send(
        &mut self,
        now: Instant,
        first: usize,
        behind: Option<Behind>,
        follows: Option<Behind>,
    ) {
        self.outbox = VecDeque::from([first]);
        if let Some(behind) = behind {
            let others = std::iter::repeat_n(behind.each, behind.packets);
            self.outbox.extend(others);
        }
        let patience = self.report.rtt.as_ref().map_or(FIRST_PATIENCE, |rtt| {
            PATIENCE + (rtt.upper() * 2).min(LONGEST_WAIT)
        });
        let first = self.next_number.unwrap_or(u32::MAX);
        self.under_way = Some(UnderWay {
            first,
            last: first.saturating_add(self.outbox.len() as u32 - 1),
            lost_at: now + patience,
            heard: false,
            follows,
        });
    }

    /// Of the link, bytes a second, for what may be sent. Until a change is sure the higher rate counts, so that the train
    /// that is to confirm it comes soon.
    fn rate(&self) -> f64 {
        if self.trains.are_futile() {
            return SLOWEST;
        }
        let known = self
            .trains
            .estimate()
            .map_or(SLOWEST, |e| if e.is_certain() { e.rate } else { e.least() });
        let suspected = self.trains.suspected().unwrap_or_default();
        known.max(suspected).max(SLOWEST)
    }

    fn wire(&self, datagram: usize) -> f64 {
        datagram as f64 + f64::from(self.config.overhead)
    }

    /// The next datagram of a train; `now` counts as the instant of its sending.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        let length = self.outbox.pop_front()?;
        let number = self.next_number?;
        self.next_number = number.checked_add(1);
        let train = self.under_way?;
        let last = number == train.last;
        let probe = Probe {
            answer: number == train.first || last,
            tails_from: (last && self.config.candidates > 0).then_some(self.tails_from),
        };
        let bytes = length as u32 + self.config.overhead;
        self.sent.push_back(Sent {
            number,
            train: train.first,
            at: now,
            bytes,
            answered: false,
        });
        if self.sent.len() > REMEMBERED {
            self.sent.pop_front();
        }
        self.report.sent_bytes += u64::from(bytes);
        seal(&self.keys, Side::Edge, number, probe.encode(length))
    }

    /// A datagram that came at `now`. What the server has not sealed, or has come before, changes nothing.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        let Some((id, number)) = header(Side::Server, datagram) else {
            return;
        };
        if id != self.keys.id() || !self.window.may_take(number) {
            return;
        }
        let Some(body) = self.keys.open(Side::Server, number, datagram) else {
            return;
        };
        let Ok(reply) = Reply::decode(&body) else {
            return;
        };
        self.window.take(number);
        self.replies = self.replies.wrapping_add(1);
        self.report.received_bytes += datagram.len() as u64 + u64::from(self.config.overhead);
        let newest = self.window.newest().unwrap_or(number);
        self.lost_down.add(now, newest, self.replies);
        let sent = self.sent.iter_mut().find(|s| s.number == reply.answered);
        let Some(sent) = sent.filter(|s| !s.answered) else {
            return;
        };
        sent.answered = true;
        let sent = *sent;
        self.heard(now, sent, &reply);
        self.loaded(&reply);
        self.measured(now, &reply);
    }

    fn heard(&mut self, now: Instant, sent: Sent, reply: &Reply) {
        if self.report.reachability == Reachability::Blocked {
            // It may be another path by now.
            self.trains = Trains::default();
            self.next = now;
        }
        if self.report.reachability == Reachability::Trying {
            self.next = now;
        }
        self.report.reachability = Reachability::Reachable;
        self.silent = 0;
        self.lost_up.add(now, reply.answered, reply.received);
        self.up
            .add(now, micros(self.start, sent.at), reply.arrived_us);
        self.down
            .add(now, reply.replied_us, micros(self.start, now));
        let Some(train) = self.under_way.as_mut() else {
            return;
        };
        let (held, round) = (
            reply.replied_us.wrapping_sub(reply.arrived_us),
            now.saturating_duration_since(sent.at),
        );
        let rtt = round.saturating_sub(Duration::from_micros(held.into()));
        train.heard |= train.first == sent.number;
        let train = *train;
        if train.first == sent.number && train.follows.is_none() {
            match &mut self.report.rtt {
                Some(estimator) => estimator.update(rtt),
                None => self.report.rtt = Some(RttEstimator::new(rtt)),
            }
        }
        if train.last == sent.number {
            self.under_way = None;
            if let Some(behind) = train.follows {
                self.scouted(now, behind, rtt);
            }
        }
    }

    fn measured(&mut self, now: Instant, reply: &Reply) {
        let sent = |number| self.sent.iter().find(|s| s.number == number);
        let Some(answered) = sent(reply.answered) else {
            return;
        };
        let mut packets: Vec<_> = reply
            .arrivals
            .iter()
            .filter_map(|a| {
                let earlier = sent(reply.answered.checked_sub(a.back.into())?)?;
                let same = earlier.train == answered.train;
                same.then(|| (earlier.number, earlier.bytes, -i64::from(a.before_us)))
            })
            .chain([(answered.number, answered.bytes, 0)])
            .collect();
        packets.sort_unstable_by_key(|&(number, _, _)| number);
        let Some(train) = Train::new(&packets) else {
            return;
        };
        let known = |trains: &Trains| trains.estimate().is_some_and(|e| e.is_certain());
        let knew = known(&self.trains);
        let again = self.trains.add(now, train);
        if !knew && known(&self.trains) {
            // To find that out took what it took.
            self.budget.forgive();
        }
        if again && !self.trains.are_futile() {
            let rate = self.rate();
            self.budget.earn(now, rate);
            if self.budget.allows_out_of_turn(rate) {
                self.next = now;
                return;
            }
        }
        self.next = self.next_in_turn(now);
    }

    fn next_in_turn(&self, now: Instant) -> Instant {
        match self.trains.are_futile() {
            // A train follows when it is paid for; meanwhile there is the round trip.
            true => self.budget.begun() + FUTILE_INTERVAL,
            false => self.budget.next_in_turn(now, self.rate()),
        }
    }

    fn loaded(&mut self, reply: &Reply) {
        let told = &reply.load;
        let count = usize::from(told.tails)
            .min(self.config.candidates)
            .min(MAX_CANDIDATES);
        let load = self.report.load.get_or_insert_with(Load::default);
        load.queue = told.queue;
        load.utilisation_permille = told.utilisation_permille;
        load.whole_us = told.whole_us;
        load.tail_us.resize(count, 0);
        let from = usize::from(told.tails_from);
        for (i, &us) in told.tail_us.iter().enumerate() {
            if let Some(tail) = load.tail_us.get_mut(from + i) {
                *tail = us;
            }
        }
        if !told.tail_us.is_empty() {
            let next = from + told.tail_us.len();
            self.tails_from = if next < count { next as u16 } else { 0 };
        }
    }
}
