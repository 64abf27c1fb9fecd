// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What students say of pictures, of their mirror images, and what is really there: the material of the gate's
//! measurement, from real videos made worse and from scenes.

use std::path::PathBuf;

use anyhow::{Context, Result};
use gst_video::prelude::*;
use splitinfer_evaluate::Actual;
use splitinfer_evaluate::truth::read_scene_frame;
use splitinfer_runtime::SessionOptions;
use splitinfer_scene::{Kind as SceneKind, Scene, SceneConfig, Schedule};
use splitinfer_vision::mirror::{flip_objects, flip_picture};
use splitinfer_vision::modelinfo::Filter;
use splitinfer_vision::{Object, Picture, Placement};

use super::degrade::Kind;
use crate::measure;
use crate::model::LocalModel;

/// What a clip belongs to: figures are given for each, and no error is compared across them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Set {
    /// Real videos, MoveNet 128 and 192 as students, MoveNet 256 on the clean frame as truth.
    Real,
    /// Scenes of people, the shipped student, exact truth.
    Walker,
    /// Scenes of vehicles, the shipped student, exact truth.
    Traffic,
}

/// A student on consecutive frames.
pub struct Clip {
    pub set: Set,
    /// Which video or which scene.
    pub name: String,
    pub student: String,
    /// Degradation or domain.
    pub kind: String,
    pub frames: Vec<Frame>,
}

/// Everything in pixels of the frame.
pub struct Frame {
    pub found: Vec<Object>,
    /// Found on the mirrored picture, flipped back.
    pub mirrored: Vec<Object>,
    pub truth: Vec<Actual>,
}

/// How much is looked at.
#[derive(Clone, Copy)]
pub struct Sample {
    pub videos: usize,
    pub frames_of_video: usize,
    pub scenes: u64,
    pub frames_of_scene: u64,
}

const VIDEOS: [&str; 10] = [
    "one-by-one-person-detection.mp4",
    "asl-walk.mkv",
    "asl-brother.mkv",
    "worker-zone-detection-preview.mp4",
    "asl-eat.mkv",
    "asl-want.mkv",
    "asl-yes.mkv",
    "store-aisle-detection-preview.mp4",
    "face-demographics-walking-preview.mp4",
    "people-detection-preview.mp4",
];

pub const DOMAINS: [&str; 10] = [
    "day",
    "night",
    "rain",
    "fog",
    "dusk",
    "low",
    "oblique",
    "cheap-camera",
    "crowded",
    "highway",
];

/// Scenes that no model was trained on (docs/measurements/models.md).
const SEED: u64 = 900_000;

/// Sides of MoveNet's picture.
const STUDENTS: [u32; 2] = [128, 192];
const TEACHER: u32 = 256;

/// Frames of one strength of a degradation, then the next.
const STEP: usize = 20;
const STEPS: usize = 5;

/// A teacher's joint below this score is no truth.
const SURE: f32 = 0.3;
/// Nor is one whose place differs by more than this share of the body's size in its answer to the mirrored frame.
const AGREES: f32 = 0.05;
/// Nor are so few of them a person.
const FEWEST_JOINTS: usize = 6;

fn load(path: &std::path::Path) -> Result<LocalModel> {
    let options = SessionOptions {
        threads: 1,
        ..SessionOptions::default()
    };
    // A video six times as large as the model's picture, picked out by single pixels, is noise to it.
    LocalModel::load_as(path, &options, |info| info.input.filter = Filter::Area)
}

/// The student's answers to a picture and to its mirror image.
fn ask(
    student: &mut LocalModel,
    picture: &Picture,
    placement: &Placement,
) -> Result<(Vec<Object>, Vec<Object>)> {
    let found = student.objects(picture, placement)?;
    let tensor = student.tensor(&flip_picture(picture, placement))?;
    let mut mirrored = student.read(&student.split.whole(&tensor)?)?;
    flip_objects(&mut mirrored, placement, &student.info);
    mirrored.iter_mut().for_each(|o| placement.to_frame(o));
    Ok((found, mirrored))
}

