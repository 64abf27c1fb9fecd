// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The work that a new frame finds before it, and whether it is better refused because of that: where its edge has the result
//! sooner by itself. So too many edges cost each of them a round trip now and then, and no queue that all wait in.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::net::server::Forecast;

/// What waits behind less work than this tells nothing of how fast work is done.
const TELLING: Duration = Duration::from_millis(1);
/// A run that should be done by now takes this part of its time yet.
const NEARLY_DONE: u32 = 8;
/// One that has taken so many times as long as expected shows that the machine has become slower. How much is not known before it is
/// done; it may take half as long again as it has.
const OVERDUE: f64 = 1.5;
const MOST_SLOWNESS: f64 = 16.0;
/// A wait counts as so many times the work that was before it, at least and at most.
const PACES: (f64, f64) = (0.1, 4.0);

/// What has left the queue and is not computed yet, and how long work takes to be done.
pub struct Backlog {
    /// Frames that are decoded and wait for their model.
    ready: AtomicUsize,
    /// The work on them.
    ready_us: AtomicU64,
    running: Mutex<Running>,
    /// The time in which a second of work is done: less where workers share it, more on a machine with other work.
    pace: Mutex<f64>,
}

#[derive(Default)]
struct Running {
    runs: Vec<Expected>,
    last: u64,
}

/// A run of a model.
struct Expected {
    number: u64,
    begun: Instant,
    takes: Duration,
}

/// A run, until it is dropped.
pub struct Run<'a> {
    backlog: &'a Backlog,
    number: u64,
}

impl Default for Backlog {
    fn default() -> Self {
        Self {
            ready: AtomicUsize::new(0),
            ready_us: AtomicU64::new(0),
            running: Mutex::default(),
            pace: Mutex::new(1.0),
        }
    }
}

impl Backlog {
    /// Frames that are decoded and wait for their model.
    pub fn ready(&self) -> usize {
        self.ready.load(Ordering::Relaxed)
    }

    /// A frame is decoded, and waits for its model.
    pub fn decoded(&self, frame: &Forecast) {
        self.ready.fetch_add(1, Ordering::Relaxed);
        self.ready_us.fetch_add(micros(frame), Ordering::Relaxed);
    }

    /// It waits no more; `waited`: since it came.
    pub fn taken(&self, frame: &Forecast, waited: Duration) {
        self.ready.fetch_sub(1, Ordering::Relaxed);
        self.ready_us.fetch_sub(micros(frame), Ordering::Relaxed);
        if frame.ahead >= TELLING {
            let pace = waited.as_secs_f64() / frame.ahead.as_secs_f64();
            let mut mean = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            *mean += (pace.clamp(PACES.0, PACES.1) - *mean) / 8.0;
        }
    }

    /// A model is run, which is expected to take so long.
    pub fn runs(&self, takes: Duration, now: Instant) -> Run<'_> {
        let mut running = self.running();
        running.last += 1;
        let number = running.last;
        running.runs.push(Expected {
            number,
            begun: now,
            takes,
        });
        Run {
            backlog: self,
            number,
        }
    }

    /// The work before a frame that comes now and finds `queued` still to be taken from the queue. `together`: how many frames are
    /// computed in a run.
    pub fn ahead(&self, queued: Duration, together: f64) -> Duration {
        let ready = Duration::from_micros(self.ready_us.load(Ordering::Relaxed));
        let left = self.running().runs.iter().map(Expected::left).sum();
        let waiting = (queued + ready).mul_f64(self.slowness() / together.max(1.0));
        waiting.saturating_add(left)
    }

    /// How many times as long as expected work takes just now, as far as runs show that are not done yet; at least 1.
    pub fn slowness(&self) -> f64 {
        let running = self.running();
        let slowest = running.runs.iter().filter_map(Expected::slowness);
        slowest.fold(1.0, f64::max).min(MOST_SLOWNESS)
    }

    /// Whether the frame is taken. `longest`: until its result, beyond which its edge has it sooner by itself. What nothing is
    /// before is taken in any case, so that a wrong idea of how long it takes does not last.
    ///
    /// # Errors
    /// When it is not: how long it would wait.
    pub fn admit(&self, frame: Forecast, longest: Option<Duration>) -> Result<Forecast, Duration> {
        let pace = *self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = frame.ahead.mul_f64(pace);
        let work = frame.work.mul_f64(self.slowness());
        match longest {
            Some(longest) if !wait.is_zero() && wait + work > longest => Err(wait),
            _ => Ok(frame),
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let mut running = self.backlog.running();
        running.runs.retain(|run| run.number != self.number);
    }
}

