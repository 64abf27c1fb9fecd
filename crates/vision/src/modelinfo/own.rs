// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The `[splitinfer]` section: what GStreamer's own keys cannot say.

use std::collections::BTreeMap;
use std::path::Path;

use super::presets::{self, Skeleton};
use super::sidecar::{Keys, SidecarError};
use super::{Activation, AxisOrder, Colour, Coordinates, Filter, HeadKind, Layout, Resize};

pub(super) const OWN_SECTION: &str = "splitinfer";

/// Keys that name an output for a role of the head start so: `tensor-heatmap=…`.
pub(super) const ROLE_PREFIX: &str = "tensor-";

const KEYS: [&str; 26] = [
    "head",
    "colour",
    "color",
    "layout",
    "input-size",
    "resize",
    "pad",
    "filter",
    "labels",
    "labels-file",
    "keypoints",
    "skeleton",
    "activation",
    "score-threshold",
    "nms-threshold",
    "class-agnostic",
    "peak-ratio",
    "max-objects",
    "score-power",
    "strides",
    "keypoint-threshold",
    "axis-order",
    "coordinates",
    "first-class",
    "classes",
    "remap",
];

/// Every key of the section, `None` where it is not given.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    pub head: Option<HeadKind>,
    pub colour: Option<Colour>,
    pub layout: Option<Layout>,
    pub input_size: Option<[u32; 2]>,
    pub resize: Option<Resize>,
    pub pad: Option<u8>,
    pub filter: Option<Filter>,
    pub labels: Option<Vec<String>>,
    pub keypoints: Option<Vec<String>>,
    pub skeleton: Option<Skeleton>,
    pub activation: Option<Activation>,
    pub score_threshold: Option<f32>,
    pub nms_threshold: Option<f32>,
    pub class_agnostic: Option<bool>,
    pub peak_ratio: Option<f32>,
    pub max_objects: Option<usize>,
    pub score_power: Option<[f32; 2]>,
    pub strides: Option<Vec<u32>>,
    pub keypoint_threshold: Option<f32>,
    pub axis_order: Option<AxisOrder>,
    pub coordinates: Option<Coordinates>,
    pub first_class: Option<u32>,
    pub classes: Option<Vec<u32>>,
    pub remap: Option<Vec<(u32, u32)>>,
    pub roles: BTreeMap<String, String>,
}

impl Own {
    pub(super) fn read(keys: &Keys<'_>, folder: Option<&Path>) -> Result<Self, SidecarError> {
        refuse_unknown(keys)?;
        let share = |key| keys.value(key, "a number from 0 to 1", |s| between(s, 0.0, 1.0));
        let class = |s: &str| s.parse::<u32>().ok();
        let (keypoints, preset_skeleton) = keypoints(keys)?;
        Ok(Self {
            head: keys.word::<HeadKind>("head")?,
            colour: match keys.word::<Colour>("colour")? {
                Some(colour) => Some(colour),
                None => keys.word::<Colour>("color")?,
            },
            layout: keys.word::<Layout>("layout")?,
            input_size: keys.value("input-size", "WIDTHxHEIGHT", |s| {
                let (w, h) = s.split_once('x')?;
                Some([w.trim().parse().ok()?, h.trim().parse().ok()?])
            })?,
            resize: keys.word::<Resize>("resize")?,
            pad: keys.value("pad", "a grey level from 0 to 255", |s| s.parse().ok())?,
            filter: keys.word::<Filter>("filter")?,
            labels: labels(keys, folder)?,
            skeleton: skeleton(keys)?.or(preset_skeleton),
            keypoints,
            activation: keys.word::<Activation>("activation")?,
            score_threshold: share("score-threshold")?,
            nms_threshold: share("nms-threshold")?,
            class_agnostic: keys.value("class-agnostic", "true or false", |s| s.parse().ok())?,
            peak_ratio: share("peak-ratio")?,
            max_objects: keys.value("max-objects", "a number from 1 to 10000", |s| {
                s.parse().ok().filter(|n| (1..=10_000).contains(n))
            })?,
            score_power: keys.value("score-power", "two numbers from 0 to 10", |s| {
                let (a, b) = s.split_once(',')?;
                Some([between(a, 0.0, 10.0)?, between(b, 0.0, 10.0)?])
            })?,
            strides: keys.list("strides", ',', "a number of pixels from 1 to 1024", |s| {
                s.parse().ok().filter(|n| (1..=1024).contains(n))
            })?,
            keypoint_threshold: share("keypoint-threshold")?,
            axis_order: keys.word::<AxisOrder>("axis-order")?,
            coordinates: keys.word::<Coordinates>("coordinates")?,
            first_class: keys.value("first-class", "a class number", class)?,
            classes: keys.list("classes", ',', "a class number", class)?,
            remap: keys.list("remap", ',', "a pair of class numbers FROM:TO", |s| {
                let (from, to) = s.split_once(':')?;
                Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
            })?,
            roles: keys
                .names()
                .filter_map(|k| {
                    let role = k.strip_prefix(ROLE_PREFIX)?;
                    Some((role.to_owned(), keys.get(k)?.to_owned()))
                })
                .collect(),
        })
    }
}

