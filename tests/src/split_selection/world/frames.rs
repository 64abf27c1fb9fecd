// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is wanted of frames, what is seen of them, and what becomes of them.

use std::time::Duration;

use splitinfer_plan::{Choice, Round};

/// What the edge gets to see, in order.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// The streaming thread's work on a frame.
    Worked {
        choice: Choice,
        infer: Duration,
        encode: Duration,
    },
    Sent {
        number: u32,
        choice: Choice,
        bytes: u64,
        at: Duration,
    },
    /// In time.
    Answered {
        number: u32,
        round: Round,
        at: Duration,
    },
    Missed {
        number: u32,
        at: Duration,
    },
    /// A frame was completed here after all, and what that took.
    Completed {
        choice: Choice,
        took: Duration,
    },
    /// Tensors that stand alone came too late to be answered, and the next ones can be predicted from them.
    Decoded(Choice),
    /// A picture of the video is lost: the next one is a key picture.
    VideoBroken,
    Connected,
    Disconnected,
}

/// What became of a frame that left.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    pub frame: u32,
    pub at: Duration,
    pub choice: Choice,
    pub by_server: bool,
    pub bytes: u64,
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub choice: Choice,
    /// Complete it here too, at once.
    pub probe: bool,
    /// How long before its deadline completion here begins.
    pub reserve: Duration,
    /// From the beginning on, how long an answer is waited for at least, unless the deadline comes before.
    pub patience: Duration,
}
