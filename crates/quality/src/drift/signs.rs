// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Signs in the student's own answers that something has changed: fewer objects, on the whole or on one side of where they
//! usually are, less confidence, less agreement with itself in the mirror, points that tremble more or less than they did, windows that score worse. Compared with what is usual in this scene, as each scene has its own.
//!
//! A sign proves nothing: a road empties, a person leaves. It decides when the teacher is asked, which knows.

use std::collections::VecDeque;

use super::middle::{Middle, SIDES};
use super::moments::Moments;
use crate::evidence::NEGLIGIBLE;

/// Frames over which signs are averaged.
const BLOCK: usize = 10;
/// Blocks from which it is learnt what is usual, and how many are remembered at most; older ones fade.
const LEARNT_FROM: f64 = 4.0;
const REMEMBERED: f64 = 30.0;
/// The same of windows.
const LEARNT_FROM_WINDOWS: f64 = 10.0;
const REMEMBERED_WINDOWS: f64 = 200.0;
/// Standard deviations from the usual that make a sign.
const ENOUGH: f64 = 3.0;
/// The same for a single window's score.
const ENOUGH_OF_WINDOW: f64 = 3.0;
/// A window is not called bad below this probability.
const LEAST_THRESHOLD: f64 = 0.5;

/// What the student's answer on one frame shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signs {
    /// Confidence of each object's points, 0 to 1.
    pub confidences: Vec<f64>,
    /// Where each of these objects is, x and y of its middle in a unit that stays the same; those beyond are nowhere.
    pub places: Vec<[f64; 2]>,
    /// Agreement with the mirrored frame, 0 to 1, where that was inferred.
    pub mirror: Option<f64>,
    /// Of each object that was there on the last three frames: second differences of its points, in units of its size.
    pub jitters: Vec<f64>,
    /// Probability of being wrong of each window that ended with the frame.
    pub windows: Vec<f64>,
}

/// From this confidence on an object counts fully, below in proportion.
const SURE: f64 = 0.5;
/// There is nothing on a frame with less than this, all objects together.
const LEAST_FOUND: f64 = 0.5;

impl Signs {
    /// Objects, by how sure they are: what the student itself hardly believes in is hardly there.
    fn objects(&self) -> f64 {
        self.confidences.iter().map(|c| presence(*c)).sum()
    }

    /// Objects and where they are.
    pub(super) fn placed(&self) -> impl Iterator<Item = (f64, [f64; 2])> {
        let presences = self.confidences.iter().map(|c| presence(*c));
        let placed = presences.zip(self.places.iter().copied());
        placed.filter(|(much, [x, y])| (much + x + y).is_finite())
    }

    /// Whether there is next to nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.objects() < LEAST_FOUND
    }
}

/// How much of an object there is.
fn presence(confidence: f64) -> f64 {
    (confidence / SURE).clamp(0.0, 1.0)
}

/// A sign, averaged.
struct Kind {
    name: &'static str,
    /// Standard deviation of a block's mean from the usual, before it is known: also the least.
    spread: f64,
    /// Which way is suspicious: −1 down, 1 up, 0 either.
    direction: f64,
    /// It is the logarithm of a number of objects that are there by chance, so that its spread is at least Poisson's.
    by_chance: bool,
}

impl Kind {
    /// From what is usual, in standard deviations, towards what is suspicious; `None` while that is being learnt.
    fn distance(&self, usual: &Moments, value: f64) -> Option<f64> {
        if usual.weight < LEARNT_FROM {
            return None;
        }
        let least = match self.by_chance {
            true => self.spread.max((-0.5 * usual.mean).exp()),
            false => self.spread,
        };
        let off = (value - usual.mean) / usual.spread(least);
        Some(match self.direction {
            0.0 => off.abs(),
            direction => off * direction,
        })
    }
}

const fn kind(name: &'static str, spread: f64, direction: f64) -> Kind {
    Kind {
        name,
        spread,
        direction,
        by_chance: false,
    }
}

/// Fewer objects than usual on one side; more may have come.
const FEWER: Kind = Kind {
    by_chance: true,
    ..kind("objects", 0.25, -1.0)
};

