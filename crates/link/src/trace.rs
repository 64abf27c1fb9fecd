// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How a link, and the machines at its ends, change over time.

use std::time::Duration;

use crate::{Burst, Conditions, Way};

/// What holds from a point in time on.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// From the beginning of the trace.
    pub at: Duration,
    pub up: Conditions,
    pub down: Conditions,
    /// How fast the edge is, against its own when nothing else runs there.
    pub edge: f64,
    /// How fast the server is, likewise.
    pub server: f64,
}

impl Step {
    pub fn conditions(&self, way: Way) -> &Conditions {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }
}

impl Default for Step {
    fn default() -> Self {
        Self {
            at: Duration::ZERO,
            up: Conditions::default(),
            down: Conditions::default(),
            edge: 1.0,
            server: 1.0,
        }
    }
}

/// What is wrong with steps that make no trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTrace {
    #[error("a trace needs at least one step, and the first has to be at 0")]
    NoBeginning,
    #[error("step {0} is not later than the one before it")]
    NotInOrder(usize),
    #[error("the trace ends at {0:?}, which is not after its last step")]
    EndTooEarly(Duration),
    #[error("step {step}: {what}")]
    OutOfRange { step: usize, what: &'static str },
}

/// Steps in order of time. With a length the trace begins again after it; without one its last step holds for ever.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    steps: Vec<Step>,
    length: Option<Duration>,
}

impl Trace {
    /// # Errors
    /// When the steps are not in order, do not begin at 0, or hold values outside their ranges.
    pub fn new(steps: Vec<Step>, length: Option<Duration>) -> Result<Self, InvalidTrace> {
        if steps.first().is_none_or(|s| !s.at.is_zero()) {
            return Err(InvalidTrace::NoBeginning);
        }
        if let Some(i) = steps.windows(2).position(|w| w[1].at <= w[0].at) {
            return Err(InvalidTrace::NotInOrder(i + 1));
        }
        if let Some(end) = length
            && steps.last().is_some_and(|s| s.at >= end)
        {
            return Err(InvalidTrace::EndTooEarly(end));
        }
        for (step, values) in steps.iter().enumerate() {
            check(values).map_err(|what| InvalidTrace::OutOfRange { step, what })?;
        }
        Ok(Self { steps, length })
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub fn length(&self) -> Option<Duration> {
        self.length
    }

    /// What holds at a time.
    pub fn at(&self, time: Duration) -> &Step {
        &self.steps[self.place(time).0]
    }

    /// The step that holds at a time, and the time of its end; `None`: it holds for ever.
    fn place(&self, time: Duration) -> (usize, Option<Duration>) {
        let (round, within) = match self.length {
            None => (Duration::ZERO, time),
            Some(length) => {
                let within = time.as_nanos() % length.as_nanos();
                let within = Duration::from_nanos(u64::try_from(within).unwrap_or(u64::MAX));
                (time - within, within)
            }
        };
        let step = self.steps.partition_point(|s| s.at <= within).max(1) - 1;
        let next = self.steps.get(step + 1).map(|s| s.at).or(self.length);
        (step, next.map(|end| round + end))
    }

    /// When a packet of `bytes`, whose turn comes at `begin`, has left the queue; `None`: never.
    pub(crate) fn served(&self, way: Way, begin: Duration, bytes: u64) -> Option<Duration> {
        let mut bits = bytes as f64 * 8.0;
        let mut now = begin;
        let mut stalled = 0;
        loop {
            let (step, end) = self.place(now);
            let rate = self.steps[step].conditions(way).rate as f64;
            let needed = Duration::try_from_secs_f64(bits / rate).unwrap_or(Duration::MAX);
            let done = now.checked_add(needed);
            match (done, end) {
                (Some(done), None) => return Some(done),
                (Some(done), Some(end)) if done <= end => return Some(done),
                (_, None) => return None,
                (_, Some(end)) => {
                    bits -= (end - now).as_secs_f64() * rate;
                    now = end;
                }
            }
            // A trace that repeats without any rate would keep the packet for ever.
            stalled = if rate > 0.0 { 0 } else { stalled + 1 };
            if stalled > self.steps.len() {
                return None;
            }
        }
    }
}

fn check(step: &Step) -> Result<(), &'static str> {
    let share = |x: f64| (0.0..=1.0).contains(&x);
    for c in [&step.up, &step.down] {
        if !share(c.loss) {
            return Err("loss is a share from 0 to 1");
        }
        if !share(c.reorder) {
            return Err("reorder is a share from 0 to 1");
        }
        let lasts = match c.burst {
            Burst::Packets(mean) => mean >= 1.0 && mean.is_finite(),
            Burst::Time(mean) => !mean.is_zero(),
        };
        if !lasts {
            return Err("burst is a number of packets, 1 or more, or a time above 0");
        }
    }
    for speed in [step.edge, step.server] {
        if !(speed > 0.0 && speed.is_finite()) {
            return Err("edge and server are factors above 0");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn steps(at: &[u32]) -> Vec<Step> {
        let step = |(i, s): (usize, &u32)| Step {
            at: *s * S,
            edge: i as f64 + 1.0,
            ..Step::default()
        };
        at.iter().enumerate().map(step).collect()
    }

    #[test]
    fn a_trace_with_a_length_begins_again() {
        let trace = Trace::new(steps(&[0, 2, 5]), Some(7 * S)).unwrap();
        let edge = |s: u32| trace.at(s * S).edge;
        assert_eq!([0, 1, 2, 4, 5, 6].map(edge), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
        assert_eq!([7, 9, 13, 14].map(edge), [1.0, 2.0, 3.0, 1.0]);
        let once = Trace::new(steps(&[0, 2]), None).unwrap();
        assert_eq!(once.at(1000 * S).edge, 2.0);
    }

    #[test]
    fn what_makes_no_trace_is_refused() {
        assert_eq!(Trace::new(vec![], None), Err(InvalidTrace::NoBeginning));
        assert_eq!(
            Trace::new(steps(&[1]), None),
            Err(InvalidTrace::NoBeginning)
        );
        assert_eq!(
            Trace::new(steps(&[0, 2, 2]), None),
            Err(InvalidTrace::NotInOrder(2))
        );
        assert_eq!(
            Trace::new(steps(&[0, 2]), Some(2 * S)),
            Err(InvalidTrace::EndTooEarly(2 * S))
        );
        let mut bad = steps(&[0, 1]);
        bad[1].server = f64::NAN;
        let refused = Trace::new(bad, None).unwrap_err().to_string();
        assert!(
            refused.contains("step 1") && refused.contains("server"),
            "{refused}"
        );
    }

    #[test]
    fn a_repeating_trace_without_a_rate_serves_nothing_and_ends() {
        let mut all = steps(&[0, 1, 2]);
        all.iter_mut().for_each(|s| s.up.rate = 0);
        let trace = Trace::new(all, Some(3 * S)).unwrap();
        assert_eq!(trace.served(Way::Up, Duration::ZERO, 1), None);
    }
}
