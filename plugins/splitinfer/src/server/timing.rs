// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How long frames take here, for the edges' plans.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Weight of the newest time, as a power of two: 1/8.
const SMOOTHING: u32 = 3;

/// A smoothed duration that any thread may update; exact to a microsecond.
#[derive(Debug, Default)]
pub struct Smoothed(AtomicU32);

impl Smoothed {
    pub fn add(&self, time: Duration) {
        self.add_number(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    /// In place of all before.
    pub fn set(&self, time: Duration) {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        self.0.store(micros.max(1), Ordering::Relaxed);
    }

    fn add_number(&self, number: u32) {
        let new = number.max(1);
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| {
                Some(match old {
                    0 => new,
                    old => {
                        let step = (i64::from(new) - i64::from(old)) / (1 << SMOOTHING);
                        (i64::from(old) + step) as u32
                    }
                })
            });
    }

    /// Microseconds; 0 before the first.
    pub fn micros(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Times of one prepared model.
#[derive(Debug)]
pub struct Timings {
    pub whole: Smoothed,
    /// After each candidate of the edge.
    pub tails: Vec<Smoothed>,
}

impl Timings {
    pub fn new(candidates: usize) -> Self {
        Self {
            whole: Smoothed::default(),
            tails: (0..candidates).map(|_| Smoothed::default()).collect(),
        }
    }
}

/// How many frames are computed together.
#[derive(Debug, Default)]
pub struct Runs {
    runs: AtomicU64,
    frames: AtomicU64,
    /// Of the last runs, in 1/1000.
    recent: Smoothed,
}

impl Runs {
    /// So many frames have been computed in one run.
    pub fn add(&self, frames: usize) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.frames.fetch_add(frames as u64, Ordering::Relaxed);
        let frames = u32::try_from(frames).unwrap_or(u32::MAX);
        self.recent.add_number(frames.saturating_mul(1000));
    }

    /// Runs that so many waiting frames will take, if they go on to be computed as the last ones were.
    pub fn of(&self, frames: usize) -> u32 {
        let recent = u64::from(self.recent.micros().max(1000));
        let runs = (frames as u64).saturating_mul(1000).div_ceil(recent);
        u32::try_from(runs).unwrap_or(u32::MAX)
    }

    /// How many frames are computed together, as of late.
    pub fn mean(&self) -> f64 {
        f64::from(self.recent.micros().max(1000)) / 1e3
    }

    /// All runs, and the frames that were computed in them.
    pub fn totals(&self) -> (u64, u64) {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        (get(&self.runs), get(&self.frames))
    }
}

/// The busy share of a group of workers over the last second or so.
#[derive(Debug)]
pub struct Utilisation {
    workers: u32,
    busy_us: AtomicU64,
    last: Mutex<(Instant, u64, u16)>,
}

/// Over which the share is taken.
const WINDOW: Duration = Duration::from_secs(1);

impl Utilisation {
    pub fn new(workers: usize, now: Instant) -> Self {
        Self {
            workers: workers.max(1) as u32,
            busy_us: AtomicU64::new(0),
            last: Mutex::new((now, 0, 0)),
        }
    }

    pub fn worked(&self, time: Duration) {
        self.busy_us
            .fetch_add(time.as_micros() as u64, Ordering::Relaxed);
    }

    /// In 1/1000.
    pub fn permille(&self, now: Instant) -> u16 {
        let mut last = self.last.lock().unwrap();
        let (since, busy_then, _) = *last;
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= WINDOW {
            let busy = self.busy_us.load(Ordering::Relaxed);
            let available = elapsed.as_micros() as u64 * u64::from(self.workers);
            let share = (busy - busy_then) * 1000 / available.max(1);
            *last = (now, busy, share.min(1000) as u16);
        }
        last.2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_counts_whole_and_later_ones_move_it_slowly() {
        let time = Smoothed::default();
        assert_eq!(time.micros(), 0);
        time.add(Duration::from_micros(800));
        assert_eq!(time.micros(), 800);
        time.add(Duration::from_micros(1600));
        assert_eq!(time.micros(), 900);
        for _ in 0..100 {
            time.add(Duration::from_micros(400));
        }
        assert!((400..410).contains(&time.micros()), "{}", time.micros());
    }

    #[test]
    fn frames_that_are_computed_together_take_fewer_runs() {
        let runs = Runs::default();
        assert_eq!(runs.of(3), 3, "nothing is known");
        (0..50).for_each(|_| runs.add(1));
        assert_eq!(runs.of(3), 3);
        (0..50).for_each(|_| runs.add(4));
        assert_eq!(
            (runs.of(8), runs.of(9), runs.of(0)),
            (3, 3, 0),
            "the mean comes near 4"
        );
        assert_eq!(runs.totals(), (100, 250));
    }

    #[test]
    fn utilisation_is_the_busy_share_of_all_workers() {
        let start = Instant::now();
        let use_ = Utilisation::new(2, start);
        use_.worked(Duration::from_millis(500));
        assert_eq!(use_.permille(start + WINDOW / 2), 0, "too early to say");
        assert_eq!(use_.permille(start + WINDOW), 250);
        assert_eq!(use_.permille(start + 2 * WINDOW), 0);
    }
}
