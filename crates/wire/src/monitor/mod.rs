// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The UDP monitor: small authenticated datagrams beside the QUIC session that measure path and server.
//!
//! [`EdgeMonitor`] asks and [`ServerMonitor`] answers, as docs/protocol.md states in "The monitor". Both are state
//! machines: datagrams and instants in, datagrams and figures out. A driver of the edge
//! - calls `handle_timeout(now)` once the instant of `poll_timeout()` has come,
//! - sends what `poll_transmit(now)` returns until it returns `None`, without a pause: it is one train,
//! - gives what it receives to `handle_datagram(arrived, bytes)`, with the instant of arrival as exact as it has it,
//! - reads [`EdgeMonitor::report`] whenever somebody wants to know.
//!
//! The server's driver gives each datagram to [`ServerMonitor::handle`] and sends what comes back to where the
//! datagram came from.

mod bandwidth;
mod behind;
mod budget;
mod edge;
mod keys;
mod packet;
mod path;
mod server;
mod train;
mod window;

pub use bandwidth::Estimate;
pub use edge::{EdgeMonitor, MonitorConfig};
pub use keys::{EXPORTED_BYTES, EXPORTER_LABEL, MonitorId, MonitorKeys};
pub use packet::{
    Arrival, HEADER_BYTES, MAX_ARRIVALS, MAX_TAILS, Probe, Reply, ReplyLoad, TAG_BYTES,
};
pub use path::{Reachability, Report};
pub use server::ServerMonitor;

/// Longest datagram of the monitor: what every path of QUIC carries (RFC 9000, section 14).
pub const MAX_DATAGRAM_BYTES: usize = 1200;
/// Shortest probe. What a reply cannot do without fits, so that it is never longer than what it answers.
pub const MIN_PROBE_BYTES: usize = 72;
