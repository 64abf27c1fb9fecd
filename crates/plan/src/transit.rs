// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the frames that pass tell of the way to the server.

mod delay;
mod rounds;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::Tracked;
use rounds::Rounds;

/// Beside the payload, for each packet of about so many bytes.
const PACKET: u64 = 1_160;
const OVERHEAD: u64 = 68;
/// Transfers shorter than this say only that the link is not slower.
const SHORTEST: f64 = 0.002;
/// The least round trip of so long counts.
const MEMORY: Duration = Duration::from_secs(3);
/// What was not answered for so long never will be.
const FOREVER: Duration = Duration::from_secs(1);
/// Frames under way that are remembered.
const MOST: usize = 32;
/// A frame is overdue, or off, when it is so by so many mean deviations.
const DEVIATIONS: f64 = 3.0;
/// A single frame that is off by more than this and the deviations explain counts as off by that.
const USUAL: f64 = 0.02;
/// Of a monitor's last trips, two seconds with its usual interval, the least counts: some waited for frames of ours, and
/// where delays vary a single one says little.
const TOLD: usize = 8;
/// The highest rate seen is forgotten with this half-life.
const PEAK_MEMORY: f64 = 10.0;
/// That answers came late is, too.
const LATENESS_MEMORY: f64 = 0.5;
/// No link of an edge device is faster (10 Gbit/s), bytes a second.
const MAX_RATE: f64 = 1.25e9;

#[derive(Clone, Copy, Debug)]
struct Sent {
    number: u64,
    bytes: f64,
    at: Instant,
    /// Seconds from sending to the answer.
    expected: f64,
    /// One that was sent later has been answered: what holds this one up is not the link.
    overtaken: bool,
}

/// Round trip and rate of the link, and what is under way on it.
#[derive(Clone, Debug, Default)]
pub struct Transit {
    /// Round trips of a small packet that a monitor has measured, the last ones.
    told: VecDeque<f64>,
    /// Round trips of the last seconds, own queues included.
    trips: VecDeque<(Instant, f64)>,
    /// The least one of late, and when it was.
    nearest: Option<(f64, Instant)>,
    rate: Tracked,
    /// When the rate was last told, by whatever.
    informed: Option<Instant>,
    /// When anything came back, or a monitor told.
    heard: Option<Instant>,
    /// The rate is only what it cannot exceed, as there was no answer.
    doubtful: bool,
    /// The highest rate of late, and when it was that high.
    peak: Option<(f64, Instant)>,
    sent: VecDeque<Sent>,
    /// When the link was done with the last frame that was answered.
    done: Option<Instant>,
    /// Mean absolute difference between expected and measured round, seconds.
    deviation: f64,
    /// By how much answers come later than expected, on average; and when the last one came.
    lateness: f64,
    answered: Option<Instant>,
    /// The last frames that were answered.
    rounds: Rounds,
    /// Round trips of the last frames in a row that took longer, but not for their size.
    longer: Vec<f64>,
    /// How long the link had not let anything through, when last looked at; until it does.
    stalled: Option<f64>,
}

impl Transit {
    /// A round trip as QUIC smooths it, with what this machine itself sent before the packet.
    pub fn trip(&mut self, rtt: Duration, now: Instant) {
        let old = |at: Instant| now.saturating_duration_since(at) > MEMORY;
        while self.trips.front().is_some_and(|t| old(t.0)) {
            self.trips.pop_front();
        }
        let trip = rtt.as_secs_f64();
        if self.nearest.is_none_or(|n| trip <= faded(n, now)) {
            self.nearest = Some((trip, now));
        }
        while self.trips.back().is_some_and(|t| t.1 >= trip) {
            self.trips.pop_back();
        }
        self.trips.push_back((now, trip));
    }

    /// A monitor's last round trip of a small packet; it may be told again until there is another one.
    pub fn monitored_rtt(&mut self, rtt: Duration) {
        if self.told.back() == Some(&rtt.as_secs_f64()) {
            return;
        }
        if self.told.len() == TOLD {
            self.told.pop_front();
        }
        self.told.push_back(rtt.as_secs_f64());
    }

    /// A monitor says: bytes a second on the wire.
    pub fn monitored_rate(&mut self, rate: f64, now: Instant) {
        self.stalled = None;
        self.heard = Some(now);
        self.learn(rate, now);
    }

    /// Seconds of a round trip without own queues.
    pub fn rtt(&self) -> f64 {
        let told = self.told.iter().copied().min_by(f64::total_cmp);
        told.unwrap_or_else(|| self.trips.front().map_or(0.0, |t| t.1))
    }

