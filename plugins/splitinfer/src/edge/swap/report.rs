// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a swap tells the application.

use std::time::Duration;

use splitinfer_wire::WeightsCode;

/// Something to tell the application.
pub(in crate::edge) enum Report {
    /// From the next frame on another version is in use.
    Swapped(Swapped),
    /// An update was not taken; the version in use stays.
    Refused(Refused),
    /// The server does not have the version in use: frames are completed here.
    Alone(String),
}

/// A change of the version.
#[derive(Clone, Debug)]
pub(in crate::edge) struct Swapped {
    pub(in crate::edge) old: u64,
    pub(in crate::edge) new: u64,
    pub(in crate::edge) bytes: usize,
    /// Whether the server changes on the same frame.
    pub(in crate::edge) server: bool,
    pub(in crate::edge) times: Times,
}

/// Where the time went, none of it on a streaming thread.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::edge) struct Times {
    /// From the update's arrival to the beginning of work on it.
    pub(in crate::edge) waited: Duration,
    pub(in crate::edge) decode: Duration,
    /// Making the sessions of ONNX Runtime, and running them once.
    pub(in crate::edge) build: Duration,
    /// For the server, after everything was ready here.
    pub(in crate::edge) server: Duration,
    /// All of it.
    pub(in crate::edge) total: Duration,
}

/// An update that was not taken.
#[derive(Clone, Debug)]
pub(in crate::edge) struct Refused {
    /// As far as it could be read.
    pub(in crate::edge) version: Option<u64>,
    pub(in crate::edge) code: WeightsCode,
    pub(in crate::edge) text: String,
}

impl Swapped {
    pub(in crate::edge) fn to_structure(&self) -> gst::Structure {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        gst::Structure::builder("splitinfer-model")
            .field("old-version", self.old)
            .field("new-version", self.new)
            .field("server", self.server)
            .field("update-bytes", self.bytes as u64)
            .field("waited-ms", ms(self.times.waited))
            .field("decode-ms", ms(self.times.decode))
            .field("build-ms", ms(self.times.build))
            .field("server-ms", ms(self.times.server))
            .field("total-ms", ms(self.times.total))
            .build()
    }
}
