// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The parts of the measurement `loss`: what lost packets do to a stream of frames, in whole pipelines behind an emulated link,
//! with completion from parts and without it.

pub mod figures;
pub mod film;
pub mod play;
pub mod setting;
