// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The QUIC settings both sides share, and what each side allows the other to make it hold in memory.

use std::sync::Arc;
use std::time::Duration;

use quinn::{AckFrequencyConfig, IdleTimeout, TransportConfig, VarInt};

use super::congestion::Lossy;

/// A peer that is silent for this long is gone: frozen, unplugged or killed without a word.
pub const IDLE: Duration = Duration::from_millis(2500);

/// Keeps an idle connection alive, and makes loss of the peer known while no frame is under way. A third of [`IDLE`],
/// so that one or two lost packets do not end a connection.
const KEEP_ALIVE: Duration = Duration::from_millis(800);

/// Before the first measurement; RFC 9002's 333 ms would cost a lost first packet too much on the networks meant here.
const INITIAL_RTT: Duration = Duration::from_millis(100);

/// The peer is asked not to hold back acknowledgements for longer, where it can do that (draft-ietf-quic-ack-frequency). By default
/// they may wait for 25 ms, and so much longer does a lost packet that no other follows, as most frames end with one.
const ACK_DELAY: Duration = Duration::from_millis(1);

/// Bytes of one stream that may be under way: 50 Mbit/s at a round trip of 300 ms.
const STREAM_WINDOW: u32 = 2 << 20;

/// Bytes of all streams of a connection that the receiver holds before the application has read them.
const CONNECTION_WINDOW: u32 = 8 << 20;

/// The edge opens all streams; it takes none from the server.
pub fn of_edge() -> Arc<TransportConfig> {
    let mut config = shared();
    config.max_concurrent_bidi_streams(VarInt::from_u32(0));
    Arc::new(config)
}

/// The server takes the control stream, and a stream for each of `max_in_flight` frames. The few beyond that are for
/// frames whose streams were reset but whose end has not reached both sides yet.
pub fn of_server(max_in_flight: u32) -> Arc<TransportConfig> {
    let mut config = shared();
    config.max_concurrent_bidi_streams(VarInt::from_u32(1 + max_in_flight * 2));
    Arc::new(config)
}

fn shared() -> TransportConfig {
    let mut acknowledgements = AckFrequencyConfig::default();
    acknowledgements.max_ack_delay(Some(ACK_DELAY));
    let mut config = TransportConfig::default();
    config
        .ack_frequency_config(Some(acknowledgements))
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok())
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(INITIAL_RTT)
        .congestion_controller_factory(Arc::new(Lossy::default()))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        // The frame that was first is to be complete first.
        .send_fairness(false)
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(u64::from(CONNECTION_WINDOW));
    config
}
