// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The objects of a frame as bytes: result bodies, and payloads of reports.
//!
//! Labels stand once in a table and objects refer to them by index, so a frame with a hundred cars says
//! `car` once.

use std::collections::HashMap;

use crate::codec::{DecodeError, EncodeError, Problem, Reader, Writer};
use crate::limits::{MAX_KEYPOINTS, MAX_LABEL_BYTES, MAX_LABELS, MAX_OBJECTS};

const HAS_TRACK: u8 = 1;
const HAS_QUALITY: u8 = 2;
const HAS_KEYPOINTS: u8 = 4;
const KNOWN_FLAGS: u8 = HAS_TRACK | HAS_QUALITY | HAS_KEYPOINTS;
/// flags, class, label index, score, box.
const LEAST_OBJECT_BYTES: usize = 1 + 4 + 4 + 4 + 16;

/// One detected object, in pixels of the frame.
#[derive(Clone, Debug, PartialEq)]
pub struct WireObject {
    pub class: u32,
    /// May be empty.
    pub label: String,
    /// Finite.
    pub score: f32,
    /// x, y, width, height; finite.
    pub box_: [f32; 4],
    pub track: Option<u64>,
    /// x, y, score of each; NaN means missing.
    pub keypoints: Vec<[f32; 3]>,
    pub quality: Option<f32>,
}

/// # Errors
/// When there are more objects, labels or keypoints than [`crate::limits`] allows, or a score or box is
/// not finite.
pub fn encode(objects: &[WireObject]) -> Result<Vec<u8>, EncodeError> {
    let mut index = HashMap::new();
    let mut labels = Vec::new();
    for object in objects {
        index.entry(object.label.as_str()).or_insert_with(|| {
            labels.push(object.label.as_str());
            labels.len() as u32 - 1
        });
    }
    let mut w = Writer::new();
    w.count(labels.len(), MAX_LABELS, "labels")?;
    for label in &labels {
        w.string(label, MAX_LABEL_BYTES, "labels[]")?;
    }
    w.count(objects.len(), MAX_OBJECTS, "objects")?;
    for object in objects {
        write_object(&mut w, object, index[object.label.as_str()])?;
    }
    Ok(w.into_vec())
}

fn write_object(w: &mut Writer, object: &WireObject, label: u32) -> Result<(), EncodeError> {
    let mut flags = 0;
    if object.track.is_some() {
        flags |= HAS_TRACK;
    }
    if object.quality.is_some() {
        flags |= HAS_QUALITY;
    }
    if !object.keypoints.is_empty() {
        flags |= HAS_KEYPOINTS;
    }
    w.u8(flags);
    w.u32(object.class);
    w.u32(label);
    w.finite_f32(object.score, "object.score")?;
    for v in object.box_ {
        w.finite_f32(v, "object.box")?;
    }
    if let Some(track) = object.track {
        w.u64(track);
    }
    if let Some(quality) = object.quality {
        w.f32(quality);
    }
    if !object.keypoints.is_empty() {
        w.count(object.keypoints.len(), MAX_KEYPOINTS, "object.keypoints")?;
        for v in object.keypoints.iter().flatten() {
            w.f32(*v);
        }
    }
    Ok(())
}

/// Decodes a whole body; bytes after the last object are an error.
pub fn decode(bytes: &[u8]) -> Result<Vec<WireObject>, DecodeError> {
    let mut r = Reader::new(bytes);
    let n = r.count(MAX_LABELS, 4, "labels")?;
    let mut labels = Vec::with_capacity(n);
    for _ in 0..n {
        labels.push(r.string(MAX_LABEL_BYTES, "labels[]")?);
    }
    let n = r.count(MAX_OBJECTS, LEAST_OBJECT_BYTES, "objects")?;
    let mut objects = Vec::with_capacity(n);
    for _ in 0..n {
        objects.push(read_object(&mut r, &labels)?);
    }
    r.finish("objects")?;
    Ok(objects)
}

fn read_object(r: &mut Reader, labels: &[&str]) -> Result<WireObject, DecodeError> {
    let offset = r.offset();
    let flags = r.u8("object.flags")?;
    if flags & !KNOWN_FLAGS != 0 {
        let problem = Problem::BadValue(flags.into());
        return Err(Reader::error(offset, "object.flags", problem));
    }
    let class = r.u32("object.class")?;
    let offset = r.offset();
    let index = r.u32("object.label")?;
    let label = labels.get(index as usize).ok_or_else(|| {
        let problem = Problem::BadValue(index.into());
        Reader::error(offset, "object.label", problem)
    })?;
    let score = r.finite_f32("object.score")?;
    let mut box_ = [0.0; 4];
    for v in &mut box_ {
        *v = r.finite_f32("object.box")?;
    }
    let track = match flags & HAS_TRACK {
        0 => None,
        _ => Some(r.u64("object.track")?),
    };
    let quality = match flags & HAS_QUALITY {
        0 => None,
        _ => Some(r.f32("object.quality")?),
    };
    let keypoints = match flags & HAS_KEYPOINTS {
        0 => Vec::new(),
        _ => read_keypoints(r)?,
    };
    Ok(WireObject {
        class,
        label: (*label).to_owned(),
        score,
        box_,
        track,
        keypoints,
        quality,
    })
}

fn read_keypoints(r: &mut Reader) -> Result<Vec<[f32; 3]>, DecodeError> {
    let what = "object.keypoints";
    let n = r.count(MAX_KEYPOINTS, 12, what)?;
    let mut keypoints = Vec::with_capacity(n);
    for _ in 0..n {
        keypoints.push([r.f32(what)?, r.f32(what)?, r.f32(what)?]);
    }
    Ok(keypoints)
}
