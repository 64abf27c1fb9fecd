// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What both elements do with an event that carries new weights.

use splitinfer_meta::WeightsUpdate;
use splitinfer_weights::{Header, UpdateError};
use splitinfer_wire::WeightsCode;

/// Of the property `update-bitrate`, in kbit/s.
pub const DEFAULT_UPDATE_BITRATE: u32 = 300;

/// What that property means to the network.
pub fn bytes_a_second(kbits: u32) -> u64 {
    u64::from(kbits) * 1000 / 8
}

/// The header of the update that an event carries.
///
/// # Errors
/// When the event says something else than the update in it, or that is none.
pub fn header(update: &WeightsUpdate) -> Result<Header, UpdateError> {
    let header = Header::read(&update.update)?;
    if header.base != update.base {
        return Err(UpdateError::Corrupt(
            "the event's 'base' is not the update's",
        ));
    }
    if header.to != update.version {
        return Err(UpdateError::Corrupt(
            "the event's 'version' is not the update's",
        ));
    }
    Ok(header)
}

/// How the protocol calls it.
pub fn code(error: &UpdateError) -> WeightsCode {
    match error {
        UpdateError::WrongBase { .. } => WeightsCode::WrongBase,
        UpdateError::UnknownVersion { .. } | UpdateError::OtherVersion(_) => WeightsCode::Missing,
        UpdateError::NotNewer { .. } => WeightsCode::Outdated,
        UpdateError::NoSuchTensor { .. }
        | UpdateError::Shape { .. }
        | UpdateError::NotAWeight(_) => WeightsCode::Mismatch,
        UpdateError::Magic(_)
        | UpdateError::Format { .. }
        | UpdateError::Truncated { .. }
        | UpdateError::Corrupt(_)
        | UpdateError::Digest => WeightsCode::Damaged,
        UpdateError::OtherGraph(_) | UpdateError::Encoding(_) | UpdateError::Graph(_) => {
            WeightsCode::Internal
        }
    }
}

/// A refusal's reason as messages name it.
pub fn reason(code: WeightsCode) -> &'static str {
    match code {
        WeightsCode::WrongBase => "wrong-base",
        WeightsCode::Missing => "missing",
        WeightsCode::Damaged => "damaged",
        WeightsCode::Mismatch => "mismatch",
        WeightsCode::Unusable => "unusable",
        WeightsCode::TooLarge => "too-large",
        WeightsCode::Outdated => "outdated",
        WeightsCode::Internal => "internal",
        WeightsCode::Other(_) => "other",
    }
}
