// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Many edges on one server. When it has more work than it can do, each of them finds out by itself that its frames are done
//! sooner at home, and all leave; the server is idle then, and all come back. So an edge that left because of others stays
//! away for a random time, and longer when it has to leave again soon after it came back, as senders on a shared wire do.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// Who has stayed so long has found its place.
const SETTLED: Duration = Duration::from_secs(5);
/// Edges that find out at the same time that they are too many leave over so long.
const LONGEST_LINGER: Duration = Duration::from_millis(500);
/// For how long it is known that others are there.
const SEEN: Duration = Duration::from_secs(1);

/// Whether others keep the server busy, and when to try it again.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    random: u64,
    /// Frames of others have waited at the server.
    others: Option<Instant>,
    /// How long to stay away the next time, about.
    next: Duration,
    until: Option<Instant>,
    /// When to leave, should it then still be better to.
    leaving: Option<Instant>,
    /// When frames began to go to the server again.
    came: Option<Instant>,
}

impl Default for Crowd {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Crowd {
    /// `seed`: another one for each edge.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: seed,
            others: None,
            next: FIRST,
            until: None,
            leaving: None,
            came: None,
        }
    }

    /// So many frames wait at the server, and so many of this edge are on their way or there.
    pub(crate) fn seen(&mut self, waiting: u32, own: u32, now: Instant) {
        if waiting > own {
            self.others = Some(now);
        }
    }

    /// Whether frames of others wait at the server now.
    pub(crate) fn is_there(&self, now: Instant) -> bool {
        self.others
            .is_some_and(|at| now.saturating_duration_since(at) < SEEN)
    }

    /// How long the server is left alone yet; `None`: not at all.
    pub(crate) fn stays_away(&self, now: Instant) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// It would be better to leave: whether to stay a moment yet, for others may leave and make room. The first time that
    /// it is asked decides how long.
    pub(crate) fn lingers(&mut self, now: Instant) -> bool {
        let at = match self.leaving {
            Some(at) => at,
            None => now + LONGEST_LINGER.mul_f64(self.draw()),
        };
        self.leaving = Some(at);
        now < at
    }

    /// There may be another server, and others at it.
    pub(crate) fn disconnected(&mut self) {
        *self = Self::new(self.random);
    }

    /// It is better to stay.
    pub(crate) fn has_room(&mut self) {
        self.leaving = None;
    }

    /// The next frame is the first one that goes to the server again.
    pub(crate) fn came_back(&mut self, now: Instant) {
        self.came = Some(now);
    }

    /// The server has refused a frame, because of those that wait there.
    pub(crate) fn refused(&mut self, now: Instant) {
        self.others = Some(now);
        // Those that were under way at the same time tell nothing more.
        if self.stays_away(now).is_none() {
            self.left(now);
        }
    }

    /// The next frame stays here, because others keep the server busy.
    pub(crate) fn left(&mut self, now: Instant) {
        self.leaving = None;
        // One that has not come back at all has not found room either.
        let stayed = self.came.take().map(|at| now.saturating_duration_since(at));
        if stayed.is_some_and(|stayed| stayed >= SETTLED) {
            self.next = FIRST;
        }
        // Between a half and three halves of it.
        let away = self.next.mul_f64(0.5 + self.draw());
        self.until = Some(now + away);
        self.next = (self.next * 2).min(LONGEST);
    }

    /// SplitMix64, 0 to 1.
    fn draw(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn own_frames_are_no_crowd() {
        let (mut crowd, now) = (Crowd::new(1), Instant::now());
        crowd.seen(3, 4, now);
        assert!(!crowd.is_there(now));
        crowd.seen(5, 4, now);
        assert!(crowd.is_there(now) && !crowd.is_there(now + SECOND));
    }

    #[test]
    fn who_has_to_leave_soon_after_it_came_back_stays_away_longer_each_time() {
        let (mut crowd, mut now) = (Crowd::new(7), Instant::now());
        assert_eq!(crowd.stays_away(now), None);
        let mut times = Vec::new();
        for _ in 0..8 {
            crowd.left(now);
            let away = crowd.stays_away(now).unwrap();
            times.push(away.as_secs_f64());
            now += away;
            assert_eq!(crowd.stays_away(now), None);
            crowd.came_back(now);
            now += SECOND;
        }
        assert!((0.5..1.5).contains(&times[0]), "{times:?}");
        assert!(
            times.iter().all(|t| *t <= 45.0) && times[7] >= 15.0,
            "{times:?}"
        );
        now += SETTLED;
        crowd.left(now);
        assert!(crowd.stays_away(now).unwrap() < SECOND * 3 / 2);
    }

    #[test]
    fn who_is_refused_stays_away_and_longer_while_it_only_asks() {
        let (mut crowd, mut now) = (Crowd::new(3), Instant::now());
        crowd.refused(now);
        let away = crowd.stays_away(now).unwrap();
        assert!(crowd.is_there(now) && away < SECOND * 3 / 2);
        crowd.refused(now + away / 2);
        assert_eq!(crowd.stays_away(now), Some(away), "it was under way");
        for _ in 0..6 {
            now += crowd.stays_away(now).unwrap();
            crowd.refused(now);
        }
        assert!(crowd.stays_away(now).unwrap() >= SECOND * 15);
    }

    #[test]
    fn edges_do_not_come_back_together() {
        let now = Instant::now();
        let mut times: Vec<_> = (0..8)
            .map(|seed| {
                let mut crowd = Crowd::new(seed);
                crowd.left(now);
                crowd.stays_away(now).unwrap().as_millis()
            })
            .collect();
        times.sort_unstable();
        times.dedup();
        assert!(times.len() == 8 && times[7] - times[0] > 400, "{times:?}");
    }
}
