// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The second code: one step for a whole tensor, prediction from a tensor the receiver has, and an adaptive range coder.
//!
//! A tensor is a stack of pictures ([`plane`]). Its values become whole levels of one step ([`scale`]). Each block of 4 × 4
//! pixels, through all channels, is predicted as whichever costs least ([`choose`]): as it was, from the reference moved by
//! some pixels and corrected, or from its own surroundings ([`predict`]). What is left goes through a binary range coder
//! ([`range`]) whose probabilities depend on what lies around ([`contexts`]), in bands that need no other band ([`band`]).
//!
//! The reference is always a frame that the receiver has acknowledged ([`reference`]), so a frame that is lost, late or
//! reset costs nothing but itself.

mod band;
mod choose;
mod contexts;
mod decoder;
mod encoder;
mod frame;
mod plane;
mod predict;
mod reference;
mod scale;
#[cfg(test)]
mod tests;

pub use decoder::PredictiveDecoder;
pub use encoder::Predictive;
pub(crate) use frame::max_errors;
