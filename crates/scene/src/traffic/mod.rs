// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A road under a fixed camera.

mod flow;
mod road;
mod vehicle;

use crate::config::SceneConfig;
use crate::dice::Dice;
use crate::domain::Domain;
use crate::geometry::{Camera, vec3};
use crate::light::Light;
use crate::stage::{Owner, Stage, clip};
use crate::truth::TruthObject;
use flow::{Flow, Vehicle};
use tiny_skia::PixmapMut;

/// The road and its timetable.
pub struct Traffic {
    config: SceneConfig,
    flow: Flow,
}

impl Traffic {
    pub fn new(config: &SceneConfig) -> Self {
        Self {
            config: config.clone(),
            flow: Flow::new(config.seed, config.scenario),
        }
    }

    pub fn camera(&self, domain: &Domain) -> Camera {
        let mut dice = Dice::new(self.config.seed, &[0xCA4, domain.get("camera") as u64]);
        // The road runs along z; yaw is against it.
        let (position, yaw, pitch, field) = match domain.get("camera") as u32 {
            1 => (vec3(1.5, 15.0, -6.0), 0.0, 24.0, 46.0),
            2 => (vec3(10.8, 2.7, 2.0), -24.0, 3.0, 40.0),
            3 => (vec3(19.0, 8.0, 16.0), -68.0, 19.0, 52.0),
            _ => (vec3(10.5, 7.2, 0.0), -21.0, 13.5, 40.0),
        };
        let shift = vec3(
            dice.around_zero(1.2),
            dice.around_zero(0.6),
            dice.around_zero(2.0),
        );
        Camera::new(
            position + shift,
            (yaw + dice.around_zero(3.0f32)).to_radians(),
            (pitch + dice.around_zero(1.5f32)).to_radians(),
            f32::to_radians(field + dice.around_zero(2.5)),
            self.config.width,
            self.config.height,
        )
    }

    pub fn paint_backdrop(
        &self,
        picture: &mut PixmapMut,
        camera: &Camera,
        light: &Light,
        domain: &Domain,
    ) {
        road::paint(picture, camera, light, domain, self.config.seed);
    }

    /// Puts vehicles, passers-by and what may hide them on the stage and returns what is true of the
    /// vehicles.
    pub fn stage(
        &mut self,
        stage: &mut Stage,
        camera: &Camera,
        light: &Light,
        domain: &Domain,
        time: f64,
    ) -> Vec<TruthObject> {
        let mut vehicles = self.flow.vehicles(domain, time);
        // What stands nearer is drawn later; along the line of sight the nearest end decides.
        vehicles.sort_by(|a, b| b.nearness(camera).total_cmp(&a.nearness(camera)));
        let props = road::props(self.config.seed, domain, time);
        for vehicle in &vehicles {
            vehicle::shadow(stage, camera, light, vehicle);
        }
        let mut waiting = props.iter().peekable_by_distance(camera);
        for (i, vehicle) in vehicles.iter().enumerate() {
            while let Some(prop) = waiting.next_beyond(vehicle.nearness(camera)) {
                prop.draw(stage, camera, light);
            }
            vehicle::draw(stage, Owner::Object(i), camera, light, vehicle);
        }
        while let Some(prop) = waiting.next_beyond(f32::NEG_INFINITY) {
            prop.draw(stage, camera, light);
        }
        vehicles
            .iter()
            .enumerate()
            .filter_map(|(i, v)| self.truth(stage, i, v))
            .collect()
    }

    fn truth(&self, stage: &Stage, i: usize, vehicle: &Vehicle) -> Option<TruthObject> {
        let (width, height) = (self.config.width, self.config.height);
        let box_ = clip(stage.outline(i)?, width, height)?;
        let visible = stage.visible_share(i, width, height);
        (visible > 0.0).then(|| TruthObject {
            label: vehicle.kind.label(),
            track: vehicle.track,
            box_,
            visible,
            moving: vehicle.moving,
            keypoints: Vec::new(),
            gait: None,
        })
    }
}

/// Props sorted from far to near, taken as far as a distance.
struct ByDistance<'a> {
    /// Nearest first, so that the farthest is popped from the end.
    props: Vec<(f32, &'a road::Prop)>,
}

trait PeekableByDistance<'a> {
    fn peekable_by_distance(self, camera: &Camera) -> ByDistance<'a>;
}

impl<'a, I: Iterator<Item = &'a road::Prop>> PeekableByDistance<'a> for I {
    fn peekable_by_distance(self, camera: &Camera) -> ByDistance<'a> {
        let mut props: Vec<_> = self.map(|p| (camera.depth(p.place()), p)).collect();
        props.sort_by(|a, b| a.0.total_cmp(&b.0));
        ByDistance { props }
    }
}

impl<'a> ByDistance<'a> {
    fn next_beyond(&mut self, distance: f32) -> Option<&'a road::Prop> {
        let (at, prop) = *self.props.last()?;
        (at > distance).then(|| {
            self.props.pop();
            prop
        })
    }
}
