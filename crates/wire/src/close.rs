// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How sessions end, and the QUIC error codes that say so.

use crate::message::{ByeReason, Refuse};

/// Application error codes of `CONNECTION_CLOSE`.
pub mod connection_code {
    /// After `Bye`.
    pub const DONE: u32 = 0;
    /// After `Refuse`.
    pub const REFUSED: u32 = 1;
    /// The peer did not keep to the protocol.
    pub const PROTOCOL: u32 = 2;
    /// The peer has been silent for too long.
    pub const TIMEOUT: u32 = 3;
}

/// Application error codes of `RESET_STREAM` and `STOP_SENDING` on a frame's stream.
pub mod stream_code {
    /// The frame's deadline has passed.
    pub const DEADLINE: u32 = 0x10;
    /// The sender no longer wants the frame, for example after a flush.
    pub const CANCELLED: u32 = 0x11;
    /// Header or payload were not acceptable, or the window was overrun.
    pub const REFUSED: u32 = 0x12;
    /// The session has ended.
    pub const ENDED: u32 = 0x13;
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    #[error("closed here: {text}")]
    Local { reason: ByeReason, text: String },
    #[error("closed by the peer ({reason:?}): {text}")]
    Peer { reason: ByeReason, text: String },
    #[error("refused ({:?}): {}", .0.code, .0.text)]
    Refused(Refuse),
    #[error("timed out: {0}")]
    TimedOut(&'static str),
    #[error("the peer did not keep to the protocol: {0}")]
    Protocol(String),
    #[error("connection lost: {0}")]
    Lost(String),
}

impl CloseReason {
    /// The code to close the connection with.
    pub fn connection_code(&self) -> u32 {
        match self {
            Self::Local { .. } | Self::Peer { .. } | Self::Lost(_) => connection_code::DONE,
            Self::Refused(_) => connection_code::REFUSED,
            Self::Protocol(_) => connection_code::PROTOCOL,
            Self::TimedOut(_) => connection_code::TIMEOUT,
        }
    }
}
