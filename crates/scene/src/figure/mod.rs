// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A person: how the joints move, where they are in space, and what clothes them.

mod draw;
mod gait;
mod skeleton;

pub use draw::{Clothes, draw};
pub use gait::stride_length;
pub use skeleton::{Pose, Skeleton};
