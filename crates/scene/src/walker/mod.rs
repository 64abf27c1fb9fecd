// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! People in a room or outdoors, seen from the side.

mod backdrop;
mod furniture;
mod script;

use crate::config::SceneConfig;
use crate::dice::Dice;
use crate::domain::Domain;
use crate::figure::{Clothes, Skeleton, draw};
use crate::geometry::{Camera, Stand, vec3};
use crate::light::Light;
use crate::stage::{Owner, Stage, clip};
use crate::truth::{Gait, Keypoint, TruthObject};
use script::{Moment, Timeline};
use tiny_skia::PixmapMut;

/// At most this many people.
const MOST: usize = 3;

/// The walkers' world and everyone's timetable.
pub struct Walker {
    config: SceneConfig,
    timelines: Vec<Timeline>,
}

/// One person at one moment.
struct Person {
    actor: usize,
    moment: Moment,
    skeleton: Skeleton,
    clothes: Clothes,
}

impl Walker {
    pub fn new(config: &SceneConfig) -> Self {
        let timelines = (0..MOST)
            .map(|actor| Timeline::new(config.seed, actor, config.scenario))
            .collect();
        Self {
            config: config.clone(),
            timelines,
        }
    }

    pub fn camera(&self, domain: &Domain) -> Camera {
        let mut dice = Dice::new(self.config.seed, &[0xCA3, domain.get("camera") as u64]);
        let (position, yaw, pitch, field) = match domain.get("camera") as u32 {
            1 => (vec3(0.0, 2.9, -5.2), 0.0, 18.0, 42.0),
            2 => (vec3(0.3, 0.45, -4.9), 0.0, -6.0, 40.0),
            3 => (vec3(-3.4, 1.7, -4.4), 36.0, 7.0, 42.0),
            _ => (vec3(0.0, 1.35, -5.4), 0.0, 4.0, 38.0),
        };
        let shift = vec3(
            dice.around_zero(0.3),
            dice.around_zero(0.12),
            dice.around_zero(0.35),
        );
        Camera::new(
            position + shift,
            (yaw + dice.around_zero(3.0f32)).to_radians(),
            (pitch + dice.around_zero(1.2f32)).to_radians(),
            f32::to_radians(field + dice.around_zero(2.0)),
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
        backdrop::paint(picture, camera, light, domain, self.config.seed);
    }

    /// Puts people and furniture on the stage and returns what is true of the people.
    pub fn stage(
        &mut self,
        stage: &mut Stage,
        camera: &Camera,
        light: &Light,
        domain: &Domain,
        time: f64,
    ) -> Vec<TruthObject> {
        let people = self.people(domain, time);
        let furniture = furniture::arrange(self.config.seed, domain);
        enum Item<'a> {
            Person(usize, &'a Person),
            Furniture(&'a furniture::Piece),
        }
        let mut items: Vec<(f32, Item)> = Vec::new();
        for (i, person) in people.iter().enumerate() {
            items.push((
                camera.depth(person.skeleton.joint(11)),
                Item::Person(i, person),
            ));
        }
        for piece in &furniture {
            items.push((camera.depth(piece.place()), Item::Furniture(piece)));
        }
        items.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (_, item) in items {
            match item {
                Item::Furniture(piece) => piece.draw(stage, camera, light),
                Item::Person(i, person) => {
                    foot_shadow(stage, camera, light, &person.skeleton);
                    draw(
                        stage,
                        Owner::Object(i),
                        camera,
                        light,
                        &person.skeleton,
                        &person.clothes,
                    );
                }
            }
        }
        people
            .iter()
            .enumerate()
            .filter_map(|(i, p)| self.truth(stage, camera, i, p))
            .collect()
    }

    fn people(&mut self, domain: &Domain, time: f64) -> Vec<Person> {
        let density = domain.get("density");
        let count = if density < 0.1 {
            0
        } else if density < 0.5 {
            1
        } else if density < 0.8 {
            2
        } else {
            MOST
        };
        let mut people = Vec::new();
        for (actor, timeline) in self.timelines.iter_mut().enumerate().take(count) {
            let (episode, moment) = timeline.at(time);
            let look = timeline.look_key(episode);
            let mut dice = Dice::new(self.config.seed, &[0xC107, actor as u64, look]);
            let clothes = Clothes::random(&mut dice, domain.get("palette"), domain.get("heavy"));
            let stand = Stand::at(moment.x, moment.z, moment.yaw);
            let skeleton = Skeleton::new(&moment.pose, &stand, moment.height);
            people.push(Person {
                actor,
                moment,
                skeleton,
                clothes,
            });
        }
        people
    }

    fn truth(
        &self,
        stage: &Stage,
        camera: &Camera,
        i: usize,
        person: &Person,
    ) -> Option<TruthObject> {
        let (width, height) = (self.config.width, self.config.height);
        let box_ = clip(stage.outline(i)?, width, height)?;
        let visible = stage.visible_share(i, width, height);
        let joint = |j: usize| {
            let [x, y] = camera
                .project(person.skeleton.joint(j))
                .unwrap_or([-1.0, -1.0]);
            let inside = x >= 0.0 && y >= 0.0 && x < width as f32 && y < height as f32;
            let visibility = if !inside {
                0
            } else {
                1 + u8::from(stage.joint_shows(i, j, [x, y]))
            };
            Keypoint { x, y, visibility }
        };
        (visible > 0.0).then(|| TruthObject {
            label: "person",
            track: (self.timelines[person.actor].first_track() + person.moment.episode)
                * MOST as u64
                + person.actor as u64,
            box_,
            visible,
            moving: person.moment.action != "stand",
            keypoints: (0..17).map(joint).collect(),
            gait: Some(Gait {
                knee_flexion: person.moment.pose.knee_flexion(),
                phase: person.moment.phase,
                action: person.moment.action,
            }),
        })
    }
}

/// A soft dark spot where the feet stand.
fn foot_shadow(stage: &mut Stage, camera: &Camera, light: &Light, body: &Skeleton) {
    let middle = body.heels[0]
        .lerp(body.toes[0], 0.5)
        .lerp(body.heels[1].lerp(body.toes[1], 0.5), 0.5);
    for (radius, alpha) in [(0.36, 0.14), (0.25, 0.18)] {
        let ring: Vec<_> = (0..16)
            .map(|i| {
                let (sin, cos) = (i as f32 / 16.0 * std::f32::consts::TAU).sin_cos();
                vec3(middle.x + cos * radius * 1.25, 0.0, middle.z + sin * radius)
            })
            .collect();
        let mut colour = light.shadow_colour();
        colour[3] = (alpha + 0.2 * light.shadow * alpha) * light.shadows;
        stage.flat(Owner::Air, camera.polygon(&ring), colour);
    }
}
