// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which outputs each head reads.

use super::HeadKind;

/// An output that a head reads, as `tensor-NAME=` of the sidecar names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    pub name: &'static str,
    /// Whether the head cannot do without.
    pub required: bool,
}

const fn required(name: &'static str) -> Role {
    Role {
        name,
        required: true,
    }
}

const fn optional(name: &'static str) -> Role {
    Role {
        name,
        required: false,
    }
}

const OUTPUT: [Role; 1] = [required("output")];
const SSD: [Role; 4] = [
    required("boxes"),
    required("classes"),
    required("scores"),
    optional("count"),
];
const CENTER: [Role; 3] = [required("heatmap"), required("box"), optional("offset")];
const POSE: [Role; 2] = [required("heatmap"), optional("offset")];
const SIMCC: [Role; 2] = [required("x"), required("y")];
const BLAZEPOSE: [Role; 2] = [required("landmarks"), optional("flag")];

impl HeadKind {
    /// The outputs the head reads.
    pub fn roles(self) -> &'static [Role] {
        match self {
            Self::Raw => &[],
            Self::SsdNms => &SSD,
            Self::Center => &CENTER,
            Self::PoseHeatmaps => &POSE,
            Self::SimCc => &SIMCC,
            Self::BlazePose => &BLAZEPOSE,
            _ => &OUTPUT,
        }
    }
}