impl Expected {
    fn left(&self) -> Duration {
        let elapsed = self.begun.elapsed();
        match self.slowness() {
            Some(_) => elapsed / 2,
            None => self
                .takes
                .saturating_sub(elapsed)
                .max(self.takes / NEARLY_DONE),
        }
    }

    /// `None` while it may still be done as expected.
    fn slowness(&self) -> Option<f64> {
        let times = self.begun.elapsed().as_secs_f64() / self.takes.as_secs_f64();
        (!self.takes.is_zero() && times > OVERDUE).then_some(times)
    }
}

fn micros(frame: &Forecast) -> u64 {
    u64::try_from(frame.work.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn frame(ahead: u64, work: u64) -> Forecast {
        Forecast {
            ahead: MS(ahead),
            work: MS(work),
        }
    }

    #[test]
    fn a_frame_is_refused_where_its_edge_is_done_sooner() {
        let backlog = Backlog::default();
        let longest = Some(MS(50));
        assert_eq!(backlog.admit(frame(30, 20), longest), Ok(frame(30, 20)));
        assert_eq!(backlog.admit(frame(31, 20), longest), Err(MS(31)));
        assert_eq!(backlog.admit(frame(31, 20), None), Ok(frame(31, 20)));
    }

    #[test]
    fn what_nothing_is_before_is_taken_however_long_it_is_thought_to_take() {
        let admitted = Backlog::default().admit(frame(0, 900), Some(MS(50)));
        assert_eq!(admitted, Ok(frame(0, 900)));
    }

    #[test]
    fn what_waits_and_what_runs_is_before_the_next() {
        let backlog = Backlog::default();
        assert_eq!(backlog.ahead(MS(8), 1.0), MS(8));
        backlog.decoded(&frame(0, 20));
        assert_eq!((backlog.ahead(MS(8), 1.0), backlog.ready()), (MS(28), 1));
        assert_eq!(backlog.ahead(MS(8), 4.0), MS(7), "four at a time");
        backlog.taken(&frame(0, 20), MS(0));
        let run = backlog.runs(MS(3_600_000), Instant::now());
        let second = backlog.runs(MS(1), Instant::now());
        drop(second);
        let ahead = backlog.ahead(MS(0), 1.0);
        assert!(ahead > MS(3_500_000) && ahead < MS(3_600_001), "{ahead:?}");
        drop(run);
        assert_eq!((backlog.ahead(MS(0), 1.0), backlog.ready()), (MS(0), 0));
    }

    #[test]
    fn a_run_that_takes_longer_than_expected_is_before_the_next_for_all_that() {
        let backlog = Backlog::default();
        let begun = Instant::now() - MS(3_600_000);
        let run = backlog.runs(MS(3_500_000), begun);
        assert_eq!(backlog.ahead(MS(0), 1.0), MS(437_500));
        assert_eq!(backlog.slowness(), 1.0);
        drop(run);
        assert_eq!(backlog.slowness(), 1.0);
    }

    #[test]
    fn a_run_that_is_long_overdue_shows_a_machine_that_has_become_slower() {
        let backlog = Backlog::default();
        let _run = backlog.runs(MS(900_000), Instant::now() - MS(3_600_000));
        let near = |a: f64, b: f64| assert!((a - b).abs() < 0.01 * b, "{a} for {b}");
        near(backlog.slowness(), 4.0);
        let seconds = |queued| backlog.ahead(MS(queued), 1.0).as_secs_f64();
        near(seconds(0), 1800.0);
        near(seconds(100_000), 2200.0);
        // Its own work will take longer, too.
        let longest = Some(MS(2_500_000));
        assert!(backlog.admit(frame(1_800_000, 150_000), longest).is_ok());
        assert!(backlog.admit(frame(1_800_000, 200_000), longest).is_err());
        // Of one of which nothing was expected nothing follows.
        let other = Backlog::default();
        let _run = other.runs(MS(0), Instant::now() - MS(3_600_000));
        near(other.slowness(), 1.0);
    }

    #[test]
    fn waits_are_expected_as_they_have_been() {
        let backlog = Backlog::default();
        for _ in 0..60 {
            backlog.decoded(&frame(40, 20));
            backlog.taken(&frame(40, 20), MS(20));
        }
        // Two workers, each with a half of the work before it.
        assert_eq!(
            backlog.admit(frame(50, 20), Some(MS(50))),
            Ok(frame(50, 20))
        );
        assert!(backlog.admit(frame(70, 20), Some(MS(50))).is_err());
    }
}
