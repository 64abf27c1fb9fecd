// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The result as one line of JSON; `docs/result-schema.json` is its schema.

use crate::{Completed, FrameResult, Object, RawTensor};
use gst::glib;
use serde::{Deserialize, Deserializer, Serialize};
use splitinfer_tensor::{DType, Data, Tensor, TensorError};

/// Why a line is not a result.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    #[error("not a result: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("not a result: {0}")]
    Completed(#[from] crate::result::UnknownCompleted),
    #[error("tensor {name:?}: there is no element type {dtype:?}")]
    Type { name: String, dtype: String },
    #[error("tensor {name:?}: {source}")]
    Shape { name: String, source: TensorError },
}

/// `result` as one line of JSON, without a line break. `pts` is that of the frame's buffer.
///
/// Numbers that JSON cannot hold (infinity, NaN) become `null`.
pub fn to_json(result: &FrameResult, pts: Option<gst::ClockTime>) -> String {
    line(&Line {
        frame: result.frame,
        pts: pts.map(gst::ClockTime::nseconds),
        split: Some(result.split.clone()),
        model_version: Some(result.model_version),
        latency_ms: Some(ms(result.latency)),
        budget_ms: result.budget.map(ms),
        completed: result.completed.as_str().to_owned(),
        received: result.received,
        objects: result.objects.iter().map(JsonObject::from).collect(),
        mirror_agreement: result.mirror_agreement,
        tensors: result.tensors.iter().map(JsonTensor::from).collect(),
    })
}

/// The line for a frame that no element put a result on.
pub fn without_result(frame: u64, pts: Option<gst::ClockTime>) -> String {
    line(&Line {
        frame,
        pts: pts.map(gst::ClockTime::nseconds),
        completed: Completed::None.as_str().to_owned(),
        ..Default::default()
    })
}

/// Reads what [`to_json`] wrote: the result, and the time stamp of its frame.
///
/// What the line does not hold stays empty: the number of the class and the skeleton. `null` in place of a number becomes NaN.
///
/// # Errors
/// When the line is not a result.
pub fn from_json(line: &str) -> Result<(FrameResult, Option<gst::ClockTime>), JsonError> {
    let line: Line = serde_json::from_str(line)?;
    let result = FrameResult {
        frame: line.frame,
        split: line.split.unwrap_or_default(),
        model_version: line.model_version.unwrap_or_default(),
        latency: from_ms(line.latency_ms.unwrap_or_default()),
        budget: line.budget_ms.map(from_ms),
        completed: line.completed.parse()?,
        received: line.received,
        objects: line.objects.into_iter().map(Object::from).collect(),
        mirror_agreement: line.mirror_agreement,
        tensors: line
            .tensors
            .into_iter()
            .map(RawTensor::try_from)
            .collect::<Result<_, _>>()?,
        ..Default::default()
    };
    Ok((result, line.pts.map(gst::ClockTime::from_nseconds)))
}

fn ms(time: gst::ClockTime) -> f64 {
    time.useconds() as f64 / 1e3
}

fn from_ms(ms: f64) -> gst::ClockTime {
    gst::ClockTime::from_useconds((ms * 1e3).round() as u64)
}

fn line(line: &Line) -> String {
    // Strings, numbers and lists only: there is nothing in it that JSON cannot express.
    serde_json::to_string(line).unwrap_or_default()
}

/// The fields in the order in which they stand in the line.
#[derive(Default, Serialize, Deserialize)]
struct Line {
    frame: u64,
    pts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_ms: Option<f64>,
    completed: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    received: Option<f64>,
    objects: Vec<JsonObject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mirror_agreement: Option<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tensors: Vec<JsonTensor>,
}

#[derive(Serialize, Deserialize)]
struct JsonObject {
    label: String,
    #[serde(deserialize_with = "number")]
    score: f32,
    #[serde(rename = "box", deserialize_with = "numbers")]
    box_: [f32; 4],
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<u64>,
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "keypoints"
    )]
    keypoints: Vec<[f32; 3]>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "optional_number"
    )]
    quality: Option<f32>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "optional_number"
    )]
    mirror_agreement: Option<f32>,
}

/// What a number is read as that may have been written as `null`.
fn or_nan(number: Option<f32>) -> f32 {
    number.unwrap_or(f32::NAN)
}

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
    Option::deserialize(from).map(or_nan)
}

/// Of a field that is there: one that is not has its default.
fn optional_number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f32>, D::Error> {
    number(from).map(Some)
}

fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<[f32; 4], D::Error> {
    Ok(<[_; 4]>::deserialize(from)?.map(or_nan))
}

