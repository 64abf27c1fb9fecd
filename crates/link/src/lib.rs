// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A network link as a state machine: bytes and instants in, packets and instants out. No sockets, no clock.
//!
//! Each direction has a rate, a drop-tail queue, a delay, jitter, loss (independent or in bursts), reordering and
//! cuts; a [`Trace`] says how they change, and how fast the two machines at the ends are meanwhile. The same trace
//! and seed give the same packets.
//!
//! ```
//! use splitinfer_link::{Link, Trace, Way};
//! use std::time::{Duration, Instant};
//! let trace: Trace = "0s up.rate=1Mbit/s delay=10ms".parse()?;
//! let start = Instant::now();
//! let mut link = Link::new(trace.into(), start, 1);
//! link.send(start, Way::Up, 1250, "packet");
//! let arrival = link.next_arrival().expect("it is under way");
//! assert_eq!(arrival - start, Duration::from_millis(10 + 10), "1250 bytes at 1 Mbit/s, and the delay");
//! assert_eq!(link.receive(arrival, Way::Up), Some("packet"));
//! # Ok::<(), splitinfer_link::TraceError>(())
//! ```
//!
//! The size of a packet is all that it takes on the wire: whoever models UDP over IPv4 adds 28 bytes to the payload.

mod conditions;
mod direction;
mod jitter;
mod link;
mod loss;
mod text;
mod trace;

pub use conditions::Conditions;
pub use direction::{Direction, Fate, Loss};
pub use link::{Link, Way};
pub use loss::{Burst, GilbertElliott};
pub use text::TraceError;
pub use trace::{InvalidTrace, Step, Trace};
