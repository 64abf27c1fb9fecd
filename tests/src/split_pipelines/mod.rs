// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Edges and a server as processes of their own, with parts of a processor and a network between them that follow a trace.

pub mod camera;
pub mod edge;
pub mod figures;
pub mod play;
pub mod report;
