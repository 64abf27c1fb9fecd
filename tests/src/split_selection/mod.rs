// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The trace-driven simulation of the planner: the edge, the link and the server as state machines, the selector as the
//! element has it, an oracle and others to compare with.

pub mod baselines;
pub mod encoder;
pub mod events;
pub mod figures;
pub mod held_out;
pub mod load;
pub mod monitor;
pub mod oracle;
pub mod planner;
pub mod plot;
pub mod profile;
pub mod profiling;
pub mod profiling_h264;
pub mod regimes;
pub mod report;
pub mod run;
pub mod setting;
pub mod stream;
pub mod study;
pub mod traces;
pub mod transport;
pub mod world;
