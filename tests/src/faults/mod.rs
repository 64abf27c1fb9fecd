// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The parts of the measurement `faults`: what happens to an edge's stream while its server is killed, frozen, cut off or
//! restarted over and over, and what is left of it in both processes afterwards.

pub mod child;
pub mod clients;
pub mod edge;
pub mod figures;
pub mod growth;
pub mod host;
pub mod injure;
pub mod lives;
pub mod report;
pub mod resources;
pub mod run;
pub mod schedule;
pub mod series;
pub mod sessions;
pub mod watch;

/// Of every edge, ms.
pub const BUDGET_MS: f64 = 100.0;

/// Milliseconds since some moment that is the same for all programs of this machine.
pub fn now() -> f64 {
    crate::measure::ms(crate::measure::monotonic())
}

/// A moment of this program on that clock.
pub fn at(instant: std::time::Instant) -> f64 {
    now() - crate::measure::ms(instant.elapsed())
}

/// Properties of an edge that sends its frames, split like this, to a server.
pub fn properties(model: &str, server: &str, split: &str) -> Vec<(String, String)> {
    let mut all = vec![
        ("model", model),
        ("server", server),
        ("split", split),
        ("latency-budget", "100"),
    ];
    // For so small a model the quickest choice is always to do all of it here.
    if split == "auto" {
        all.push(("objective", "edge-load"));
    }
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    all.into_iter().map(own).collect()
}
