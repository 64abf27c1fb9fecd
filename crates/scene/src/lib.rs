// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Synthetic scenes with exact ground truth: people walking, and traffic on a road.
//!
//! ```
//! use splitinfer_scene::{Kind, Scene, SceneConfig};
//! let mut scene = Scene::new(SceneConfig { width: 320, height: 180, ..SceneConfig::new(Kind::Traffic) })?;
//! let truth = scene.render(42);
//! assert_eq!(scene.rgba().len(), 320 * 180 * 4);
//! for vehicle in &truth.objects {
//!     println!("{} {:?}", vehicle.label, vehicle.box_);
//! }
//! # Ok::<(), splitinfer_scene::SceneError>(())
//! ```

mod backdrop;
mod config;
mod dice;
mod domain;
mod effects;
mod figure;
mod geometry;
mod light;
mod plants;
mod scene;
mod schedule;
mod solid;
mod stage;
mod traffic;
mod truth;
mod walker;

pub use config::{CYCLE, Kind, MAX_SIDE, Scenario, SceneConfig, SceneError};
pub use domain::{Domain, PRESETS, SETTINGS, Setting};
pub use scene::Scene;
pub use schedule::Schedule;
pub use stage::Box4;
pub use truth::{Gait, JOINT_NAMES, Keypoint, Truth, TruthObject};
