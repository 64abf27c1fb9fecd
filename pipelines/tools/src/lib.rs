// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the command-line tools are made of, so that tests and measurements can call it too.

pub mod answer;
pub mod chart;
pub mod cuts;
pub mod eval;
pub mod finetune;
mod images;
pub mod network;
mod playing;
mod progress;
pub mod splits;
pub mod timeline;
mod video;
