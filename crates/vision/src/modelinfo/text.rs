// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Writing a sidecar.

use std::fmt::Display;

use super::own::{OWN_SECTION, ROLE_PREFIX, join_names};
use super::words::Word;
use super::{DimsOrder, ModelInfo, TensorSection};

/// The text of a sidecar that says all that `info` knows.
pub(super) fn write(info: &ModelInfo) -> String {
    let mut out = Writer(String::new());
    out.section("modelinfo");
    out.key("version", "1.0");
    out.optional("group-id", info.group_id.as_deref());
    for tensor in &info.tensors {
        write_tensor(&mut out, tensor);
    }
    out.section(OWN_SECTION);
    write_input(&mut out, info);
    write_head(&mut out, info);
    out.0
}

struct Writer(String);

impl Writer {
    fn section(&mut self, title: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(&format!("[{title}]\n"));
    }

    fn key(&mut self, key: &str, value: impl Display) {
        self.0.push_str(&format!("{key}={value}\n"));
    }

    fn optional(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.key(key, value);
        }
    }
}

fn join<T>(items: &[T], separator: &str, show: impl Fn(&T) -> String) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(separator)
}

fn write_tensor(out: &mut Writer, tensor: &TensorSection) {
    out.section(&tensor.name);
    out.optional("id", tensor.id.as_deref());
    out.optional("type", tensor.type_name.as_deref());
    let dim = |d: &Option<usize>| d.map_or("-1".to_owned(), |d| d.to_string());
    out.optional("dims", tensor.dims.as_ref().map(|d| join(d, ",", dim)));
    out.optional("dir", tensor.dir.map(Word::word));
    if tensor.dims_order != DimsOrder::RowMajor {
        out.key("dims-order", tensor.dims_order.word());
    }
    if !tensor.ranges.is_empty() {
        let pair = |[min, max]: &[f32; 2]| format!("{min},{max}");
        out.key("ranges", join(&tensor.ranges, ";", pair));
    }
}

fn write_input(out: &mut Writer, info: &ModelInfo) {
    let input = &info.input;
    out.key("colour", input.colour.word());
    out.key("layout", input.layout.word());
    out.key("input-size", format!("{}x{}", input.width, input.height));
    out.key("resize", input.resize.word());
    out.key("pad", input.pad);
    out.key("filter", input.filter.word());
}

fn write_head(out: &mut Writer, info: &ModelInfo) {
    let head = &info.head;
    out.key("head", head.kind.word());
    for (role, tensor) in &head.roles {
        out.key(&format!("{ROLE_PREFIX}{role}"), tensor);
    }
    out.key("activation", head.activation.word());
    out.key("score-threshold", head.score_threshold);
    out.key("nms-threshold", head.nms_threshold);
    out.key("class-agnostic", head.class_agnostic);
    out.key("peak-ratio", head.peak_ratio);
    out.key("max-objects", head.max_objects);
    let [objectness, class] = head.score_power;
    out.key("score-power", format!("{objectness},{class}"));
    out.key("strides", join(&head.strides, ",", u32::to_string));
    out.key("keypoint-threshold", head.keypoint_threshold);
    out.key("axis-order", head.axis_order.word());
    out.key("coordinates", head.coordinates.word());
    out.key("first-class", head.first_class);
    if !head.classes.is_empty() {
        out.key("classes", join(&head.classes, ",", u32::to_string));
    }
    if !head.remap.is_empty() {
        let pair = |(from, to): &(u32, u32)| format!("{from}:{to}");
        out.key("remap", join(&head.remap, ",", pair));
    }
    out.key("labels", join_names(&info.labels));
    out.key("keypoints", join_names(&info.keypoints));
    let edge = |(a, b): &(usize, usize)| format!("{a}-{b}");
    out.key("skeleton", join(&info.skeleton, ",", edge));
}
