// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The second code: one step for a whole tensor, prediction from a tensor the receiver has, and adaptive entropy coding.
//!
//! A tensor is a stack of pictures ([`plane`]). Its values become whole levels ([`scale`]), of channels that matter more to the outputs finer ones ([`steps`]). Each block of 4 × 4 pixels,
//! through all channels, is predicted as whichever costs least ([`choose`]): as it was, from the reference moved by some
//! pixels and corrected, or from its own surroundings ([`predict`]). A correction is told pixel by pixel or by frequency
//! ([`transform`]), whichever suits the channel; an encoder says no more than is worth its bits ([`wanted`]). What is said
//! becomes a number ([`rans`]) by probabilities ([`models`]) that depend on what lies around ([`contexts`], [`seen`]) and
//! go on from what earlier frames taught ([`learned`]), in bands that need no other band ([`band`]),
//! cut to the size of a packet ([`cutting`]) and coded at the same time ([`bands`]).
//!
//! The reference is always a frame that the receiver has acknowledged ([`reference`]), so a frame that is lost, late or
//! reset costs nothing but itself.

mod band;
mod bands;
mod choose;
mod conceal;
mod contexts;
mod cutting;
mod decoder;
mod encoder;
mod frame;
mod learned;
mod models;
mod motion;
mod plane;
mod predict;
mod rans;
mod reference;
mod scale;
mod seen;
mod steps;
#[cfg(test)]
mod tests;
mod transform;
mod wanted;

pub use decoder::PredictiveDecoder;
pub use encoder::Predictive;
pub(crate) use frame::max_errors;
pub(crate) use plane::channels;
