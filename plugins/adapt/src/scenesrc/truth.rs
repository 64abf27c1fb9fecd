// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The truth about a frame as metadata on its buffer.
//!
//! Results of inference are regions of interest with a `detection` parameter; the truth has `truth`
//! instead, so that neither can be taken for the other.

use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;
use splitinfer_scene::{Truth, TruthObject};

/// Name of the frame's custom metadata.
pub const META_NAME: &str = "SplitInferTruth";

/// Makes the metadata known, unless another shared object in this process has.
fn register() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        if !gst::meta::CustomMeta::is_registered(META_NAME) {
            gst::meta::CustomMeta::register_simple(META_NAME);
        }
    });
}

/// Attaches one custom meta with all of it (`frame`, `time`, `domain`, `json`) and a region of interest an
/// object.
pub fn attach(buffer: &mut gst::BufferRef, truth: &Truth) -> Result<(), gst::glib::BoolError> {
    register();
    let mut meta = gst::meta::CustomMeta::add(buffer, META_NAME)?;
    let structure = meta.mut_structure();
    structure.set("frame", truth.frame);
    structure.set("time", truth.time);
    structure.set("domain", &truth.domain);
    structure.set("json", truth.to_json());
    for object in &truth.objects {
        add_region(buffer, object);
    }
    Ok(())
}

fn add_region(buffer: &mut gst::BufferRef, object: &TruthObject) {
    let [x, y, w, h] = object.box_;
    // Whole pixels around the exact box, which is in the parameters.
    let (left, top) = (x.floor() as u32, y.floor() as u32);
    let (right, bottom) = ((x + w).ceil() as u32, (y + h).ceil() as u32);
    let mut region = VideoRegionOfInterestMeta::add(
        buffer,
        object.label,
        (left, top, right - left, bottom - top),
    );
    region.add_param(parameters(object));
}

fn parameters(object: &TruthObject) -> gst::Structure {
    let numbers = |values: &[f32]| gst::Array::new(values.iter().map(|v| f64::from(*v)));
    let mut structure = gst::Structure::builder("truth")
        .field("label", object.label)
        .field("track", object.track)
        .field("box", numbers(&object.box_))
        .field("visible", f64::from(object.visible))
        .field("moving", object.moving)
        .build();
    if !object.keypoints.is_empty() {
        let points = object
            .keypoints
            .iter()
            .map(|k| numbers(&[k.x, k.y, f32::from(k.visibility)]).to_send_value());
        structure.set("keypoints", gst::Array::from_values(points));
    }
    if let Some(gait) = &object.gait {
        structure.set("knee-flexion", numbers(&gait.knee_flexion));
        structure.set("action", gait.action);
        if let Some(phase) = gait.phase {
            structure.set("gait-phase", f64::from(phase));
        }
    }
    structure
}
