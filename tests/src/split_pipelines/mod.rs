// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Edges and a server as processes of their own, with parts of a processor and a network between them that follow a trace.

pub mod book;
pub mod camera;
pub mod control;
pub mod crowd;
pub mod edge;
pub mod figures;
pub mod json;
pub mod method;
pub mod pictures;
pub mod play;
pub mod profile;
pub mod profiling;
pub mod report;
pub mod session;
pub mod subject;
pub mod summary;