fn keypoints<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<[f32; 3]>, D::Error> {
    let keypoints = Vec::<[_; 3]>::deserialize(from)?;
    Ok(keypoints.into_iter().map(|k| k.map(or_nan)).collect())
}

impl From<&Object> for JsonObject {
    fn from(o: &Object) -> Self {
        Self {
            label: o.label.clone(),
            score: o.score,
            box_: o.box_,
            track: o.track,
            keypoints: o.keypoints.clone(),
            quality: o.quality,
            mirror_agreement: o.mirror_agreement,
        }
    }
}

impl From<JsonObject> for Object {
    fn from(o: JsonObject) -> Self {
        Self {
            class: 0,
            label: o.label,
            score: o.score,
            box_: o.box_,
            track: o.track,
            keypoints: o.keypoints,
            quality: o.quality,
            mirror_agreement: o.mirror_agreement,
        }
    }
}

/// `data` is the elements, row-major; `null` for what is not a finite number.
#[derive(Serialize, Deserialize)]
struct JsonTensor {
    name: String,
    #[serde(rename = "type")]
    dtype: String,
    dims: Vec<usize>,
    data: Vec<serde_json::Value>,
}

impl From<&RawTensor> for JsonTensor {
    fn from(t: &RawTensor) -> Self {
        let data = match Tensor::from_le_bytes(t.dtype, t.dims.clone(), &t.data) {
            Ok(tensor) => elements(tensor.data()),
            Err(_) => Vec::new(),
        };
        Self {
            name: t.name.clone(),
            dtype: t.dtype.name().to_owned(),
            dims: t.dims.clone(),
            data,
        }
    }
}

fn elements(data: &Data) -> Vec<serde_json::Value> {
    fn each<T: Copy, V: Into<serde_json::Value>>(
        v: &[T],
        f: impl Fn(T) -> V,
    ) -> Vec<serde_json::Value> {
        v.iter().map(|x| f(*x).into()).collect()
    }
    match data {
        Data::F32(v) => each(v, |x| x),
        Data::F64(v) => each(v, |x| x),
        Data::F16(v) => each(v, |x| x.to_f32()),
        Data::U8(v) => each(v, |x| x),
        Data::I8(v) => each(v, |x| x),
        Data::I32(v) => each(v, |x| x),
        Data::I64(v) => each(v, |x| x),
        Data::Bool(v) => each(v, |x| x != 0),
    }
}

impl TryFrom<JsonTensor> for RawTensor {
    type Error = JsonError;

    fn try_from(t: JsonTensor) -> Result<Self, JsonError> {
        let types = [1, 2, 3, 6, 7, 9, 10, 11];
        let dtype = types
            .into_iter()
            .filter_map(DType::from_onnx)
            .find(|d| d.name() == t.dtype)
            .ok_or_else(|| JsonError::Type {
                name: t.name.clone(),
                dtype: t.dtype.clone(),
            })?;
        let bytes: Vec<u8> = t
            .data
            .iter()
            .flat_map(|v| element_bytes(dtype, v))
            .collect();
        Tensor::from_le_bytes(dtype, t.dims.clone(), &bytes).map_err(|source| {
            JsonError::Shape {
                name: t.name.clone(),
                source,
            }
        })?;
        Ok(Self {
            name: t.name,
            dtype,
            dims: t.dims,
            data: glib::Bytes::from_owned(bytes),
        })
    }
}

