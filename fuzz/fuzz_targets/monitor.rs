// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Bodies of the monitor's datagrams: whatever is decoded must encode to something that decodes to the same. And both
//! sides against datagrams that nobody has sealed.

#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use splitinfer_wire::Load;
use splitinfer_wire::monitor::{
    EXPORTED_BYTES, EdgeMonitor, MIN_PROBE_BYTES, MonitorConfig, MonitorKeys, Probe, Reply,
    ServerMonitor,
};

fuzz_target!(|data: &[u8]| {
    if let Ok(reply) = Reply::decode(data) {
        assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
    }
    if let Ok(probe) = Probe::decode(data) {
        assert_eq!(Probe::decode(&probe.encode(MIN_PROBE_BYTES)), Ok(probe));
    }
    let now = Instant::now();
    let keys = || MonitorKeys::new(&[0; EXPORTED_BYTES]);
    let mut server = ServerMonitor::new(now);
    server.add(now, keys(), ());
    assert_eq!(server.handle(now, now, data, |()| Load::default()), None);
    EdgeMonitor::new(now, keys(), MonitorConfig::default()).handle_datagram(now, data);
});
