// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the frames that pass tell of the way to the server.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::Tracked;

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
/// A frame is overdue when it is late by so many mean deviations, and by this share of what was expected.
const DEVIATIONS: f64 = 3.0;
const SHARE: f64 = 0.3;
/// A single frame that is off by more than this and the deviations explain counts as off by that.
const USUAL: f64 = 0.02;
/// What an idle system is late by anyway.
const SLACK: f64 = 0.003;
/// Of a monitor's last trips, two seconds with its usual interval, the least counts: some waited for frames of ours, and
/// where delays vary a single one says little.
const TOLD: usize = 8;
/// The highest rate seen is forgotten with this half-life.
const PEAK_MEMORY: f64 = 10.0;
/// No link of an edge device is faster (10 Gbit/s), bytes a second.
const MAX_RATE: f64 = 1.25e9;

#[derive(Clone, Copy, Debug)]
struct Sent {
    number: u64,
    bytes: f64,
    at: Instant,
    /// Seconds from sending to the answer.
    expected: f64,
}

/// Round trip and rate of the link, and what is under way on it.
#[derive(Clone, Debug, Default)]
pub struct Transit {
    /// Round trips of a small packet that a monitor has measured, the last ones.
    told: VecDeque<f64>,
    /// Round trips of the last seconds, own queues included.
    trips: VecDeque<(Instant, f64)>,
    rate: Tracked,
    /// When the rate was last told, by whatever.
    informed: Option<Instant>,
    /// The rate is only what it cannot exceed, as there was no answer.
    doubtful: bool,
    /// The highest rate of late, and when it was that high.
    peak: Option<(f64, Instant)>,
    sent: VecDeque<Sent>,
    /// When the link was done with the last frame that was answered.
    done: Option<Instant>,
    /// Mean absolute difference between expected and measured round, seconds.
    deviation: f64,
}

impl Transit {
    /// A round trip as QUIC smooths it, with what this machine itself sent before the packet.
    pub fn trip(&mut self, rtt: Duration, now: Instant) {
        let old = |at: Instant| now.saturating_duration_since(at) > MEMORY;
        while self.trips.front().is_some_and(|t| old(t.0)) {
            self.trips.pop_front();
        }
        let trip = rtt.as_secs_f64();
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
        self.learn(rate, now);
    }

    /// Seconds of a round trip without own queues.
    pub fn rtt(&self) -> f64 {
        let told = self.told.iter().copied().min_by(f64::total_cmp);
        told.unwrap_or_else(|| self.trips.front().map_or(0.0, |t| t.1))
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
        });
    }

    /// `taken` since it was sent, of which the server spent `there` seconds.
    pub fn answered(&mut self, number: u64, taken: f64, there: f64) {
        let Some(place) = self.sent.iter().position(|s| s.number == number) else {
            return;
        };
        let Some(frame) = self.sent.remove(place) else {
            return;
        };
        let off = (taken - frame.expected).abs();
        let most = DEVIATIONS * self.deviation + USUAL;
        self.deviation += (off.min(most) - self.deviation) / 8.0;
        let trip = (taken - there).max(0.0);
        let at = frame.at + Duration::from_secs_f64(taken);
        if self.told.is_empty() {
            self.trip(Duration::from_secs_f64(trip), at);
        }
        let end = frame.at + Duration::from_secs_f64((trip - self.rtt()).max(0.0));
        let begin = self.done.map_or(frame.at, |done| done.max(frame.at));
        self.done = Some(self.done.map_or(end, |done| done.max(end)));
        let seconds = end.saturating_duration_since(begin).as_secs_f64();
        if seconds >= SHORTEST.max(self.deviation) {
            self.learn(frame.bytes / seconds, at);
        } else {
            // At least this; how much more, it does not say.
            let least = frame.bytes / (seconds + SHORTEST.max(self.deviation));
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
        let late = |s: &&Sent| {
            let waited = now.saturating_duration_since(s.at).as_secs_f64();
            waited > s.expected * (1.0 + SHARE) + DEVIATIONS * self.deviation + SLACK
        };
        // What has taken long will, on average, take as long again.
        let overdue = self
            .sent
            .iter()
            .filter(late)
            .map(|s| self.most(s, now) / 2.0);
        Some(overdue.fold(rate, f64::min))
    }

    /// The fastest that the link can be, as this frame has not been answered yet.
    fn most(&self, frame: &Sent, now: Instant) -> f64 {
        let waited = now.saturating_duration_since(frame.at).as_secs_f64();
        frame.bytes / (waited - self.rtt()).max(SHORTEST)
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

    fn learn(&mut self, rate: f64, now: Instant) {
        let rate = rate.min(MAX_RATE);
        let doubtful = std::mem::take(&mut self.doubtful);
        match self.age(now) {
            Some(age) if age < Duration::from_secs(1) && !doubtful => self.rate.add(rate),
            _ => self.rate.restart(rate),
        }
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

/// With headers.
pub fn on_wire(bytes: u64) -> f64 {
    (bytes + bytes.div_ceil(PACKET).max(1) * OVERHEAD) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_monitor_tells_again_is_no_news() {
        let mut transit = Transit::default();
        let ms = Duration::from_millis;
        transit.monitored_rtt(ms(20));
        (0..100).for_each(|_| transit.monitored_rtt(ms(45)));
        assert!((transit.rtt() - 0.02).abs() < 1e-9, "{}", transit.rtt());
        (0..TOLD as u64).for_each(|i| transit.monitored_rtt(ms(50 + i)));
        assert!((transit.rtt() - 0.05).abs() < 1e-9, "{}", transit.rtt());
    }
}
