// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The edge's frames without a result: who waits, until when, and what became of those before.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use crate::frame::Content;

/// Ended frames that are remembered, so that a late result can be told from an invented one.
const REMEMBERED: usize = 1024;

/// Why a result was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("no such frame was sent")]
    Unknown,
    #[error("the frame has its result already")]
    Duplicate,
    #[error("the frame's deadline has passed")]
    Late,
    #[error("the frame was cancelled or has failed")]
    Cancelled,
}

/// How a frame ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Answered,
    Expired,
    Cancelled,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub sent_at: Instant,
    pub deadline: Instant,
    pub content: Content,
}

#[derive(Debug, Default)]
pub(crate) struct Flights {
    open: HashMap<u64, Flight>,
    ended: VecDeque<(u64, Ending)>,
}

impl Flights {
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether the number is or was recently in use.
    pub fn knows(&self, number: u64) -> bool {
        self.open.contains_key(&number) || self.ended.iter().any(|&(n, _)| n == number)
    }

    pub fn begin(&mut self, number: u64, flight: Flight) {
        self.open.insert(number, flight);
    }

    pub fn end(&mut self, number: u64, how: Ending) -> Option<Flight> {
        let flight = self.open.remove(&number)?;
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back((number, how));
        Some(flight)
    }

    /// Why a result for this number cannot be taken; `None` when it can.
    pub fn rejection(&self, number: u64) -> Option<Rejection> {
        if self.open.contains_key(&number) {
            return None;
        }
        let ended = self.ended.iter().rev().find(|&&(n, _)| n == number);
        Some(match ended {
            None => Rejection::Unknown,
            Some((_, Ending::Answered)) => Rejection::Duplicate,
            Some((_, Ending::Expired)) => Rejection::Late,
            Some((_, Ending::Cancelled)) => Rejection::Cancelled,
        })
    }

    /// What the frame in flight of this number holds.
    pub fn content(&self, number: u64) -> Option<Content> {
        self.open.get(&number).map(|flight| flight.content)
    }

    /// When the frame in flight of this number was sent.
    pub fn sent_at(&self, number: u64) -> Option<Instant> {
        self.open.get(&number).map(|flight| flight.sent_at)
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.open.values().map(|f| f.deadline).min()
    }

    /// Ends the frames whose deadline has come; their numbers in ascending order.
    pub fn expire(&mut self, now: Instant) -> Vec<u64> {
        self.end_where(Ending::Expired, |flight| flight.deadline <= now)
    }

    /// Ends all frames; their numbers in ascending order.
    pub fn cancel_all(&mut self) -> Vec<u64> {
        self.end_where(Ending::Cancelled, |_| true)
    }

    fn end_where(&mut self, how: Ending, which: impl Fn(&Flight) -> bool) -> Vec<u64> {
        let chosen = self.open.iter().filter(|(_, flight)| which(flight));
        let mut numbers: Vec<u64> = chosen.map(|(&number, _)| number).collect();
        numbers.sort_unstable();
        for &number in &numbers {
            self.end(number, how);
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn flight(now: Instant, ms: u64) -> Flight {
        Flight {
            sent_at: now,
            deadline: now + Duration::from_millis(ms),
            content: Content::Picture,
        }
    }

    #[test]
    fn each_ending_has_its_rejection() {
        let now = Instant::now();
        let mut flights = Flights::default();
        for number in 0..3 {
            flights.begin(number, flight(now, 10 * (number + 1)));
        }
        assert_eq!(
            flights.next_deadline(),
            Some(now + Duration::from_millis(10))
        );
        assert_eq!(flights.rejection(1), None);
        assert_eq!(flights.expire(now + Duration::from_millis(10)), [0]);
        flights.end(1, Ending::Answered);
        assert_eq!(flights.cancel_all(), [2]);
        assert_eq!(flights.rejection(0), Some(Rejection::Late));
        assert_eq!(flights.rejection(1), Some(Rejection::Duplicate));
        assert_eq!(flights.rejection(2), Some(Rejection::Cancelled));
        assert_eq!(flights.rejection(3), Some(Rejection::Unknown));
        assert_eq!(flights.len(), 0);
    }

    #[test]
    fn memory_of_ended_frames_is_bounded() {
        let now = Instant::now();
        let mut flights = Flights::default();
        for number in 0..2 * REMEMBERED as u64 {
            flights.begin(number, flight(now, 1));
            flights.end(number, Ending::Answered);
        }
        assert_eq!(flights.ended.len(), REMEMBERED);
        assert!(!flights.knows(0));
    }
}
