// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Examples that vary each time they are drawn: few frames of a scene then teach more than what is on them.

use std::fmt::Debug;

use crate::sample::Sample;

/// Makes another example of one, by chance, for which the same is to be learnt.
pub trait Vary: Debug + Send {
    /// `None`: the example as it is.
    fn vary(&mut self, sample: &Sample) -> Option<Sample>;
}
