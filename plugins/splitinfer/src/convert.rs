// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From what inference finds to what the metadata carries.

use splitinfer_meta::RawTensor;
use splitinfer_tensor::Tensor;

/// The two types have nearly the same fields: one belongs to arithmetic without GStreamer, the other to GStreamer without
/// arithmetic.
pub(crate) fn object(object: splitinfer_vision::Object) -> splitinfer_meta::Object {
    splitinfer_meta::Object {
        class: object.class,
        label: object.label,
        score: object.score,
        box_: object.box_,
        track: object.track,
        keypoints: object.keypoints,
        quality: object.quality,
        mirror_agreement: None,
    }
}

pub(crate) fn raw_tensor((name, tensor): &(String, Tensor)) -> RawTensor {
    RawTensor::new(name, tensor)
}

/// An object as the server sends it.
pub(crate) fn from_wire(object: splitinfer_wire::WireObject) -> splitinfer_vision::Object {
    splitinfer_vision::Object {
        class: object.class,
        label: object.label,
        score: object.score,
        box_: object.box_,
        track: object.track,
        keypoints: object.keypoints,
        quality: object.quality,
    }
}

/// An object for the edge.
pub(crate) fn to_wire(object: splitinfer_vision::Object) -> splitinfer_wire::WireObject {
    splitinfer_wire::WireObject {
        class: object.class,
        label: object.label,
        score: object.score,
        box_: object.box_,
        track: object.track,
        keypoints: object.keypoints,
        quality: object.quality,
    }
}