    /// By how much answers come later than the monitor's least round trip has it, on average, seconds; less as time goes by without
    /// any; 0 without a monitor.
    pub fn lateness(&self, now: Instant) -> f64 {
        let Some(at) = self.answered.filter(|_| !self.told.is_empty()) else {
            return 0.0;
        };
        let age = now.saturating_duration_since(at).as_secs_f64();
        self.lateness.max(0.0) * (-age / LATENESS_MEMORY).exp2()
    }

    /// What it may be, as it was before.
    pub fn rtt_at_best(&self, now: Instant) -> f64 {
        let nearest = self.nearest.map_or(f64::INFINITY, |n| faded(n, now));
        self.rtt().min(nearest)
    }

    /// `there`: what the server is expected to spend on it, seconds.
    pub fn sent(&mut self, number: u64, bytes: u64, there: f64, now: Instant) {
        if self.sent.len() == MOST {
            self.sent.pop_front();
        }
        let bytes = on_wire(bytes);
        let link = self.rate.get().map_or(0.0, |rate| bytes / rate);
        let expected = (self.backlog(now) + link + self.rtt() + there).min(FOREVER.as_secs_f64());
        self.sent.push_back(Sent {
            number,
            bytes,
            at: now,
            expected,
            overtaken: false,
        });
    }

    /// `taken` since it was sent, of which the server spent `there` seconds. When that was; `None` if nobody knows of it.
    pub fn answered(&mut self, number: u64, taken: f64, there: f64) -> Option<Instant> {
        let place = self.sent.iter().position(|s| s.number == number)?;
        let frame = self.sent.remove(place)?;
        let before = self.sent.iter_mut().take(place);
        before.for_each(|s| s.overtaken = true);
        let off = (taken - frame.expected).abs();
        let most = DEVIATIONS * self.deviation + USUAL;
        self.deviation += (off.min(most) - self.deviation) / 8.0;
        let late = (taken - frame.expected).clamp(-most, most);
        let at = frame.at + Duration::from_secs_f64(taken);
        self.lateness += (late - self.lateness) / 8.0;
        self.answered = self.answered.max(Some(at));
        let trip = (taken - there).max(0.0);
        if self.told.is_empty() {
            self.trip(Duration::from_secs_f64(trip), at);
        }
        let end = frame.at + Duration::from_secs_f64((trip - self.rtt()).max(0.0));
        let begin = self.done.map_or(frame.at, |done| done.max(frame.at));
        self.done = Some(self.done.map_or(end, |done| done.max(end)));
        let seconds = end.saturating_duration_since(begin).as_secs_f64();
        self.stalled = None;
        self.heard = self.heard.max(Some(at));
        self.rounds.add(frame.at, frame.bytes, trip);
        if let Some((rate, trip)) = self.explained(at) {
            self.is_explained(rate, trip, at);
        } else if self.is_delay(frame.bytes, seconds) {
            self.took_longer(trip, at);
        } else {
            self.longer.clear();
            self.got_through(frame.bytes, seconds, at);
        }
        Some(at)
    }

    /// Rate and seconds of the round trip, if others than those that were known explain the last frames far better.
    fn explained(&self, at: Instant) -> Option<(f64, f64)> {
        let rate = self.rate.get()?;
        let trip = self.rtt_at_best(at);
        let slower = self.rounds.slower(rate, trip).map(|rate| (rate, trip));
        slower.or_else(|| match self.told.is_empty() {
            true => self.rounds.explained(rate),
            false => None,
        })
    }

    /// So many bytes kept the link busy for so long, for nothing but its rate.
    fn got_through(&mut self, bytes: f64, seconds: f64, at: Instant) {
        // Whatever else may have held the frame up, the link is not slower than this. The way may be shorter than it is taken for, where
        // no small packet has passed of late.
        let longest = seconds + self.rtt() - self.rtt_at_best(at);
        let surely = bytes / (longest + SHORTEST);
        if self.rate.get().is_some_and(|rate| surely > rate) {
            self.begin_anew(surely, at);
        } else if seconds >= SHORTEST.max(self.deviation) {
            self.learn(bytes / seconds, at);
        } else {
            // How much more, it does not say.
            let least = bytes / (seconds + SHORTEST.max(self.deviation));
            if self.doubtful {
                // It works again, most likely as it did.
                self.learn(least.max(self.peak(at)), at);
            } else if self.rate.get().is_none_or(|rate| least > rate) {
                self.learn(least, at);
            }
        }
    }

