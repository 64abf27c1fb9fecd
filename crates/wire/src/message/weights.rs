// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! New weights on their way, in either direction.

use bytes::Bytes;

use crate::codec::{DecodeError, EncodeError, Reader, Writer};
use crate::limits::{MAX_TEXT_BYTES, MAX_WEIGHTS_CHUNK_BYTES};

/// The sender has an update; it waits to be asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightsOffer {
    /// The version that the update gives.
    pub version: u64,
    pub size: u64,
    /// SHA-256 of the update.
    pub hash: [u8; 32],
}

impl WeightsOffer {
    pub(super) fn write(&self, w: &mut Writer) {
        w.u64(self.version);
        w.u64(self.size);
        w.raw(&self.hash);
    }

    pub(super) fn read(r: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            version: r.u64("WeightsOffer.version")?,
            size: r.u64("WeightsOffer.size")?,
            hash: r.array("WeightsOffer.hash")?,
        })
    }
}

/// A piece of the update; pieces come in order and without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsData {
    pub version: u64,
    pub offset: u64,
    pub chunk: Bytes,
}

impl WeightsData {
    pub(super) fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.u64(self.version);
        w.u64(self.offset);
        w.blob(&self.chunk, MAX_WEIGHTS_CHUNK_BYTES, "WeightsData.chunk")
    }

    pub(super) fn read(r: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            version: r.u64("WeightsData.version")?,
            offset: r.u64("WeightsData.offset")?,
            chunk: Bytes::copy_from_slice(r.blob(MAX_WEIGHTS_CHUNK_BYTES, "WeightsData.chunk")?),
        })
    }
}

/// Why an update was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightsCode {
    /// It is for another model.
    WrongBase,
    /// It builds on a version that the receiver does not have: one that starts from the file may be taken.
    Missing,
    /// The bytes are no update, or have another hash than announced.
    Damaged,
    /// It does not fit the tensors of the model.
    Mismatch,
    /// The model cannot be run with these weights.
    Unusable,
    TooLarge,
    /// The receiver has this version, or a newer one, already.
    Outdated,
    Internal,
    /// A code of a later minor version.
    Other(u16),
}

impl WeightsCode {
    pub fn code(self) -> u16 {
        match self {
            Self::WrongBase => 1,
            Self::Missing => 2,
            Self::Damaged => 3,
            Self::Mismatch => 4,
            Self::Unusable => 5,
            Self::TooLarge => 6,
            Self::Outdated => 7,
            Self::Internal => 8,
            Self::Other(code) => code,
        }
    }

    pub fn from_code(code: u16) -> Self {
        match code {
            1 => Self::WrongBase,
            2 => Self::Missing,
            3 => Self::Damaged,
            4 => Self::Mismatch,
            5 => Self::Unusable,
            6 => Self::TooLarge,
            7 => Self::Outdated,
            8 => Self::Internal,
            code => Self::Other(code),
        }
    }
}

/// The update is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsRefuse {
    pub version: u64,
    pub code: WeightsCode,
    /// For humans.
    pub text: String,
}

impl WeightsRefuse {
    pub(super) fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.u64(self.version);
        w.u16(self.code.code());
        w.string(&self.text, MAX_TEXT_BYTES, "WeightsRefuse.text")
    }

    pub(super) fn read(r: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            version: r.u64("WeightsRefuse.version")?,
            code: WeightsCode::from_code(r.u16("WeightsRefuse.code")?),
            text: r.string(MAX_TEXT_BYTES, "WeightsRefuse.text")?.to_owned(),
        })
    }
}
