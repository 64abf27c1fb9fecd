// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a frame on the adapt pad says about itself: a custom meta of this name.

use gst::prelude::*;
use std::sync::Once;

/// Name of the custom metadata, whose fields docs/elements/svdgate.md lists.
pub(super) const META_NAME: &str = "SplitInferGate";

/// Why a frame was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It belongs to windows that were gated.
    Gate,
    /// Drawn at random from those accepted.
    Canary,
    /// The canary's test noticed that the student has become worse.
    Alarm,
}

impl Reason {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Canary => "canary",
            Self::Alarm => "alarm",
        }
    }
}

/// Makes the metadata known, unless another shared object in this process has.
fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let registry = gst::Registry::get();
        let _guard = registry.object_lock();
        if !gst::meta::CustomMeta::is_registered(META_NAME) {
            gst::meta::CustomMeta::register_simple(META_NAME);
        }
    });
}

/// Marks a frame. `windows` are the structures of the messages that told of the windows it belongs to.
pub(super) fn attach(
    buffer: &mut gst::BufferRef,
    frame: u64,
    reason: Reason,
    windows: &[gst::Structure],
) {
    register();
    match gst::meta::CustomMeta::add(buffer, META_NAME) {
        Ok(mut meta) => {
            let structure = meta.mut_structure();
            structure.set("frame", frame);
            structure.set("reason", reason.as_str());
            structure.set("windows", gst::Array::new(windows));
        }
        Err(e) => gst::error!(super::imp::CAT, "no metadata on the frame: {e}"),
    }
}
