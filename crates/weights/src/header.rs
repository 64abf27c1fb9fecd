// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What stands before the coded values: which model, from which version to which, and which tensors change how.

use crate::error::UpdateError;
use crate::grid::Grid;

/// The first bytes of every update.
pub const MAGIC: [u8; 4] = *b"SIWU";
/// The format that this crate writes and reads.
const FORMAT: u8 = 1;
/// Bytes before the table of tensors.
pub const HEADER_BYTES: usize = 124;
/// A row of the table takes at least so many bytes.
const LEAST_ROW: usize = 3;

/// Which model, and which versions of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`Model::hash`](splitinfer_graph::Model::hash) of the base.
    pub base: [u8; 32],
    /// The version it builds on; 0 for the base.
    pub from: u64,
    /// The version it gives; larger than `from`.
    pub to: u64,
    /// [`digest`](crate::digest) of version `from`.
    pub from_digest: [u8; 32],
    /// [`digest`](crate::digest) of version `to`.
    pub digest: [u8; 32],
    /// Tensors that change.
    pub tensors: u32,
}

/// How the values of a tensor are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Differences of the bit patterns.
    Exact,
    Grid(Grid),
}

/// One tensor that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Among the initializers of the model.
    pub(crate) index: usize,
    pub(crate) elements: u64,
    pub(crate) coding: Coding,
}

impl Header {
    /// Reads the header of an update, for whoever has to decide what to do with it.
    ///
    /// # Errors
    /// When these bytes are no update, or one of a later format.
    pub fn read(bytes: &[u8]) -> Result<Self, UpdateError> {
        let magic = bytes.first_chunk::<4>().ok_or_else(|| short(bytes))?;
        if *magic != MAGIC {
            return Err(UpdateError::Magic(*magic));
        }
        let format = *bytes.get(4).ok_or_else(|| short(bytes))?;
        if format != FORMAT {
            let known = FORMAT;
            return Err(UpdateError::Format { got: format, known });
        }
        let fixed = bytes
            .first_chunk::<HEADER_BYTES>()
            .ok_or_else(|| short(bytes))?;
        if fixed[5..8] != [0; 3] {
            return Err(UpdateError::Corrupt("reserved bytes are set"));
        }
        let header = Self {
            base: part(fixed, 8),
            from: u64::from_be_bytes(part(fixed, 40)),
            to: u64::from_be_bytes(part(fixed, 48)),
            from_digest: part(fixed, 56),
            digest: part(fixed, 88),
            tensors: u32::from_be_bytes(part(fixed, 120)),
        };
        if header.to <= header.from {
            return Err(UpdateError::Corrupt("it leads to no later version"));
        }
        Ok(header)
    }

    pub(crate) fn write(&self, rows: &[Row]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 8 * rows.len());
        bytes.extend(MAGIC);
        bytes.extend([FORMAT, 0, 0, 0]);
        bytes.extend(self.base);
        bytes.extend(self.from.to_be_bytes());
        bytes.extend(self.to.to_be_bytes());
        bytes.extend(self.from_digest);
        bytes.extend(self.digest);
        bytes.extend(self.tensors.to_be_bytes());
        let mut next = 0;
        for row in rows {
            number(&mut bytes, (row.index - next) as u64);
            number(&mut bytes, row.elements);
            match row.coding {
                Coding::Exact => bytes.push(0),
                Coding::Grid(grid) => bytes.extend([1, grid.exponent as u8]),
            }
            next = row.index + 1;
        }
        bytes
    }
}

/// The table behind the header, and the coded values behind the table.
pub(crate) fn table<'a>(
    header: &Header,
    bytes: &'a [u8],
) -> Result<(Vec<Row>, &'a [u8]), UpdateError> {
    let mut at = HEADER_BYTES;
    let count = header.tensors as usize;
    if count > bytes.len().saturating_sub(at) / LEAST_ROW {
        return Err(short(bytes));
    }
    let mut rows = Vec::with_capacity(count);
    let mut next = 0u64;
    for _ in 0..count {
        let gap = read_number(bytes, &mut at)?;
        let index = next.checked_add(gap).filter(|i| *i < u64::from(u32::MAX));
        let index = index.ok_or(UpdateError::Corrupt("a tensor's number is too large"))?;
        let elements = read_number(bytes, &mut at)?;
        let coding = match read_byte(bytes, &mut at)? {
            0 => Coding::Exact,
            1 => Coding::Grid(Grid {
                exponent: read_byte(bytes, &mut at)? as i8,
            }),
            _ => return Err(UpdateError::Corrupt("a tensor is coded in an unknown way")),
        };
        next = index + 1;
        rows.push(Row {
            index: index as usize,
            elements,
            coding,
        });
    }
    Ok((rows, &bytes[at..]))
}

fn part<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

fn short(bytes: &[u8]) -> UpdateError {
    UpdateError::Truncated { at: bytes.len() }
}

fn read_byte(bytes: &[u8], at: &mut usize) -> Result<u8, UpdateError> {
    let byte = *bytes.get(*at).ok_or_else(|| short(bytes))?;
    *at += 1;
    Ok(byte)
}

/// Seven bits a byte, the lowest first, the highest bit of a byte set if another follows (LEB128).
fn number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn read_number(bytes: &[u8], at: &mut usize) -> Result<u64, UpdateError> {
    let mut value = 0;
    for shift in (0..56).step_by(7) {
        let byte = read_byte(bytes, at)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(UpdateError::Corrupt("a number is too long"))
}
