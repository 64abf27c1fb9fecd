// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! QUIC between edge and server: sockets, clocks and threads around the state machines of `splitinfer-wire`.
//!
//! [`client`] is the edge's side, [`server`] the other; [`trust`] and [`identity`] say who may talk to whom.

pub mod address;
pub mod client;
mod congestion;
pub mod fair_queue;
pub mod identity;
mod monitor_keys;
mod ranges;
pub mod server;
mod stamped;
mod stream;
pub mod transport;
pub mod trust;