/// All clips of real videos; none where the data is absent.
///
/// # Errors
/// When a video or a model cannot be used.
pub fn real(sample: &Sample) -> Result<Vec<Clip>> {
    let model = |side: u32| crate::data::find(&format!("models/movenet_lightning_f32_{side}.onnx"));
    let Some(mut teacher) = model(TEACHER).map(|path| load(&path)).transpose()? else {
        return Ok(Vec::new());
    };
    let mut students = Vec::new();
    for side in STUDENTS {
        if let Some(path) = model(side) {
            students.push((side, load(&path)?));
        }
    }
    let videos: Vec<(&str, PathBuf)> = VIDEOS
        .into_iter()
        .take(sample.videos)
        .filter_map(|v| Some((v, crate::data::find(&format!("videos/{v}"))?)))
        .collect();
    let bar = measure::progress(videos.len() * Kind::ALL.len());
    let mut clips = Vec::new();
    for (number, (name, path)) in videos.iter().enumerate() {
        let video = Video::load(name, number, path, &mut teacher, sample.frames_of_video)?;
        for kind in Kind::ALL {
            bar.set_message(format!("{name}, {}", kind.name()));
            clips.extend(video.seen_by(&mut students, kind)?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(clips)
}

/// Frames of a video and what the teacher says of them.
struct Video<'a> {
    name: &'a str,
    number: usize,
    size: [u32; 2],
    frames: Vec<Vec<u8>>,
    truth: Vec<Vec<Actual>>,
}

impl<'a> Video<'a> {
    fn load(
        name: &'a str,
        number: usize,
        path: &std::path::Path,
        teacher: &mut LocalModel,
        count: usize,
    ) -> Result<Self> {
        let (size, frames) = rgb_frames(path, count)?;
        let truth = frames
            .iter()
            .map(|rgb| {
                let (picture, placement) = teacher.picture_of_rgb(rgb, size)?;
                let (found, mirrored) = ask(teacher, &picture, &placement)?;
                Ok(teacher_truth(&found, &mirrored))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            name,
            number,
            size,
            frames,
            truth,
        })
    }

    /// A clip for each student.
    fn seen_by(&self, students: &mut [(u32, LocalModel)], kind: Kind) -> Result<Vec<Clip>> {
        let clip = |(side, _): &(u32, LocalModel)| Clip {
            set: Set::Real,
            name: self.name.to_owned(),
            student: format!("MoveNet {side}"),
            kind: kind.name().to_owned(),
            frames: Vec::with_capacity(self.frames.len()),
        };
        let mut clips: Vec<Clip> = students.iter().map(clip).collect();
        for (i, (rgb, truth)) in self.frames.iter().zip(&self.truth).enumerate() {
            let mut rgb = rgb.clone();
            let strength = ((i / STEP + self.number * 2) % STEPS) as f32 / (STEPS - 1) as f32;
            let sides = self.size.map(|side| side as usize);
            kind.apply(&mut rgb, sides, strength, self.number as u64, i as u64);
            for ((_, student), clip) in students.iter_mut().zip(&mut clips) {
                let (picture, placement) = student.picture_of_rgb(&rgb, self.size)?;
                let (found, mirrored) = ask(student, &picture, &placement)?;
                clip.frames.push(Frame {
                    found,
                    mirrored,
                    truth: truth.clone(),
                });
            }
        }
        Ok(clips)
    }
}

/// The first frames of a video as RGB without padding.
fn rgb_frames(path: &std::path::Path, count: usize) -> Result<([u32; 2], Vec<Vec<u8>>)> {
    let source = format!(
        "filesrc location={} ! decodebin ! videoconvert ! video/x-raw,format=RGB",
        path.display()
    );
    let (caps, buffers) = measure::frames_as_they_are(&source, count)?;
    let video = gst_video::VideoInfo::from_caps(&caps)?;
    let row = video.width() as usize * 3;
    let frames = buffers
        .iter()
        .map(|buffer| {
            let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &video)?;
            let stride = usize::try_from(frame.plane_stride()[0])?;
            let rows = frame.plane_data(0)?.chunks(stride);
            let rows = rows.take(video.height() as usize);
            Ok(rows.flat_map(|r| &r[..row]).copied().collect())
        })
        .collect::<Result<_>>()?;
    Ok(([video.width(), video.height()], frames))
}

/// The joints that the teacher is sure of: it says so, and its answers to the frame and to the mirrored frame agree.
fn teacher_truth(found: &[Object], mirrored: &[Object]) -> Vec<Actual> {
    let ([a], [b]) = (found, mirrored) else {
        return Vec::new();
    };
    let near = AGREES * a.box_[2].max(a.box_[3]);
    let keypoints: Vec<[f64; 3]> = a
        .keypoints
        .iter()
        .zip(&b.keypoints)
        .map(|(p, q)| {
            let sure = p[2].min(q[2]) >= SURE && (p[0] - q[0]).hypot(p[1] - q[1]) <= near;
            let middle = |i: usize| f64::from(f32::midpoint(p[i], q[i]));
            [middle(0), middle(1), if sure { 2.0 } else { 0.0 }]
        })
        .collect();
    if keypoints.iter().filter(|k| k[2] > 0.0).count() < FEWEST_JOINTS {
        return Vec::new();
    }
    vec![Actual {
        label: a.label.clone(),
        bbox: a.box_.map(f64::from),
        keypoints,
        ..Actual::default()
    }]
}

/// Clips of scenes: the same seeds in every domain, other ones for people than for vehicles.
///
/// # Errors
/// When a shipped model cannot be used.
pub fn scenes(set: Set, sample: &Sample) -> Result<Vec<Clip>> {
    let (kind, name) = match set {
        Set::Traffic => (SceneKind::Traffic, "traffic"),
        Set::Walker | Set::Real => (SceneKind::Walker, "walker"),
    };
    let model = crate::repository().join(format!("models/{name}-student.onnx"));
    let mut student = load(&model)?;
    let bar = measure::progress(DOMAINS.len() * sample.scenes as usize);
    let mut clips = Vec::new();
    for domain in DOMAINS {
        let schedule: Schedule = domain.parse().context("a domain of this project")?;
        for number in 0..sample.scenes {
            bar.set_message(format!("{name}, {domain}"));
            let mut scene = Scene::new(SceneConfig {
                seed: SEED + number,
                schedule: schedule.clone(),
                ..SceneConfig::new(kind)
            })?;
            clips.push(Clip {
                set,
                name: format!("scene {number}"),
                student: "shipped".to_owned(),
                kind: domain.to_owned(),
                frames: scene_frames(&mut scene, &mut student, sample.frames_of_scene)?,
            });
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(clips)
}

fn scene_frames(scene: &mut Scene, student: &mut LocalModel, count: u64) -> Result<Vec<Frame>> {
    let size = [scene.config().width, scene.config().height];
    let mut rgb = Vec::new();
    (0..count)
        .map(|number| {
            // Fifteen a second: what every second frame of a camera shows.
            let truth = scene.render(number * 2);
            scene.rgb_into(&mut rgb);
            let (picture, placement) = student.picture_of_rgb(&rgb, size)?;
            let (found, mirrored) = ask(student, &picture, &placement)?;
            let (_, _, truth) = read_scene_frame(&truth.to_json())?;
            Ok(Frame {
                found,
                mirrored,
                truth,
            })
        })
        .collect()
}
