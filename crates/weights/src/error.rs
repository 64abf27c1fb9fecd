// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Why an update cannot be made or taken.

use splitinfer_graph::GraphError;

/// One sentence: what is wrong, and what to do where something can be done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum UpdateError {
    // The bytes are at fault.
    #[error("not a weight update: it starts with {0:02x?} instead of \"SIWU\"")]
    Magic([u8; 4]),
    #[error(
        "weight updates of format {got} are not supported (this side knows {known}): update the older side"
    )]
    Format { got: u8, known: u8 },
    #[error("the weight update ends at byte {at}, too early")]
    Truncated { at: usize },
    #[error("the weight update is damaged: {0}")]
    Corrupt(&'static str),
    #[error(
        "the weights that come out are not those the sender has: the update was damaged on its way"
    )]
    Digest,

    // It is not for the model at hand.
    #[error(
        "the update is for the model {theirs}…, this one is {ours}…: train from the file that is in use"
    )]
    WrongBase { theirs: String, ours: String },
    #[error(
        "the update builds on version {from}, which is not here (newest: {newest}): send one that starts from the file"
    )]
    UnknownVersion { from: u64, newest: u64 },
    #[error(
        "the update builds on another version {0} than the one here: send one that starts from the file"
    )]
    OtherVersion(u64),
    #[error(
        "the update gives version {to}, but version {newest} is in use already: number it higher"
    )]
    NotNewer { to: u64, newest: u64 },
    #[error("the update changes tensor {index}, but the model has {count} initializers")]
    NoSuchTensor { index: usize, count: usize },
    #[error("'{name}' has {has} elements, the update gives {given}")]
    Shape {
        name: String,
        has: usize,
        given: u64,
    },
    #[error("'{0}' holds no floating-point values, and only those are weights")]
    NotAWeight(String),

    // The caller's models are at fault.
    #[error("the two models are not the same graph with other weights: {0}")]
    OtherGraph(String),
    #[error("the precision must be between 0 and 1 and the share above 0 and at most 1, not {0}")]
    Encoding(f32),
    #[error(transparent)]
    Graph(#[from] GraphError),
}
