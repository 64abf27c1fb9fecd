// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Whoever trains, as far as the elements see it: versions of a model, and the events that bring them upstream.

use gst::glib;
use splitinfer_graph::Model;
use splitinfer_meta::{WeightsUpdate, weights_event};
use splitinfer_weights::{Coded, Encoding, Precision, Versions, encode, rollback};

/// Has what the running student has, as it adopts what it sends.
pub struct Trainer {
    pub versions: Versions,
}

/// Every bit of the new weights.
pub const EXACT: Encoding = Encoding {
    precision: Precision::Exact,
    share: 1.0,
};

impl Trainer {
    pub fn new(base: Model) -> Self {
        Self {
            versions: Versions::new(base),
        }
    }

    /// The event with the next version.
    ///
    /// # Panics
    /// When `model` is no version of the base.
    pub fn publish(&mut self, model: &Model, how: &Encoding) -> gst::Event {
        let to = self.versions.newest().0 + 1;
        let coded = encode(&self.versions, to, model, how).expect("a version of the same graph");
        self.adopt(coded)
    }

    /// The event that goes back to an earlier version.
    ///
    /// # Panics
    /// When that version is not held any more.
    pub fn go_back(&mut self, to: u64) -> gst::Event {
        let next = self.versions.newest().0 + 1;
        let coded = rollback(&self.versions, to, next).expect("the version is held");
        self.adopt(coded)
    }

    fn adopt(&mut self, coded: Coded) -> gst::Event {
        let event = weights_event(&update(&coded));
        self.versions.adopt(coded.header.to, coded.model);
        event
    }
}

/// What an event carries.
pub fn update(coded: &Coded) -> WeightsUpdate {
    WeightsUpdate {
        base: coded.header.base,
        version: coded.header.to,
        update: glib::Bytes::from(&coded.bytes[..]),
    }
}
