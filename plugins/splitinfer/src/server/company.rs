// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How many frames are best computed together: by how long that has been measured to take.

use std::time::{Duration, Instant};

use super::timing::Smoothed;

/// Of the time that frames take one by one, what gains nothing takes.
const NOTHING: f64 = 0.9;

/// How long frames take of which one, two, four, … are computed together.
pub struct Company {
    times: Vec<Smoothed>,
}

impl Company {
    /// For up to `most` frames.
    pub fn new(most: usize) -> Self {
        let sizes = most.max(1).ilog2() as usize + 1;
        Self {
            times: (0..sizes).map(|_| Smoothed::default()).collect(),
        }
    }

    /// The numbers of frames that may be computed together, one among them, from the smallest on.
    pub fn sizes(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.times.len()).map(|i| 1 << i)
    }

    /// The most frames that may be computed together.
    pub fn most(&self) -> usize {
        1 << (self.times.len() - 1)
    }

    /// So many frames, computed together, took so long.
    pub fn took(&self, frames: usize, time: Duration) {
        if let Some(times) = self.time(frames) {
            times.add(time);
        }
    }

    /// The same, in place of what was known.
    pub fn measured(&self, frames: usize, time: Duration) {
        if let Some(times) = self.time(frames) {
            times.set(time);
        }
    }

    fn time(&self, frames: usize) -> Option<&Smoothed> {
        let known = frames.is_power_of_two();
        self.times.get(frames.ilog2() as usize).filter(|_| known)
    }

    /// How long so many frames take together; zero where that is not known.
    pub fn time_of(&self, frames: usize) -> Duration {
        let micros = self.time(frames).map_or(0, Smoothed::micros);
        Duration::from_micros(micros.into())
    }

    /// How many of these waiting frames are to be computed next, so that all of them have, in the mean, the earliest
    /// results. Frames computed together have theirs together, so two must take less than one and a half times as long
    /// as one.
    pub fn choose(&self, waiting: usize) -> usize {
        let possible = self.sizes().filter(|n| *n <= waiting);
        let best = possible
            .filter_map(|n| Some((n, self.mean(waiting, n)?)))
            .min_by(|(_, a), (_, b)| a.total_cmp(b));
        best.map_or(1, |(n, _)| n)
    }

    /// The mean time until their results when so many wait and runs are of `size` while there are as many, and then of
    /// smaller ones; `None` where a time is not known.
    fn mean(&self, waiting: usize, size: usize) -> Option<f64> {
        let (mut left, mut now, mut sum) = (waiting, 0.0, 0.0);
        let mut size = size;
        while left > 0 {
            while size > left {
                size /= 2;
            }
            match self.time(size)?.micros() {
                0 => return None,
                micros => now += f64::from(micros),
            }
            sum += now * size as f64;
            left -= size;
        }
        Some(sum / waiting as f64)
    }

    /// Two frames take as long together as one by one, or nearly.
    pub fn gains_nothing(&self) -> bool {
        let [one, two] = [1, 2].map(|n| self.time_of(n).as_secs_f64());
        two > NOTHING * 2.0 * one
    }

    /// Whether there is a number of frames that would be computed together.
    pub fn pays(&self) -> bool {
        self.sizes().any(|n| self.choose(n) > 1)
    }

    /// Until when a frame may wait for others: as long as its user allows after it came, and not so long that its result
    /// would be late.
    pub fn waits_until(&self, came: Instant, window: Duration, deadline: Instant) -> Instant {
        let latest = deadline.checked_sub(2 * self.time_of(self.most()));
        (came + window).min(latest.unwrap_or(came))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn company(times: &[u64]) -> Company {
        let company = Company::new(1 << (times.len() - 1));
        for (n, micros) in company.sizes().zip(times) {
            company.took(n, Duration::from_micros(*micros));
        }
        company
    }

    #[test]
    fn where_a_second_frame_costs_nothing_all_are_computed_together() {
        let company = company(&[1000, 1000, 1000, 1000]);
        let chosen: Vec<_> = (1..=9).map(|waiting| company.choose(waiting)).collect();
        assert_eq!(chosen, [1, 2, 2, 4, 4, 4, 4, 8, 8]);
        assert!(company.pays());
    }

    #[test]
    fn where_frames_take_as_long_together_as_one_by_one_they_are_not() {
        let company = company(&[1000, 2000, 4000, 8000]);
        assert!((1..=20).all(|waiting| company.choose(waiting) == 1));
        assert!(!company.pays());
    }

    #[test]
    fn nearly_as_long_together_is_nothing_gained() {
        assert!(company(&[1000, 1810]).gains_nothing());
        assert!(!company(&[1000, 1790]).gains_nothing());
    }

    #[test]
    fn two_must_take_less_than_one_and_a_half_times_as_long() {
        assert_eq!(company(&[1000, 1490]).choose(2), 2);
        assert_eq!(company(&[1000, 1510]).choose(2), 1);
    }

    #[test]
    fn a_number_that_was_not_measured_is_not_chosen() {
        let company = company(&[1000, 1000, 1000]);
        assert_eq!(company.choose(8), 4);
        let fresh = Company::new(8);
        assert_eq!((fresh.choose(8), fresh.pays()), (1, false));
        fresh.took(3, Duration::from_micros(1));
        assert_eq!(fresh.choose(3), 1);
    }

    #[test]
    fn sizes_are_powers_of_two_up_to_the_most() {
        let sizes = |most| Company::new(most).sizes().collect::<Vec<_>>();
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(7), [1, 2, 4]);
        assert_eq!(sizes(8), [1, 2, 4, 8]);
        assert_eq!(Company::new(0).most(), 1);
    }

    #[test]
    fn nobody_waits_past_the_deadline() {
        let company = company(&[1000, 2000]);
        let (now, ms) = (Instant::now(), Duration::from_millis);
        let until =
            |window, deadline| company.waits_until(now, ms(window), now + ms(deadline)) - now;
        assert_eq!(until(10, 100), ms(10));
        assert_eq!(until(10, 9), ms(5), "twice the longest run is left");
        assert_eq!(until(10, 3), ms(0));
    }
}
