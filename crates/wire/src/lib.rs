// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The protocol between edge and server, as docs/protocol.md states it, without sockets or clock.
//!
//! [`EdgeSession`] and [`ServerSession`] are state machines in the manner of quinn-proto. A driver owns
//! the QUIC connection and
//! - gives what it reads from the control stream to `handle_control(now, bytes)`,
//! - writes what `poll_transmit` returns to the control stream, until it returns `None`,
//! - acts on what `poll_event` returns, until it returns `None`,
//! - calls `handle_timeout(now)` once the instant of `poll_timeout()` has come.
//!
//! After every call into the session the driver polls again, in that order. Each frame travels on a
//! bidirectional stream of its own: [`FrameHeader`] and payload out, [`ResultHeader`] and body back.
//!
//! Decoders never panic, and never allocate more than a small multiple of the bytes that are there
//! ([`limits`]).

pub mod close;
pub mod codec;
mod congestion;
mod edge;
mod flight;
pub mod frame;
mod framing;
pub mod limits;
pub mod message;
pub mod monitor;
pub mod objects;
mod outbox;
mod patience;
mod rtt;
mod server;
mod token;
mod trailer;
mod upload;
mod video;
mod weights;

pub use close::CloseReason;
pub use codec::{DecodeError, EncodeError, Problem};
pub use congestion::LossJudge;
pub use edge::{
    EdgeConfig, EdgeEvent, EdgeSession, EdgeState, EdgeTiming, Failure, FrameOpening, OpenError,
    ResultBody,
};
pub use flight::Rejection;
pub use frame::{BodyKind, Content, FrameHeader, REPORT_BIT, ResultHeader, Status};
pub use framing::MessageReader;
pub use message::{
    ByeReason, Hello, Load, Message, Refuse, RefuseCode, SendFrames, ServerPhase, Version, Wants,
    WeightsCode, WeightsRefuse, Welcome,
};
pub use objects::WireObject;
pub use patience::Patience;
pub use rtt::RttEstimator;
pub use server::{
    Admitted, Answer, AnswerBody, Reply, ServerConfig, ServerEvent, ServerSession, ServerState,
    ServerTiming,
};
pub use token::Token;
pub use trailer::{Beginning, trailer};
pub use video::{Arrived, VIDEO_HEADER_BYTES, VideoChain, VideoHeader, VideoSender};
pub use weights::WeightsEvent;

/// The application protocol both sides name in the TLS handshake; the number is the major version.
pub const ALPN: &[u8] = b"splitinfer/1";
