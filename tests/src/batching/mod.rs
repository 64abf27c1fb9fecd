// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What it brings to compute the frames of several edges together: `tests/measure.sh batching`.

pub mod edges;
pub mod models;
pub mod together;