fn element_bytes(dtype: DType, v: &serde_json::Value) -> Vec<u8> {
    let real = v.as_f64().unwrap_or(f64::NAN);
    let whole = v.as_i64().unwrap_or_default();
    match dtype {
        DType::F32 => (real as f32).to_le_bytes().to_vec(),
        DType::F64 => real.to_le_bytes().to_vec(),
        DType::F16 => half::f16::from_f64(real).to_le_bytes().to_vec(),
        DType::U8 => vec![whole as u8],
        DType::I8 => (whole as i8).to_le_bytes().to_vec(),
        DType::I32 => (whole as i32).to_le_bytes().to_vec(),
        DType::I64 => whole.to_le_bytes().to_vec(),
        DType::Bool => vec![u8::from(v.as_bool().unwrap_or_default())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_reads_as_documented() {
        let result = FrameResult {
            frame: 3,
            split: "relu_4".into(),
            model_version: 2,
            latency: gst::ClockTime::from_useconds(12_345),
            budget: Some(gst::ClockTime::from_mseconds(100)),
            completed: Completed::Server,
            objects: vec![Object {
                class: 2,
                label: "a \"car\"\n".into(),
                score: 0.9,
                box_: [1.0, 2.5, 30.0, 40.0],
                track: Some(5),
                keypoints: vec![[1.0, 2.0, 0.5]],
                quality: Some(0.25),
                ..Default::default()
            }],
            ..Default::default()
        };
        let line = to_json(&result, Some(gst::ClockTime::from_mseconds(40)));
        assert_eq!(
            line,
            r#"{"frame":3,"pts":40000000,"split":"relu_4","model_version":2,"latency_ms":12.345,"budget_ms":100.0,"completed":"server","objects":[{"label":"a \"car\"\n","score":0.9,"box":[1.0,2.5,30.0,40.0],"track":5,"keypoints":[[1.0,2.0,0.5]],"quality":0.25}]}"#
        );
        let (mut back, pts) = from_json(&line).unwrap();
        assert_eq!(pts, Some(gst::ClockTime::from_mseconds(40)));
        back.objects[0].class = 2;
        assert_eq!(back, result);
    }

    #[test]
    fn what_is_no_finite_number_is_null_and_null_is_read_as_nan() {
        let result = FrameResult {
            objects: vec![Object {
                score: f32::NAN,
                box_: [1.0, f32::INFINITY, f32::NEG_INFINITY, 4.0],
                keypoints: vec![[f32::NAN, 2.0, 0.5]],
                quality: Some(f32::NAN),
                ..Default::default()
            }],
            ..Default::default()
        };
        let line = to_json(&result, None);
        let objects = r#"[{"label":"","score":null,"box":[1.0,null,null,4.0],"keypoints":[[null,2.0,0.5]],"quality":null}]"#;
        assert!(line.contains(objects), "{line}");
        let (back, _) = from_json(&line).unwrap();
        let object = &back.objects[0];
        assert!(object.score.is_nan() && object.quality.unwrap().is_nan());
        assert_eq!((object.box_[0], object.box_[3]), (1.0, 4.0));
        assert!(object.box_[1].is_nan() && object.box_[2].is_nan());
        assert!(object.keypoints[0][0].is_nan());
        assert_eq!(object.keypoints[0][1..], [2.0, 0.5]);
        assert_eq!(to_json(&back, None), line);
    }

    #[test]
    fn the_agreement_with_the_mirrored_frame_is_kept_where_there_is_one() {
        let result = FrameResult {
            completed: Completed::Edge,
            mirror_agreement: Some(0.7),
            objects: vec![Object {
                label: "car".into(),
                mirror_agreement: Some(0.3),
                ..Default::default()
            }],
            ..Default::default()
        };
        let line = to_json(&result, None);
        assert_eq!(from_json(&line).unwrap().0, result, "{line}");
    }

    #[test]
    fn how_much_of_a_frame_had_come_is_told_where_it_was_not_all() {
        let result = FrameResult {
            completed: Completed::Server,
            received: Some(0.75),
            ..Default::default()
        };
        let line = to_json(&result, None);
        assert!(
            line.contains(r#""completed":"server","received":0.75,"#),
            "{line}"
        );
        assert_eq!(from_json(&line).unwrap().0, result);
    }

    #[test]
    fn a_frame_without_a_result_still_has_a_line() {
        let line = without_result(4, None);
        assert_eq!(
            line,
            r#"{"frame":4,"pts":null,"completed":"none","objects":[]}"#
        );
        assert_eq!(from_json(&line).unwrap().0.completed, Completed::None);
    }

    #[test]
    fn tensors_of_every_type_keep_their_values() {
        let tensors = [1, 2, 3, 6, 7, 9, 10, 11].map(|code| {
            let dtype = DType::from_onnx(code).unwrap();
            let bytes: Vec<u8> = (0..dtype.size() * 4).map(|i| (i % 2) as u8).collect();
            RawTensor {
                name: dtype.name().into(),
                dtype,
                dims: vec![2, 2],
                data: glib::Bytes::from_owned(bytes),
            }
        });
        let result = FrameResult {
            tensors: tensors.to_vec(),
            ..Default::default()
        };
        assert_eq!(from_json(&to_json(&result, None)).unwrap().0, result);
    }

    #[test]
    fn what_is_not_a_result_is_refused_with_a_reason() {
        for (line, reason) in [
            ("", "EOF"),
            ("[]", "invalid"),
            (
                r#"{"frame":0,"pts":0,"completed":"moon","objects":[]}"#,
                "moon",
            ),
            (
                r#"{"frame":0,"pts":0,"completed":"edge","objects":[],"tensors":[{"name":"t","type":"float32","dims":[3],"data":[1]}]}"#,
                "12 bytes",
            ),
            (
                r#"{"frame":0,"pts":0,"completed":"edge","objects":[{"label":"car","box":[1,2,3,4]}]}"#,
                "missing field `score`",
            ),
        ] {
            let e = from_json(line).unwrap_err().to_string();
            assert!(e.contains(reason), "{line}: {e}");
        }
    }
}
