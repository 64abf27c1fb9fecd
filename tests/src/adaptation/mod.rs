// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What adaptation gains and costs: `measure.sh adaptation`.

pub mod drifts;
pub mod fault;
pub mod figures;
pub mod latency;
pub mod noticing;
pub mod pace;
pub mod plan;
pub mod plot;
pub mod policy;
pub mod real;
pub mod report;
pub mod results;
pub mod run;
pub mod visits;
