// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The UDP monitor in whole pipelines, over a link between two network namespaces.

use std::time::Duration;

use splitinfer_tests::network::{FarServer, MONITOR_PORT, Network, ONE_PACKET};
use splitinfer_tests::numbered;
use splitinfer_tests::pipeline::{Numbered, assert_complete, by_server};

struct Setup {
    stream: Numbered,
    server: FarServer,
    network: Network,
    _folder: tempfile::TempDir,
}

/// A live stream over a link of 4 Mbit/s. `None` where namespaces cannot be made.
fn start() -> Option<Setup> {
    splitinfer_tests::init();
    let network = Network::new()?;
    network.set_rate(4000, ONE_PACKET);
    let folder = tempfile::tempdir().unwrap();
    let model = numbered::write_model(folder.path()).unwrap();
    let server = FarServer::start(&network, &model);
    let stream = Numbered::start(true, |edge| {
        use gst::prelude::*;
        server.configure(edge);
        edge.set_property("split", "pool1");
        edge.set_property("latency-budget", 300u32);
    });
    stream.wait_until_connected();
    Some(Setup {
        stream,
        server,
        network,
        _folder: folder,
    })
}

impl Setup {
    fn wait_for_state(&self, state: &str) {
        self.stream
            .wait_for(state, |stats| stats.get("monitor") == Ok(state));
    }

    fn wait_for_rate(&self, kbit: f64) {
        self.stream.wait_for(&format!("{kbit} kbit/s"), |stats| {
            let found: f64 = stats.get("monitor-kbit").unwrap_or_default();
            (found / kbit - 1.0).abs() < 0.2
        });
    }
}

#[test]
fn steps_of_the_rate_are_seen_without_any_frame() {
    let Some(setup) = start() else { return };
    setup.wait_for_state("ok");
    for kbit in [4000, 1000, 8000, 2000] {
        setup.network.set_rate(kbit, ONE_PACKET);
        setup.wait_for_rate(f64::from(kbit));
    }
    let received = setup.stream.finish();
    assert!(received.is_empty());
}

#[test]
fn a_blocked_port_costs_nothing_but_the_monitor() {
    let Some(setup) = start() else { return };
    setup.wait_for_state("ok");
    setup.network.block(MONITOR_PORT, true);
    setup.stream.push_live(150, |_| {});
    setup.wait_for_state("blocked");
    let stats: gst::Structure = {
        use gst::prelude::*;
        setup.stream.edge.property("stats")
    };
    assert!(stats.get::<f64>("rtt-ms").unwrap() > 0.0, "QUIC's: {stats}");
    assert!(stats.get::<f64>("bandwidth-kbit").is_ok(), "{stats}");
    setup.network.block(MONITOR_PORT, false);
    setup.wait_for_state("ok");
    let received = setup.stream.finish();
    assert_complete(&received, 150);
    assert!(by_server(&received) > 120, "{}", by_server(&received));
}

#[test]
fn a_server_that_was_restarted_is_monitored_again() {
    let Some(mut setup) = start() else { return };
    setup.wait_for_state("ok");
    setup.server.kill();
    setup.wait_for_state("off");
    setup.server.restart();
    setup.wait_for_state("ok");
    setup.stream.push_live(30, |_| {});
    let received = setup.stream.finish();
    assert_complete(&received, 30);
    assert!(by_server(&received) > 20, "{}", by_server(&received));
}

/// Neither the session nor its monitor is bound to an address.
#[test]
fn an_edge_that_gets_another_address_is_monitored_on() {
    let Some(setup) = start() else { return };
    setup.wait_for_state("ok");
    setup.network.move_near();
    setup.stream.push_live(60, |_| {});
    let heard = |stats: &gst::StructureRef| stats.get::<u64>("monitor-received-bytes").unwrap_or(0);
    let before = {
        use gst::prelude::*;
        heard(&setup.stream.edge.property::<gst::Structure>("stats"))
    };
    setup.stream.wait_for("further answers", |stats| {
        heard(stats) > before && stats.get("reconnects") == Ok(0u64)
    });
    setup.wait_for_state("ok");
    let received = setup.stream.finish();
    assert_complete(&received, 60);
    assert!(by_server(&received) > 40, "{}", by_server(&received));
}

#[test]
fn an_edge_that_stops_does_not_wait_for_the_monitor() {
    let Some(setup) = start() else { return };
    setup.network.block(MONITOR_PORT, true);
    let begun = std::time::Instant::now();
    setup.stream.finish();
    assert!(begun.elapsed() < Duration::from_secs(10), "it hangs");
}
