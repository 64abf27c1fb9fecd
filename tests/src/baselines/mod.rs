// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Published ways to choose the split, without any clock or socket of their own: the simulation and the measurement of whole
//! pipelines feed the same code.

pub mod bandit;
pub mod line;
pub mod neurosurgeon;