const KINDS: [Kind; 5 + SIDES] = [
    // As a logarithm: what counts is by which share the number of objects changes.
    kind("objects", 0.25, 0.0),
    kind("confidence", 0.03, -1.0),
    kind("mirror-agreement", 0.05, -1.0),
    // As a logarithm. Frozen answers do not tremble at all.
    kind("jitter", 0.5, 0.0),
    // Log odds.
    kind("windows", 1.0, 1.0),
    FEWER,
    FEWER,
    FEWER,
    FEWER,
];

/// What is usual, and the last frames.
#[derive(Clone, Debug, Default)]
pub(super) struct Usual {
    last: VecDeque<Signs>,
    /// Frames since a block was learnt.
    since: usize,
    of_kind: [Moments; KINDS.len()],
    of_window: Moments,
    middle: Middle,
}

impl Usual {
    /// The next frame. The sign that is furthest from what is usual, if it is too far: what is usual is then not
    /// learnt from it.
    pub(super) fn frame(&mut self, signs: Signs) -> Option<&'static str> {
        if self.last.len() == BLOCK {
            self.last.pop_front();
        }
        self.last.push_back(signs);
        self.since += 1;
        if self.last.len() < BLOCK {
            return None;
        }
        let block = self.block();
        let sign = (KINDS.iter().zip(&self.of_kind).zip(&block))
            .filter_map(|((kind, usual), value)| {
                Some((kind.name, kind.distance(usual, (*value)?)?))
            })
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .filter(|(_, distance)| *distance > ENOUGH)
            .map(|(name, _)| name);
        if sign.is_none() && self.since >= BLOCK {
            self.learn();
        }
        sign
    }

    /// The last frames are as usual, whatever they look like.
    pub(super) fn learn(&mut self) {
        self.since = 0;
        let block = self.block();
        for (usual, value) in self.of_kind.iter_mut().zip(block) {
            if let Some(value) = value {
                usual.add(value, REMEMBERED);
            }
        }
        self.middle.learn(self.last.iter().flat_map(Signs::placed));
        for window in self.last.iter().flat_map(|s| &s.windows) {
            self.of_window.add(log_odds(*window), REMEMBERED_WINDOWS);
        }
    }

    /// Other weights: what is usual has to be learnt anew.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The stream was interrupted.
    pub(super) fn interrupt(&mut self) {
        self.last.clear();
        self.since = 0;
    }

    /// Probability of being wrong from which a window is worse than usual; `None` while that is being learnt.
    pub(super) fn threshold(&self) -> Option<f64> {
        let usual = &self.of_window;
        (usual.weight >= LEARNT_FROM_WINDOWS).then(|| {
            let odds = usual.mean + ENOUGH_OF_WINDOW * usual.spread(1.0);
            (1.0 / (1.0 + (-odds).exp())).max(LEAST_THRESHOLD)
        })
    }

    /// Means over the last frames, in the order of [`KINDS`].
    fn block(&self) -> [Option<f64>; KINDS.len()] {
        let frames = self.last.len() as f64;
        let objects: f64 = self.last.iter().map(Signs::objects).sum();
        let all = |of: fn(&Signs) -> &[f64]| mean(self.last.iter().flat_map(of).copied());
        let sides = self.middle.sides(self.last.iter().flat_map(Signs::placed));
        let [left, right, above, below] =
            sides.map(|side| side.map(|objects| number(objects / frames)));
        [
            (frames > 0.0).then(|| number(objects / frames)),
            sureness(self.last.iter().flat_map(|s| &s.confidences)),
            mean(self.last.iter().filter_map(|s| s.mirror)),
            all(|s| &s.jitters).map(|j| j.max(NEGLIGIBLE).ln()),
            mean(
                self.last
                    .iter()
                    .flat_map(|s| &s.windows)
                    .map(|p| log_odds(*p)),
            ),
            left,
            right,
            above,
            below,
        ]
    }
}

/// A number of objects as a logarithm; half an object more, so that none has one.
fn number(objects: f64) -> f64 {
    (objects + 0.5).ln()
}

/// Mean confidence, weighted with itself.
fn sureness<'a>(confidences: impl Iterator<Item = &'a f64>) -> Option<f64> {
    let confidences = confidences.filter(|c| c.is_finite());
    let (sum, squares) = confidences.fold((0.0, 0.0), |(s, q), c| (s + c, q + c * c));
    (sum > 0.0).then(|| squares / sum)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values = values.filter(|v| v.is_finite());
    let (n, sum) = values.fold((0, 0.0), |(n, sum), v| (n + 1, sum + v));
    (n > 0).then(|| sum / f64::from(n))
}

