// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The models that measurements train, and pictures that suit them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use gst::prelude::*;
use splitinfer_grad_reference::drawn::as_input;
use splitinfer_tensor::{DType, Tensor};

/// A model file.
pub struct Subject {
    pub name: String,
    pub path: PathBuf,
    /// Whether it is part of the repository.
    pub shipped: bool,
    /// What the model wants a picture's values from 0 to 255 to be; it does not matter for one that takes bytes.
    range: [f32; 2],
    /// The beginning of a pipeline that gives video frames; `None` where the video is not at hand.
    source: Option<String>,
}

/// Name, range, video.
const REAL_MODELS: [(&str, [f32; 2], &str); 7] = [
    ("yolox_nano_416", [0.0, 255.0], CARS),
    ("light_person_detector_192", [0.0, 255.0], PERSON),
    ("FastestDet", [0.0, 1.0], CARS),
    ("mobilenet_v1_0.25_128_f32", [-1.0, 1.0], CARS),
    ("mobilenet_v2_1.0_224_f32", [-1.0, 1.0], CARS),
    ("movenet_lightning_f32_192", [0.0, 255.0], PERSON),
    ("blazepose_landmark_lite", [0.0, 1.0], PERSON),
];
const CARS: &str = "car-detection.mp4";
const PERSON: &str = "one-by-one-person-detection.mp4";
/// The frame of a video that is looked at: there is something in it.
const FRAME: usize = 80;

/// The shipped students, and real models where those are at hand.
pub fn subjects() -> Vec<Subject> {
    let students = ["walker", "traffic"].map(|scene| Subject {
        name: format!("{scene}-student"),
        path: crate::repository().join(format!("models/{scene}-student.onnx")),
        shipped: true,
        range: [0.0, 1.0],
        source: Some(format!(
            "scenesrc scene={scene} ! video/x-raw,width=640,height=360"
        )),
    });
    let real = REAL_MODELS.iter().filter_map(|(name, range, video)| {
        let path = crate::data::find(&format!("models/{name}.onnx"))?;
        let video = crate::data::find(&format!("videos/{video}"));
        Some(Subject {
            name: (*name).to_owned(),
            path,
            shipped: false,
            range: *range,
            source: video.map(|v| format!("filesrc location={} ! decodebin", v.display())),
        })
    });
    students.into_iter().chain(real).collect()
}

impl Subject {
    /// A frame as the model's input, stretched to its size; `None` where there is no video.
    ///
    /// # Errors
    /// When the pipeline does not run.
    pub fn picture(&self, dtype: DType, shape: &[usize]) -> Result<Option<Tensor>> {
        let Some(source) = &self.source else {
            return Ok(None);
        };
        let planar = shape[1] == 3;
        let [height, width] = if planar {
            [shape[2], shape[3]]
        } else {
            [shape[1], shape[2]]
        };
        let rgb = frame(source, width, height)?;
        let bytes = match planar {
            true => (0..3)
                .flat_map(|c| rgb.iter().skip(c).step_by(3).copied())
                .collect(),
            false => rgb,
        };
        Ok(Some(as_input(dtype, shape, bytes, self.range)?))
    }
}

/// RGB, rows without gaps.
fn frame(source: &str, width: usize, height: usize) -> Result<Vec<u8>> {
    let text = format!(
        "{source} ! videoconvert ! videoscale add-borders=false ! \
         video/x-raw,format=RGB,width={width},height={height},pixel-aspect-ratio=1/1 ! appsink name=sink sync=false max-buffers=4"
    );
    let pipeline = gst::parse::launch(&text)?.downcast::<gst::Pipeline>();
    let pipeline = pipeline.ok().context("not a pipeline")?;
    let sink = pipeline
        .by_name("sink")
        .and_downcast::<gst_app::AppSink>()
        .context("no appsink")?;
    pipeline.set_state(gst::State::Playing)?;
    let samples = std::iter::from_fn(|| sink.pull_sample().ok());
    let sample = samples.take(FRAME).last();
    pipeline.set_state(gst::State::Null)?;
    let sample = sample.with_context(|| format!("`{source}` gives no frame"))?;
    let buffer = sample.buffer_owned().context("a sample has a buffer")?;
    let info = gst_video::VideoInfo::from_caps(sample.caps().context("a sample has caps")?)?;
    let mapped = buffer.map_readable()?;
    let rows = mapped.chunks(info.stride()[0] as usize).take(height);
    Ok(rows.flat_map(|row| &row[..3 * width]).copied().collect())
}
