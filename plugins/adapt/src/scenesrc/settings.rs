// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the user set.

use gst::glib;
use splitinfer_scene::{Kind, Scenario, SceneConfig, SceneError};

/// What is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstSceneSrcScene")]
pub enum SceneKind {
    #[default]
    #[enum_value(
        name = "Traffic: vehicles on a road under a fixed camera",
        nick = "traffic"
    )]
    Traffic = 0,
    #[enum_value(
        name = "Walker: people who walk, turn, sit down and raise their arms",
        nick = "walker"
    )]
    Walker = 1,
}

/// How much recurs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstSceneSrcScenario")]
pub enum SceneScenario {
    #[enum_value(
        name = "Repetitive: the same actors do the same in every cycle",
        nick = "repetitive"
    )]
    Repetitive = 0,
    #[enum_value(
        name = "Semi-repetitive: other actors do nearly the same in every cycle",
        nick = "semi-repetitive"
    )]
    SemiRepetitive = 1,
    #[default]
    #[enum_value(name = "Dynamic: nothing recurs", nick = "dynamic")]
    Dynamic = 2,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub scene: SceneKind,
    pub seed: u64,
    pub domain: String,
    pub scenario: SceneScenario,
    pub truth: bool,
    pub is_live: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scene: SceneKind::default(),
            seed: 0,
            domain: "day".into(),
            scenario: SceneScenario::default(),
            truth: true,
            is_live: false,
        }
    }
}

impl Settings {
    /// The scene to draw for pictures of this size and rate.
    pub fn config(
        &self,
        width: u32,
        height: u32,
        rate: (u32, u32),
    ) -> Result<SceneConfig, SceneError> {
        Ok(SceneConfig {
            kind: match self.scene {
                SceneKind::Traffic => Kind::Traffic,
                SceneKind::Walker => Kind::Walker,
            },
            width,
            height,
            rate,
            seed: self.seed,
            scenario: match self.scenario {
                SceneScenario::Repetitive => Scenario::Repetitive,
                SceneScenario::SemiRepetitive => Scenario::SemiRepetitive,
                SceneScenario::Dynamic => Scenario::Dynamic,
            },
            schedule: self.domain.parse()?,
        })
    }
}
