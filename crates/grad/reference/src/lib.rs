// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! References for the tests and the measurements of `splitinfer-grad`: fixtures with what PyTorch makes of them, models
//! made ready to be trained, and numbers that are drawn alike here and in Python.

pub mod compare;
pub mod drawn;
pub mod fixture;
pub mod gradients;
mod trainee;

pub use fixture::Fixture;
pub use trainee::{Trainee, options};
