// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the measurements of training share: models with a loss, and programs that train them, ours and PyTorch's, each in
//! a process of its own.

pub mod agreement;
pub mod breakdown;
pub mod child;
pub mod convolution;
pub mod draft;
pub mod job;
pub mod profile;
pub mod python;
pub mod single;
pub mod study;
pub mod subject;
pub mod weight_forms;
pub mod weight_operands;
pub mod worker;

pub use child::Child;
pub use job::Job;
pub use subject::{Subject, subjects};
