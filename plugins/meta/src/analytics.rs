// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The same objects as `GstAnalyticsRelationMeta`, which GStreamer 1.24 and later has elements for.

use crate::Object;
use crate::frame::without_nul;
use gst::glib;
use gst_analytics::prelude::*;
use gst_analytics::{AnalyticsRelationMeta, RelTypes};

/// Adds the objects to the frame's relation metadata, which other analysers may have begun.
pub(crate) fn attach(buffer: &mut gst::BufferRef, objects: &[Object]) {
    if objects.is_empty() {
        return;
    }
    // The time at which a track began is not known here; that of this frame is the best bound.
    let seen = buffer.pts().unwrap_or(gst::ClockTime::ZERO);
    let mut meta = if buffer.meta::<AnalyticsRelationMeta>().is_some() {
        match buffer.meta_mut::<AnalyticsRelationMeta>() {
            Some(meta) => meta,
            None => return,
        }
    } else {
        AnalyticsRelationMeta::add(buffer)
    };
    for object in objects {
        if let Err(e) = add(&mut meta, object, seen) {
            gst::error!(
                gst::CAT_RUST,
                "No analytics metadata for {:?}: {e}",
                object.label
            );
        }
    }
}

fn add(
    meta: &mut gst::MetaRefMut<'_, AnalyticsRelationMeta, gst::meta::Standalone>,
    object: &Object,
    seen: gst::ClockTime,
) -> Result<(), glib::BoolError> {
    let label = glib::Quark::from_str(without_nul(&object.label));
    let [x, y, width, height] = object.box_.map(|v| v.round() as i32);
    let detection = meta
        .add_od_mtd(label, x, y, width, height, object.score)?
        .id();
    let class = meta.add_one_cls_mtd(object.score, label)?.id();
    meta.set_relation(RelTypes::RELATE_TO, detection, class)?;
    if let Some(track) = object.track {
        let track = meta.add_tracking_mtd(track, seen)?.id();
        meta.set_relation(RelTypes::RELATE_TO, detection, track)?;
    }
    Ok(())
}
