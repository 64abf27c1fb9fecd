// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `splitinfer-eval` as a user runs it. Tests that run models need the plugins of this build
//! (`cargo build -p gst-plugin-splitinfer -p gst-plugin-adapt`).

mod common;
mod files;
mod models;
