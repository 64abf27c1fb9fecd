// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The scene: from a frame number to a picture and its truth.

use crate::config::{Kind, SceneConfig, SceneError};
use crate::domain::Domain;
use crate::effects::{self, Effects};
use crate::geometry::Camera;
use crate::light::Light;
use crate::stage::Stage;
use crate::traffic::Traffic;
use crate::truth::{Truth, TruthObject};
use crate::walker::Walker;
use std::io;
use std::path::Path;
use tiny_skia::Pixmap;

/// A scene that renders any frame of itself.
///
/// The state follows from the frame number: frames may be asked for in any order, and a frame's bytes do
/// not depend on which were rendered before.
pub struct Scene {
    config: SceneConfig,
    world: World,
    /// What does not move, drawn once per domain.
    backdrop: Pixmap,
    view: Option<View>,
    picture: Pixmap,
    stage: Stage,
    effects: Effects,
}

enum World {
    Walker(Walker),
    Traffic(Traffic),
}

/// What a domain determines.
struct View {
    domain: Domain,
    camera: Camera,
    light: Light,
}

impl Scene {
    /// # Errors
    /// When a side is not 16 to 8192 pixels or the rate is not positive.
    pub fn new(config: SceneConfig) -> Result<Self, SceneError> {
        config.check()?;
        let size = SceneError::Size {
            width: config.width,
            height: config.height,
        };
        let pixmap = Pixmap::new(config.width, config.height).ok_or(size)?;
        let world = match config.kind {
            Kind::Walker => World::Walker(Walker::new(&config)),
            Kind::Traffic => World::Traffic(Traffic::new(&config)),
        };
        Ok(Self {
            world,
            backdrop: pixmap.clone(),
            view: None,
            picture: pixmap,
            stage: Stage::default(),
            effects: Effects::new(config.width, config.height, config.seed),
            config,
        })
    }

    pub fn config(&self) -> &SceneConfig {
        &self.config
    }

    /// Draws a frame, to be read with [`Scene::rgba`], and returns its truth.
    pub fn render(&mut self, frame: u64) -> Truth {
        let time = self.config.time_of(frame);
        let view = self.view_at(time);
        self.picture
            .data_mut()
            .copy_from_slice(self.backdrop.data());
        self.stage.clear();
        let (stage, camera, light) = (&mut self.stage, &view.camera, &view.light);
        let objects: Vec<TruthObject> = match &mut self.world {
            World::Walker(w) => w.stage(stage, camera, light, &view.domain, time),
            World::Traffic(t) => t.stage(stage, camera, light, &view.domain, time),
        };
        let SceneConfig {
            seed,
            width,
            height,
            ..
        } = self.config;
        effects::rain(stage, &view.domain, light, seed, frame, width, height);
        stage.paint(&mut self.picture.as_mut());
        self.effects
            .apply(self.picture.data_mut(), &view.domain, frame);
        let domain = view.domain.name.clone();
        self.view = Some(view);
        Truth {
            frame,
            time,
            domain,
            objects,
        }
    }

    /// The last frame: rows from the top, four bytes a pixel, red, green, blue, 255.
    pub fn rgba(&self) -> &[u8] {
        self.picture.data()
    }

    /// The last frame as an opaque picture without the fourth byte, written into `out`.
    pub fn rgb_into(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend(self.rgba().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]));
    }

    /// Writes the last frame as a PNG file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_png(&self, path: &Path) -> io::Result<()> {
        self.picture.save_png(path).map_err(io::Error::other)
    }

    /// The view at a time, with the backdrop drawn for it.
    fn view_at(&mut self, time: f64) -> View {
        let domain = self.config.schedule.at(time);
        if let Some(view) = self.view.take_if(|v| v.domain == domain) {
            return view;
        }
        let light = Light::of(&domain);
        // The seams between areas let through what was there before.
        self.backdrop.fill(tiny_skia::Color::BLACK);
        let picture = &mut self.backdrop.as_mut();
        let camera = match &self.world {
            World::Walker(w) => {
                let camera = w.camera(&domain);
                w.paint_backdrop(picture, &camera, &light, &domain);
                camera
            }
            World::Traffic(t) => {
                let camera = t.camera(&domain);
                t.paint_backdrop(picture, &camera, &light, &domain);
                camera
            }
        };
        View {
            domain,
            camera,
            light,
        }
    }
}
