// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One object: a structure inside the frame's metadata, and a region of interest beside it.
//!
//! The structure holds everything. The region is there for elements that know nothing of this
//! project, and because GStreamer's scalers adapt regions: where the picture was scaled, the region
//! says where the object went. (That is all that it can say: up to GStreamer 1.22 a region loses
//! its parameters in `videoscale` and even in `videoconvert`.)
//!
//! A region has whole pixels. So the exact box and the keypoints are stored in units of the region:
//! 0 is its left or upper edge, 1 its right or lower edge.

use crate::Object;
use crate::frame::{array, without_nul};

/// Larger than any frame, small enough that scalers can multiply it in 32 bits.
const LARGEST_COORDINATE: f64 = 32767.0;

/// Adds the region of `object` to the buffer and gives the structure for the frame's metadata.
pub(crate) fn add(buffer: &mut gst::BufferRef, object: &Object) -> gst::Structure {
    let region = Region::around(object.box_);
    // Unique in the process, so that it is never mistaken for a region of another element.
    // SAFETY: a counter, callable at any time.
    let id = unsafe { gst::ffi::gst_util_seqnum_next() }.cast_signed();
    let detection = detection(object, &region);
    let keypoints = (!object.keypoints.is_empty()).then(|| keypoints(object, &region));

    let mut structure = gst::Structure::builder("object")
        .field("region-id", id)
        .field("region", gst::Array::new(region.rect()))
        .field("detection", &detection)
        .build();
    structure.set_if_some("keypoints", keypoints.as_ref());

    let label = without_nul(&object.label);
    let [x, y, width, height] = region.rect();
    let mut meta = gst_video::VideoRegionOfInterestMeta::add(buffer, &label, (x, y, width, height));
    meta.set_id(id);
    meta.add_param(detection);
    if let Some(keypoints) = keypoints {
        meta.add_param(keypoints);
    }
    structure
}

fn detection(object: &Object, region: &Region) -> gst::Structure {
    let mut s = gst::Structure::builder("detection")
        .field("label", without_nul(&object.label))
        .field("class-id", object.class)
        .field("score", f64::from(object.score))
        .field("box", gst::Array::new(region.relative_box(object.box_)))
        .build();
    s.set_if_some("track", object.track);
    s.set_if_some("quality", object.quality.map(f64::from));
    s.set_if_some("mirror-agreement", object.mirror_agreement.map(f64::from));
    s
}

fn keypoints(object: &Object, region: &Region) -> gst::Structure {
    let points = object.keypoints.iter().flat_map(|[x, y, score]| {
        let [x, y] = region.relative(*x, *y);
        [x, y, f64::from(*score)]
    });
    gst::Structure::builder("keypoints")
        .field("points", gst::Array::new(points))
        .build()
}

/// The id of the region that belongs to a structure of [`add`].
pub(crate) fn id(structure: &gst::StructureRef) -> Option<i32> {
    structure.get("region-id").ok()
}

/// The object of a structure of [`add`], in pixels of the frame as it is now.
///
/// Where an element has dropped the region, its place when it was added counts.
pub(crate) fn read(buffer: &gst::BufferRef, structure: &gst::StructureRef) -> Option<Object> {
    let id = id(structure)?;
    let stored: [u32; 4] = array(structure, "region").try_into().ok()?;
    let rect = buffer
        .iter_meta::<gst_video::VideoRegionOfInterestMeta>()
        .find(|m| m.id() == id)
        .map_or(stored, |m| m.rect().into());
    let region = Region::from(rect);

    let detection: gst::Structure = structure.get("detection").ok()?;
    let [left, top, right, bottom] = array::<f64>(&detection, "box").try_into().ok()?;
    let [x0, y0] = region.absolute(left, top);
    let [x1, y1] = region.absolute(right, bottom);
    Some(Object {
        class: detection.get("class-id").ok()?,
        label: detection.get("label").ok()?,
        score: detection.get::<f64>("score").ok()? as f32,
        box_: [x0, y0, x1 - x0, y1 - y0].map(|v| v as f32),
        track: detection.get("track").ok(),
        keypoints: structure
            .get::<gst::Structure>("keypoints")
            .map(|s| region.points(&array(&s, "points")))
            .unwrap_or_default(),
        quality: detection.get::<f64>("quality").ok().map(|q| q as f32),
        mirror_agreement: detection
            .get::<f64>("mirror-agreement")
            .ok()
            .map(|q| q as f32),
    })
}

/// Whole pixels.
struct Region {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

impl Region {
    /// The smallest region of at least one pixel that holds the part of the box that a frame can.
    fn around([x, y, width, height]: [f32; 4]) -> Self {
        let span = |from: f32, length: f32| {
            let clamp = |v: f64| v.clamp(0.0, LARGEST_COORDINATE);
            let start = clamp(f64::from(from).floor()) as u32;
            let end = clamp((f64::from(from) + f64::from(length)).ceil()) as u32;
            (start, end.saturating_sub(start).max(1))
        };
        let (x, width) = span(x, width);
        let (y, height) = span(y, height);
        Self::from([x, y, width, height])
    }

    fn rect(&self) -> [u32; 4] {
        [self.x, self.y, self.width, self.height]
    }

    fn relative(&self, x: f32, y: f32) -> [f64; 2] {
        [
            (f64::from(x) - f64::from(self.x)) / f64::from(self.width),
            (f64::from(y) - f64::from(self.y)) / f64::from(self.height),
        ]
    }

    /// Left, top, right, bottom.
    fn relative_box(&self, [x, y, width, height]: [f32; 4]) -> [f64; 4] {
        let [left, top] = self.relative(x, y);
        [
            left,
            top,
            left + f64::from(width) / f64::from(self.width),
            top + f64::from(height) / f64::from(self.height),
        ]
    }

    fn absolute(&self, x: f64, y: f64) -> [f64; 2] {
        [
            f64::from(self.x) + x * f64::from(self.width),
            f64::from(self.y) + y * f64::from(self.height),
        ]
    }
    /// From x, y, score in one row.
    fn points(&self, points: &[f64]) -> Vec<[f32; 3]> {
        let points = points.as_chunks::<3>().0.iter();
        points
            .map(|[x, y, score]| {
                let [x, y] = self.absolute(*x, *y);
                [x as f32, y as f32, *score as f32]
            })
            .collect()
    }
}

impl From<[u32; 4]> for Region {
    fn from([x, y, width, height]: [u32; 4]) -> Self {
        Self {
            x,
            y,
            width,
            height,
        }
    }
}
