// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where the time of one frame went, from the means that the element tells before and after it.

/// Of a frame, or the difference of two.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stages {
    /// Milliseconds, as [`NAMES`] has them.
    pub ms: [f64; NAMES.len()],
    /// Of the payload.
    pub bytes: f64,
}

/// Sums over the frames so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums(Stages);

/// On the edge: input tensor, model, coding; on the server: waiting, decoding, model; the rest is the network, and waiting
/// for the processor in between.
pub const NAMES: [&str; 7] = [
    "prepare", "head", "encode", "queue", "decode", "tail", "rest",
];

impl Sums {
    /// What `stats` tell.
    pub fn new(stats: &gst::StructureRef) -> Self {
        let sum = |mean: &str, count: &str| {
            let count = stats.get::<u64>(count).unwrap_or(0);
            stats.get::<f64>(mean).unwrap_or(0.0) * count as f64
        };
        Self(Stages {
            ms: [
                sum("prepare-ms", "inferred"),
                sum("infer-ms", "inferred"),
                sum("encode-ms", "sent-frames"),
                sum("server-queue-ms", "completed-server"),
                sum("server-decode-ms", "completed-server"),
                sum("server-compute-ms", "completed-server"),
                0.0,
            ],
            bytes: stats.get::<u64>("sent-bytes").unwrap_or(0) as f64,
        })
    }

    /// Of the one frame since `before`, which took `latency` milliseconds.
    pub fn since(&self, before: &Self, latency: f64) -> Stages {
        let mut stages = Stages {
            bytes: self.0.bytes - before.0.bytes,
            ..Stages::default()
        };
        for i in 0..NAMES.len() - 1 {
            stages.ms[i] = self.0.ms[i] - before.0.ms[i];
        }
        stages.ms[NAMES.len() - 1] = latency - stages.ms.iter().sum::<f64>();
        stages
    }
}
