// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What to draw: kind of scene, size, rate, seed, domain and scenario.

use crate::schedule::Schedule;
use std::str::FromStr;

/// The two scenes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// People who walk, turn, sit down and raise their arms.
    Walker,
    /// Vehicles on a road under a fixed camera.
    Traffic,
}

/// How much of motion and appearance comes again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scenario {
    /// The same motion by the same actors, again and again: every cycle shows what the first showed.
    Repetitive,
    /// The same course of events in every cycle, by other actors at slightly other times.
    SemiRepetitive,
    /// No cycle: who comes, when, and what they do is drawn anew for ever.
    #[default]
    Dynamic,
}

/// Seconds after which a repetitive or semi-repetitive traffic scene starts over. (A walker's cycle
/// lasts as long as the script drawn for the seed.)
pub const CYCLE: f64 = 20.0;

impl FromStr for Kind {
    type Err = SceneError;
    fn from_str(s: &str) -> Result<Self, SceneError> {
        match s {
            "walker" => Ok(Self::Walker),
            "traffic" => Ok(Self::Traffic),
            _ => Err(SceneError::UnknownName {
                what: "scene",
                name: s.into(),
                known: "walker, traffic".into(),
            }),
        }
    }
}

impl FromStr for Scenario {
    type Err = SceneError;
    fn from_str(s: &str) -> Result<Self, SceneError> {
        match s {
            "repetitive" => Ok(Self::Repetitive),
            "semi-repetitive" => Ok(Self::SemiRepetitive),
            "dynamic" => Ok(Self::Dynamic),
            _ => Err(SceneError::UnknownName {
                what: "scenario",
                name: s.into(),
                known: "repetitive, semi-repetitive, dynamic".into(),
            }),
        }
    }
}

/// Everything that determines a scene. Equal configurations give equal bytes.
#[derive(Clone, Debug)]
pub struct SceneConfig {
    pub kind: Kind,
    /// Pixels, each 16 to [`MAX_SIDE`].
    pub width: u32,
    pub height: u32,
    /// Frames a second as a fraction.
    pub rate: (u32, u32),
    pub seed: u64,
    pub scenario: Scenario,
    /// Which domain holds when; [`Schedule::fixed`] for one domain throughout.
    pub schedule: Schedule,
}

/// Longest side of a picture in pixels.
pub const MAX_SIDE: u32 = 8192;

impl SceneConfig {
    /// 640 × 360 at 30 frames a second, seed 0, dynamic, by day.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            width: 640,
            height: 360,
            rate: (30, 1),
            seed: 0,
            scenario: Scenario::default(),
            schedule: Schedule::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), SceneError> {
        let fits = |side| (16..=MAX_SIDE).contains(&side);
        if !fits(self.width) || !fits(self.height) {
            return Err(SceneError::Size {
                width: self.width,
                height: self.height,
            });
        }
        if self.rate.0 == 0 || self.rate.1 == 0 {
            return Err(SceneError::Rate(self.rate.0, self.rate.1));
        }
        Ok(())
    }

    /// Seconds from the start to a frame.
    pub fn time_of(&self, frame: u64) -> f64 {
        frame as f64 * f64::from(self.rate.1) / f64::from(self.rate.0)
    }
}

/// What can be wrong with a configuration.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SceneError {
    #[error("the picture is {width}x{height} pixels; each side must be 16 to {MAX_SIDE}")]
    Size { width: u32, height: u32 },
    #[error("the frame rate {0}/{1} is not a positive fraction")]
    Rate(u32, u32),
    #[error("unknown {what} \"{name}\"; known: {known}")]
    UnknownName {
        what: &'static str,
        name: String,
        known: String,
    },
    #[error("{setting}: \"{value}\" is not a number from {low} to {high}")]
    Setting {
        setting: String,
        value: String,
        low: f32,
        high: f32,
    },
    #[error(
        "schedule entry \"{entry}\": {why}; an entry reads TIME[~TRANSITION] DOMAIN, as in \"20~5 night rain=1\""
    )]
    Schedule { entry: String, why: String },
}
