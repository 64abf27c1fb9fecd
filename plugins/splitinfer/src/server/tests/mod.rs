// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

mod batch;
mod bench;
mod element;
mod hostile;
mod incomplete;
mod link;
mod monitor;
mod refused;
mod reports;
mod video;
