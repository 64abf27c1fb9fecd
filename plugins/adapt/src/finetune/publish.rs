// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! New weights on their way upstream.

use gst::glib;
use gst::prelude::*;
use splitinfer_graph::Model;
use splitinfer_meta::{WeightsUpdate, weights_event};
use splitinfer_tensor::Tensor;
use splitinfer_trainer::Delta;
use splitinfer_weights::{Coded, Encoding, Versions, encode};

/// What was sent.
pub(super) struct Published {
    pub(super) version: u64,
    pub(super) bytes: usize,
    /// Whether anything upstream took the event.
    pub(super) taken: bool,
    pub(super) model: Model,
}

/// Counts versions and codes the way from one to the next.
pub(super) struct Publisher {
    versions: Versions,
    next: u64,
}

impl Publisher {
    pub(super) fn new(student: Model) -> Self {
        Self {
            versions: Versions::new(student),
            next: 1,
        }
    }

    pub(super) fn base(&self) -> [u8; 32] {
        self.versions.base_hash()
    }

    /// Versions up to this one were sent by an earlier process.
    pub(super) fn after(&mut self, version: u64) {
        self.next = self.next.max(version + 1);
    }

    /// Sends weights upstream through `pad`.
    ///
    /// # Errors
    /// In words, when they are not of the student.
    pub(super) fn publish(
        &mut self,
        weights: Vec<(String, Tensor)>,
        pad: &gst::Pad,
    ) -> Result<Published, String> {
        let base = self.versions.base();
        let new = Delta::new(base, weights)
            .and_then(|d| d.apply(base))
            .map_err(|e| e.to_string())?;
        let Coded { bytes, model, .. } =
            encode(&self.versions, self.next, &new, &Encoding::default())
                .map_err(|e| e.to_string())?;
        let version = self.next;
        self.next += 1;
        self.versions.adopt(version, model.clone());
        let length = bytes.len();
        let event = weights_event(&WeightsUpdate {
            base: self.base(),
            version,
            update: glib::Bytes::from_owned(bytes),
        });
        Ok(Published {
            version,
            bytes: length,
            taken: pad.push_event(event),
            model,
        })
    }
}
