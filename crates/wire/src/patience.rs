// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How long a server waits for the whole of a payload: what version 1.5 appends to a frame's header, and only where the edge
//! wants an answer to less than all of it.

use crate::codec::{DecodeError, Problem, Reader, Writer};

/// Bytes of it in a header.
pub const PATIENCE_BYTES: usize = 6;

/// A whole, in the unit of [`Patience::least_permille`].
const WHOLE: u16 = 1000;

/// Until when the server waits for the whole payload, and with how much of it it may go on then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the arrival of the header on, µs; at least 1.
    pub wait_us: u32,
    /// Of the payload, in 1/1000, at most 1000.
    pub least_permille: u16,
}

impl Patience {
    /// Bytes of a payload of this length with which the server may go on.
    pub fn least_bytes(&self, payload: u32) -> u64 {
        let whole = u64::from(WHOLE);
        (u64::from(payload) * u64::from(self.least_permille)).div_ceil(whole)
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        w.u32(self.wait_us);
        w.u16(self.least_permille.min(WHOLE));
    }

    /// The server is to wait for all; where something else follows.
    pub(crate) fn write_none(w: &mut Writer) {
        w.u32(0);
        w.u16(0);
    }

    /// `None` where the header ends before it, or says that the server shall wait for all.
    pub(crate) fn read(r: &mut Reader) -> Result<Option<Self>, DecodeError> {
        if r.remaining() < PATIENCE_BYTES {
            return Ok(None);
        }
        let wait_us = r.u32("FrameHeader.patience")?;
        let (offset, what) = (r.offset(), "FrameHeader.least");
        let least_permille = r.u16(what)?;
        if least_permille > WHOLE {
            let problem = Problem::BadValue(least_permille.into());
            return Err(Reader::error(offset, what, problem));
        }
        Ok((wait_us > 0).then_some(Self {
            wait_us,
            least_permille,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_rounded_up() {
        let patience = |least_permille| Patience {
            wait_us: 1,
            least_permille,
        };
        assert_eq!(patience(500).least_bytes(7), 4);
        assert_eq!(patience(0).least_bytes(7), 0);
        assert_eq!(
            patience(1000).least_bytes(u32::MAX),
            u64::from(u32::MAX),
            "all of it"
        );
    }
}
