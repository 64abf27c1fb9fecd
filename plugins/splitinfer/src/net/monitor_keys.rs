// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The UDP monitor's keys: both sides take them from the QUIC session.

use quinn::Connection;
use splitinfer_wire::monitor::{EXPORTED_BYTES, EXPORTER_LABEL, MonitorKeys};

/// `None` where TLS gives none, which only a connection that has not finished its handshake does.
pub fn keys(connection: &Connection) -> Option<MonitorKeys> {
    let mut exported = [0; EXPORTED_BYTES];
    connection
        .export_keying_material(&mut exported, EXPORTER_LABEL, b"")
        .ok()?;
    Some(MonitorKeys::new(&exported))
}
