// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a stream with faults came to.

use std::collections::HashSet;

use super::BUDGET_MS;
use super::edge::{Frame, Whose};
use super::run::{Hit, Recording};
use super::watch::Seen;
use crate::measure::quantile;

/// Of one stream, or of several together.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub frames: u64,
    /// Never came out.
    pub lost: u64,
    /// Came out without any result.
    pub without: u64,
    /// Came out behind a later one.
    pub disordered: u64,
    /// Came out once more.
    pub repeated: u64,
    /// With the result of another frame.
    pub misattributed: u64,
    /// Later than the budget after their capture.
    pub late: u64,
    /// From capture to result, ms, at worst.
    pub worst: f64,
    pub by_server: u64,
    /// Of each fault, ms.
    pub faults: Vec<Fault>,
    pub warnings: usize,
    pub infos: usize,
    /// That say what the one before has said.
    pub doubled: usize,
}

/// What one fault did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// The longest that any frame under way while it lasted took from its capture to its result.
    pub recovery: f64,
    /// The longest time without a result.
    pub silence: f64,
    /// From when the server could answer again until a frame came out that it had completed; `None`: it never was.
    pub back: Option<f64>,
}

impl Figures {
    pub fn new(recording: &Recording) -> Self {
        let seen = &recording.seen;
        let (mut met, mut newest) = (HashSet::new(), None);
        let mut figures = Self {
            frames: seen.pushed.unwrap_or_default(),
            faults: recording
                .hits
                .iter()
                .map(|hit| Fault::new(seen, hit))
                .collect(),
            warnings: seen.notices.iter().filter(|n| n.warning).count(),
            infos: seen.notices.iter().filter(|n| !n.warning).count(),
            doubled: doubled(seen),
            ..Self::default()
        };
        for frame in &seen.frames {
            if !met.insert(frame.number) {
                figures.repeated += 1;
            } else if newest.is_some_and(|n| frame.number < n) {
                figures.disordered += 1;
            }
            newest = newest.max(Some(frame.number));
            figures.without += u64::from(frame.whose == Whose::Nobody);
            figures.misattributed += u64::from(frame.whose == Whose::Another);
            figures.late += u64::from(frame.latency() > BUDGET_MS);
            figures.by_server += u64::from(frame.by_server());
            figures.worst = figures.worst.max(frame.latency());
        }
        figures.lost = figures.frames.saturating_sub(met.len() as u64);
        figures
    }

    /// With those of another stream.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.lost += other.lost;
        self.without += other.without;
        self.disordered += other.disordered;
        self.repeated += other.repeated;
        self.misattributed += other.misattributed;
        self.late += other.late;
        self.worst = self.worst.max(other.worst);
        self.by_server += other.by_server;
        self.faults.extend(&other.faults);
        self.warnings += other.warnings;
        self.infos += other.infos;
        self.doubled += other.doubled;
    }

    pub fn recovery(&self, q: f64) -> f64 {
        let all: Vec<_> = self.faults.iter().map(|f| f.recovery).collect();
        quantile(&all, q)
    }

    pub fn silence(&self) -> f64 {
        self.faults.iter().map(|f| f.silence).fold(0.0, f64::max)
    }

    /// Infinite where the edge never came back.
    pub fn back(&self, q: f64) -> f64 {
        let back = |f: &Fault| f.back.unwrap_or(f64::INFINITY);
        let all: Vec<_> = self.faults.iter().map(back).collect();
        quantile(&all, q)
    }
}

impl Fault {
    fn new(seen: &Seen, hit: &Hit) -> Self {
        let begin = hit.span.begin;
        let end = hit.back.unwrap_or(f64::INFINITY).max(hit.span.again);
        // Out by its end, or under way then.
        let hurt = |f: &&Frame| f.out >= begin && f.captured <= end;
        let frames = || seen.frames.iter().filter(hurt);
        let mut last = begin;
        let silences = frames().map(|f| f.out - std::mem::replace(&mut last, f.out));
        Self {
            silence: silences.fold(0.0, f64::max),
            recovery: frames().map(Frame::latency).fold(0.0, f64::max),
            back: hit.back.map(|back| back - hit.span.again),
        }
    }
}

/// A server is lost, is back, is lost, …: messages that do not keep to that.
fn doubled(seen: &Seen) -> usize {
    let mut expected = true;
    let mut count = 0;
    for notice in &seen.notices {
        count += usize::from(notice.warning != expected);
        expected = !notice.warning;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::edge::Notice;
    use crate::faults::injure::Span;
    use crate::faults::run::Held;

    /// A frame a tenth of a second, out so many ms after its capture.
    fn frame(number: u64, latency: f64, completed: &str, whose: Whose) -> Frame {
        let captured = number as f64 * 100.0;
        Frame {
            number,
            captured,
            out: captured + latency,
            split: "pool1".into(),
            completed: completed.into(),
            whose,
        }
    }

    fn notice(warning: bool) -> Notice {
        Notice {
            at: 0.0,
            warning,
            text: String::new(),
        }
    }

    fn recording() -> Recording {
        let frames = vec![
            frame(0, 5.0, "server", Whose::Own),
            // The fault begins at 102.
            frame(1, 95.0, "edge", Whose::Own),
            frame(3, 110.0, "edge", Whose::Another),
            frame(2, 250.0, "edge", Whose::Own),
            frame(2, 251.0, "none", Whose::Nobody),
            frame(5, 8.0, "server", Whose::Own),
            // After it.
            frame(6, 130.0, "server", Whose::Own),
        ];
        Recording {
            seen: Seen {
                frames,
                notices: [true, false, false, true, true].map(notice).to_vec(),
                pushed: Some(8),
                ..Seen::default()
            },
            hits: vec![Hit {
                span: Span {
                    begin: 102.0,
                    again: 480.0,
                },
                back: Some(508.0),
            }],
            edge: Held::default(),
            server: None,
        }
    }

    #[test]
    fn what_went_wrong_is_counted() {
        let figures = Figures::new(&recording());
        assert_eq!(figures.frames, 8);
        assert_eq!(figures.lost, 2, "4 and 7");
        assert_eq!(figures.disordered, 1);
        assert_eq!(figures.repeated, 1);
        assert_eq!(figures.misattributed, 1);
        assert_eq!(figures.without, 1);
        assert_eq!(figures.late, 4);
        assert_eq!(figures.by_server, 3);
        assert_eq!(
            (figures.warnings, figures.infos, figures.doubled),
            (3, 2, 2)
        );
    }

    #[test]
    fn a_fault_is_as_bad_as_the_worst_frame_it_hurt() {
        let fault = Figures::new(&recording()).faults[0];
        assert_eq!(fault.recovery, 251.0);
        // From 195 to 410.
        assert_eq!(fault.silence, 215.0);
        assert_eq!(fault.back, Some(28.0));
    }
}
