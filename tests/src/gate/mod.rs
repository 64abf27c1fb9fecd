// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Does the gate know when the student is wrong, and what does it cost: `measure.sh gate`.

pub mod cost;
pub mod degrade;
pub mod error;
pub mod fit;
pub mod lapack;
pub mod record;
pub mod report;
pub mod windows;