/// Of a probability; what is all but certain counts as certain.
fn log_odds(p: f64) -> f64 {
    const CERTAIN: f64 = 1e-4;
    let p = p.clamp(CERTAIN, 1.0 - CERTAIN);
    (p / (1.0 - p)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(objects: usize, confidence: f64) -> Signs {
        Signs {
            confidences: vec![confidence; objects],
            places: vec![],
            mirror: Some(0.95),
            jitters: vec![0.02; objects],
            windows: vec![0.1],
        }
    }

    fn first_sign(
        usual: &mut Usual,
        mut frames: impl Iterator<Item = Signs>,
    ) -> Option<&'static str> {
        frames.find_map(|s| usual.frame(s))
    }

    fn learnt() -> Usual {
        let mut usual = Usual::default();
        assert_eq!(
            first_sign(&mut usual, (0..100).map(|_| signs(3, 0.8))),
            None
        );
        usual
    }

    #[test]
    fn objects_that_vanish_and_confidence_that_falls_are_signs_within_a_block() {
        let gone = std::iter::repeat_n(signs(0, 0.0), BLOCK);
        assert_eq!(first_sign(&mut learnt(), gone), Some("objects"));
        let ghosts = std::iter::repeat_n(signs(3, 0.05), BLOCK);
        assert!(first_sign(&mut learnt(), ghosts).is_some());
        let unsure = std::iter::repeat_n(signs(3, 0.5), BLOCK);
        assert_eq!(first_sign(&mut learnt(), unsure), Some("confidence"));
        let surer = std::iter::repeat_n(signs(3, 0.95), 3 * BLOCK);
        assert_eq!(first_sign(&mut learnt(), surer), None);
    }

    /// Objects at so many places in a row.
    fn row(places: std::ops::Range<usize>) -> Signs {
        Signs {
            places: places.clone().map(|x| [x as f64, 50.0]).collect(),
            ..signs(places.len(), 0.8)
        }
    }

    #[test]
    fn objects_that_are_missing_on_one_side_are_a_sign() {
        let half = |n: usize, there: std::ops::Range<usize>| {
            let mut usual = Usual::default();
            let whole = std::iter::repeat_n(row(0..n), 150);
            assert_eq!(first_sign(&mut usual, whole), None);
            first_sign(&mut usual, std::iter::repeat_n(row(there), 2 * BLOCK))
        };
        assert_eq!(half(12, 6..12), Some("objects"));
        assert_eq!(half(12, 0..6), Some("objects"));
        // As many as before, some elsewhere; and so few that chance does as much.
        assert_eq!(half(12, 1..13), None);
        assert_eq!(half(3, 1..3), None);
    }

    #[test]
    fn answers_that_freeze_or_tremble_are_signs_within_two_blocks() {
        for jitter in [0.0, 0.2] {
            let other = Signs {
                jitters: vec![jitter; 3],
                ..signs(3, 0.8)
            };
            let sign = first_sign(&mut learnt(), std::iter::repeat_n(other, 2 * BLOCK));
            assert_eq!(sign, Some("jitter"), "{jitter}");
        }
    }

    #[test]
    fn nothing_is_a_sign_before_the_usual_is_known() {
        let mut usual = Usual::default();
        let mixed = (0..30).map(|i| Signs {
            windows: vec![],
            ..signs(i % 7, 0.2 + 0.02 * i as f64)
        });
        assert_eq!(first_sign(&mut usual, mixed), None);
        assert_eq!(usual.threshold(), None);
    }

    #[test]
    fn what_turned_out_to_be_usual_is_no_sign_for_long() {
        let mut usual = learnt();
        let mut last = 0;
        for frame in 0..1800 {
            let empty = frame / 60 % 2 == 0;
            if usual.frame(signs(if empty { 0 } else { 3 }, 0.8)).is_some() {
                usual.learn();
                last = frame;
            }
        }
        assert!(last < 600, "{last}");
    }

    #[test]
    fn the_threshold_of_windows_is_above_what_is_usual() {
        let threshold = learnt().threshold().unwrap();
        assert!((0.5..0.9).contains(&threshold), "{threshold}");
        let mut bad = Usual::default();
        let frames = (0..100).map(|_| Signs {
            windows: vec![0.9],
            ..signs(3, 0.8)
        });
        first_sign(&mut bad, frames);
        assert!(bad.threshold().unwrap() > 0.97);
    }
}
