// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a model found on a frame, as GStreamer metadata on the buffer of that frame.
//!
//! [`attach`] writes, [`read`] reads, [`to_json`] gives the JSON line. On the buffer a result is
//!
//! - one `GstCustomMeta` named [`META_NAME`] that holds everything;
//! - one `GstVideoRegionOfInterestMeta` an object, for elements that know nothing of this project:
//!   its type is the label, the parameter structure `detection` holds class, score, track and
//!   quality, `keypoints` the keypoints;
//! - with the feature `v1_24`, one `GstAnalyticsRelationMeta` with the same objects, for GStreamer's
//!   own elements that draw, pay or combine detections.
//!
//! `docs/results.md` lists every field. Boxes and keypoints are in pixels of the frame; in the
//! metadata they are stored relative to the region of interest, which GStreamer's scalers adapt, so
//! a result read behind a scaler is in pixels of the scaled frame.
//!
//! ```
//! use splitinfer_meta::{Completed, FrameResult, Object};
//! gst::init().unwrap();
//! let result = FrameResult {
//!     frame: 7,
//!     split: "edge".into(),
//!     completed: Completed::Edge,
//!     latency: gst::ClockTime::from_mseconds(12),
//!     objects: vec![Object {
//!         label: "car".into(),
//!         score: 0.9,
//!         box_: [10.5, 20.0, 64.0, 32.25],
//!         ..Default::default()
//!     }],
//!     ..Default::default()
//! };
//! let mut buffer = gst::Buffer::with_size(4).unwrap();
//! splitinfer_meta::attach(buffer.get_mut().unwrap(), &result);
//! assert_eq!(splitinfer_meta::read(&buffer), Some(result));
//! ```

#[cfg(feature = "v1_24")]
mod analytics;
mod frame;
mod json;
mod labels;
mod pictures;
mod region;
mod result;
mod weights;

pub use frame::{META_NAME, attach, detach, is_attached, read, register, register_custom, update};
pub use json::{JsonError, from_json, to_json, without_result};
pub use labels::{LABELS_NAME, Labels, attach_labels, read_labels};
pub use pictures::{PICTURES_EVENT, pictures_event, read_pictures_event};
pub use result::{Completed, FrameResult, Object, RawTensor};
pub use weights::{
    WEIGHTS_EVENT, WEIGHTS_MISSING_EVENT, WeightsEventError, WeightsUpdate,
    is_weights_missing_event, read_weights_event, weights_event, weights_missing_event,
};
