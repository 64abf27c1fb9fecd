// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How well the UDP monitor of a running `splitinfer-edge` knows a link that is known.

mod echo;
mod run;

pub use run::{Case, Found, LinkKind, Step, run};
