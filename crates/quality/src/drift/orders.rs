// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a watch is told, and what it asks for.

use super::progress::Progress;

/// What the user sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DriftSettings {
    /// Share of the frames that the teacher looks at by rule. 0: it is not asked, and signs alone decide.
    pub rate: f64,
    /// Frames that are kept; half as many are learnt from in a round.
    pub window: usize,
    /// Frames after learning that brought little in which it does not begin again; twice as many each time in a row.
    pub cooldown: u64,
    /// Whether the student's own answers raise doubt.
    pub signs: bool,
    /// Looks by rule that are learnt from together though nothing is wrong; twice as many after each time that it brought
    /// nothing. 0: never.
    pub batch: usize,
}

/// Why frames are taken to learn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The student was bad from the beginning, or from new weights on that came from elsewhere.
    FirstLook,
    /// The sign that raised the doubt.
    Sign(&'static str),
    /// The looks by rule.
    Canary,
    /// Nothing is wrong, but looks by rule have come together that are worth learning from.
    Review,
}

impl Cause {
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstLook => "first-look",
            Self::Sign(name) => name,
            Self::Canary => "canary",
            Self::Review => "review",
        }
    }
}

/// What to do with frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Orders {
    /// The teacher is to look at this frame and to say how wrong the student was on it.
    pub look: bool,
    /// The look is one of those that a doubt or new weights led to: there is something to learn from the frame.
    pub teaches: bool,
    /// Frames to learn from, by number, in order: kept ones, or this one.
    pub learn: Vec<u64>,
    /// The last of them, or the look, completes a round: it is time to train.
    pub complete: bool,
    /// A round began.
    pub began: Option<Round>,
}

/// A round of learning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    pub cause: Cause,
    /// From 1.
    pub number: usize,
    /// The student's error, by the looks that led here; `None` where the teacher is not asked.
    pub error: Option<f64>,
    /// What was usual.
    pub usual: Option<f64>,
    pub(super) progress: Progress,
}

/// What came of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Training {
    /// New weights are on their way.
    Changed,
    /// The weights stay.
    Unchanged,
}