    /// There was no answer in time: the link is no faster than this.
    pub fn given_up(&mut self, number: u64, now: Instant) {
        let Some(place) = self.sent.iter().position(|s| s.number == number) else {
            return;
        };
        let Some(frame) = self.sent.remove(place) else {
            return;
        };
        let most = self.most(&frame, now);
        let waited = waited(&frame, now);
        if self.is_delay(frame.bytes, waited - self.rtt()) {
            if frame.overtaken {
                return;
            }
            let before = self.stalled.unwrap_or_default();
            self.stalled = Some(before.max(waited - frame.expected));
            return;
        }
        if self.rate.get().is_none_or(|rate| most < rate) {
            self.learn(most, now);
            self.doubtful = true;
        }
    }

    /// Gives up what nobody waits for any more.
    pub fn clean(&mut self, now: Instant) {
        while let Some(frame) = self.sent.front()
            && now.saturating_duration_since(frame.at) > FOREVER
        {
            self.given_up(frame.number, now);
        }
    }

    /// Nothing is under way any more.
    pub fn disconnected(&mut self) {
        self.stalled = None;
        self.longer.clear();
        self.sent.clear();
        self.told.clear();
        self.trips.clear();
        self.done = None;
    }

    /// Mean difference between expected and measured round, seconds.
    pub fn deviation(&self) -> f64 {
        self.deviation
    }

    /// Bytes a second on the wire; less than was measured while a frame is overdue.
    pub fn rate(&self, now: Instant) -> Option<f64> {
        let rate = self.rate.get()?;
        // What has taken long will, on average, take as long again.
        let slower = |s: &&Sent| !self.is_delay(s.bytes, waited(s, now) - self.rtt());
        let overdue = self.overdue(now).filter(slower);
        let most = overdue.map(|s| self.most(s, now) / 2.0);
        Some(most.fold(rate, f64::min))
    }

    /// The fastest that the link can be, as this frame has not been answered yet.
    fn most(&self, frame: &Sent, now: Instant) -> f64 {
        frame.bytes / (waited(frame, now) - self.rtt()).max(SHORTEST)
    }

    /// Seconds until the link is done with what was sent.
    pub fn backlog(&self, now: Instant) -> f64 {
        let Some(rate) = self.rate(now) else {
            return 0.0;
        };
        let mut free = self.done;
        for frame in &self.sent {
            let begin = free.map_or(frame.at, |free| free.max(frame.at));
            free = Some(begin + Duration::from_secs_f64((frame.bytes / rate).min(1e3)));
        }
        free.map_or(0.0, |free| {
            free.saturating_duration_since(now).as_secs_f64()
        })
    }

    /// How long ago anything told the rate.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.informed.map(|at| now.saturating_duration_since(at))
    }

    /// For how long nothing has come back.
    pub fn silent(&self, now: Instant) -> Option<Duration> {
        self.heard.map(|at| now.saturating_duration_since(at))
    }

    /// Frames on their way or at the server.
    pub fn unanswered(&self) -> u32 {
        self.sent.len() as u32
    }

    fn learn(&mut self, rate: f64, now: Instant) {
        let fresh = self
            .age(now)
            .is_some_and(|age| age < Duration::from_secs(1));
        if !fresh || self.doubtful {
            return self.begin_anew(rate, now);
        }
        self.rate.add(rate.min(MAX_RATE));
        self.learned(now);
    }

    /// What the rate was says nothing any more.
    fn begin_anew(&mut self, rate: f64, now: Instant) {
        self.doubtful = false;
        self.rate.restart(rate.min(MAX_RATE));
        self.learned(now);
    }

    fn learned(&mut self, now: Instant) {
        self.informed = Some(now);
        if let Some(rate) = self.rate.get()
            && rate >= self.peak(now)
        {
            self.peak = Some((rate, now));
        }
    }

    /// The highest rate that was seen, less as time goes by; 0 before the first.
    pub fn peak(&self, now: Instant) -> f64 {
        self.peak.map_or(0.0, |(rate, at)| {
            let age = now.saturating_duration_since(at).as_secs_f64();
            rate * (-age / PEAK_MEMORY).exp2()
        })
    }
}

/// A least value loses its weight with time as the highest rate does.
fn faded((least, at): (f64, Instant), now: Instant) -> f64 {
    let age = now.saturating_duration_since(at).as_secs_f64();
    least * (age / PEAK_MEMORY).exp2()
}

fn waited(frame: &Sent, now: Instant) -> f64 {
    now.saturating_duration_since(frame.at).as_secs_f64()
}

/// With headers.
pub fn on_wire(bytes: u64) -> f64 {
    (bytes + bytes.div_ceil(PACKET).max(1) * OVERHEAD) as f64
}
