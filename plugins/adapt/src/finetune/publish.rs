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
use splitinfer_weights::{Coded, Encoding, Precision, Versions, encode};

/// How finely weights are coded, one after the other until they are good enough.
const PRECISIONS: [Precision; 3] = [
    Precision::OfChange(0.25),
    Precision::OfChange(0.02),
    Precision::Exact,
];

/// What was sent.
pub(super) struct Published {
    pub(super) version: u64,
    pub(super) bytes: usize,
    /// Whether anything upstream took the event.
    pub(super) taken: bool,
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

    /// Versions up to this one were sent by an earlier process, or are in use all the same.
    pub(super) fn after(&mut self, version: u64) {
        self.next = self.next.max(version + 1);
    }

    /// Makes the next version of weights, as coarse as `serves` finds good enough of what will arrive; to be sent.
    ///
    /// # Errors
    /// In words, when they are not of the student.
    pub(super) fn next(
        &mut self,
        weights: Vec<(String, Tensor)>,
        serves: impl Fn(&Model) -> bool,
    ) -> Result<Coded, String> {
        let base = self.versions.base();
        let delta = Delta::new(base, weights).map_err(|e| e.to_string())?;
        let new = delta.apply(base).map_err(|e| e.to_string())?;
        let coded = self.code(&new, serves)?;
        self.versions.adopt(self.next, coded.model.clone());
        self.next += 1;
        Ok(coded)
    }

    /// Sends the newest version once more, from the student's file on: to whoever has nothing else. `None` if there is no
    /// version yet.
    ///
    /// # Errors
    /// In words, when it cannot be coded.
    pub(super) fn repeat(&self, pad: &gst::Pad) -> Result<Option<Published>, String> {
        let full = self.versions.full().map_err(|e| e.to_string())?;
        Ok(full.map(|coded| self.send(coded, pad)))
    }

    /// Sends a version upstream through `pad`.
    pub(super) fn send(&self, coded: Coded, pad: &gst::Pad) -> Published {
        let (version, bytes) = (coded.header.to, coded.bytes.len());
        let event = weights_event(&WeightsUpdate {
            base: self.base(),
            version,
            update: glib::Bytes::from_owned(coded.bytes),
        });
        Published {
            version,
            bytes,
            taken: pad.push_event(event),
        }
    }

    fn code(&self, new: &Model, serves: impl Fn(&Model) -> bool) -> Result<Coded, String> {
        let mut last = Err("no precision was tried".to_owned());
        for precision in PRECISIONS {
            let how = Encoding {
                precision,
                share: 1.0,
            };
            let coded = encode(&self.versions, self.next, new, &how).map_err(|e| e.to_string())?;
            if serves(&coded.model) {
                return Ok(coded);
            }
            last = Ok(coded);
        }
        last
    }
}