fn between(text: &str, min: f32, max: f32) -> Option<f32> {
    let x: f32 = text.trim().parse().ok()?;
    (min..=max).contains(&x).then_some(x)
}

/// A misspelt key that were ignored would be a long search.
fn refuse_unknown(keys: &Keys<'_>) -> Result<(), SidecarError> {
    let unknown = keys
        .names()
        .find(|k| !KEYS.contains(k) && !k.starts_with(ROLE_PREFIX));
    match unknown {
        Some(key) => Err(keys.error(
            key,
            format!(
                "there is no such key; known are {}, {ROLE_PREFIX}ROLE",
                KEYS.join(", ")
            ),
        )),
        None => Ok(()),
    }
}

fn labels(keys: &Keys<'_>, folder: Option<&Path>) -> Result<Option<Vec<String>>, SidecarError> {
    let Some(file) = keys.get("labels-file") else {
        return Ok(keys.get("labels").map(|text| match text {
            "coco80" => presets::owned(&presets::COCO_80),
            _ => split_names(text),
        }));
    };
    let key = "labels-file";
    if keys.get("labels").is_some() {
        return Err(keys.error(key, "labels are given too: leave one of the two".into()));
    }
    let Some(folder) = folder else {
        return Err(keys.error(key, "no file can be opened here: use labels=".into()));
    };
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path)
        .map_err(|e| keys.error(key, format!("{} cannot be read: {e}", path.display())))?;
    Ok(Some(
        text.trim_end()
            .lines()
            .map(|l| l.trim().to_owned())
            .collect(),
    ))
}

fn keypoints(keys: &Keys<'_>) -> Result<(Option<Vec<String>>, Option<Skeleton>), SidecarError> {
    let Some(text) = keys.get("keypoints") else {
        return Ok((None, None));
    };
    Ok(match presets::keypoints(text) {
        Some((names, skeleton)) => (Some(presets::owned(names)), Some(skeleton.to_vec())),
        None => (Some(split_names(text)), None),
    })
}

fn skeleton(keys: &Keys<'_>) -> Result<Option<Skeleton>, SidecarError> {
    if keys.get("skeleton") == Some("") {
        return Ok(Some(Vec::new()));
    }
    keys.list("skeleton", ',', "a pair of keypoint numbers A-B", |s| {
        let (a, b) = s.split_once('-')?;
        Some((a.trim().parse().ok()?, b.trim().parse().ok()?))
    })
}

/// Names between semicolons, or between commas where there is no semicolon; `\;` and `\\` stand for themselves.
pub(super) fn split_names(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let separator = if text.contains(';') { ';' } else { ',' };
    let mut names = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let Some(last) = names.last_mut() else { break };
        if c == separator {
            names.push(String::new());
        } else if c == '\\' {
            last.extend(chars.next());
        } else {
            last.push(c);
        }
    }
    // A separator at the end closes the last name rather than opening an empty one.
    if names.len() > 1 && names.last().is_some_and(|n| n.trim().is_empty()) {
        names.pop();
    }
    names.iter().map(|n| n.trim().to_owned()).collect()
}

/// The inverse of [`split_names`].
pub(super) fn join_names(names: &[String]) -> String {
    let escaped: Vec<_> = names
        .iter()
        .map(|n| n.replace('\\', "\\\\").replace(';', "\\;") + ";")
        .collect();
    escaped.concat()
}
