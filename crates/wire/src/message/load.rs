// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How busy the server is: `Pong` and `ServerStatus`.

use crate::codec::{DecodeError, EncodeError, Reader, Writer};
use crate::limits::{MAX_CANDIDATES, MAX_TEXT_BYTES};

/// The server's load as one client sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Frames of all clients that wait for compute.
    pub queue: u32,
    /// Busy share of the server's compute, in 1/1000.
    pub utilisation_permille: u16,
    /// Mean time of the whole model (content `picture`), µs; 0: not yet measured.
    pub whole_us: u32,
    /// Mean time of the tail after each candidate, µs, in the order of `Hello.candidates`; 0: not yet
    /// measured. May be empty.
    pub tail_us: Vec<u32>,
}

impl Load {
    fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.u32(self.queue);
        w.u16(self.utilisation_permille);
        w.u32(self.whole_us);
        w.count(self.tail_us.len(), MAX_CANDIDATES, "Load.tail_us")?;
        for &us in &self.tail_us {
            w.u32(us);
        }
        Ok(())
    }

    fn read(r: &mut Reader) -> Result<Self, DecodeError> {
        let (queue, utilisation_permille) = (r.u32("Load.queue")?, r.u16("Load.utilisation")?);
        let whole_us = r.u32("Load.whole_us")?;
        let n = r.count(MAX_CANDIDATES, 4, "Load.tail_us")?;
        let tail_us = (0..n)
            .map(|_| r.u32("Load.tail_us"))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            queue,
            utilisation_permille,
            whole_us,
            tail_us,
        })
    }
}

/// Answer to a `Ping`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pong {
    /// That of the ping.
    pub id: u64,
    pub load: Load,
}

impl Pong {
    pub(super) fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.u64(self.id);
        self.load.write(w)
    }

    pub(super) fn read(r: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            id: r.u64("Pong.id")?,
            load: Load::read(r)?,
        })
    }
}

/// What the server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerPhase {
    /// Loading the model; sent every second so that the edge knows the server lives.
    Preparing,
    Serving,
    /// Finishes frames under way and will then say `Bye`; the edge should send no more.
    Draining,
    /// A code of a later minor version.
    Other(u8),
}

impl ServerPhase {
    pub fn code(self) -> u8 {
        match self {
            Self::Preparing => 0,
            Self::Serving => 1,
            Self::Draining => 2,
            Self::Other(code) => code,
        }
    }

    pub fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Preparing,
            1 => Self::Serving,
            2 => Self::Draining,
            code => Self::Other(code),
        }
    }
}

/// Sent by the server on its own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStatus {
    pub phase: ServerPhase,
    /// For humans; may be empty.
    pub text: String,
    pub load: Load,
}

impl ServerStatus {
    pub(super) fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.u8(self.phase.code());
        w.string(&self.text, MAX_TEXT_BYTES, "ServerStatus.text")?;
        self.load.write(w)
    }

    pub(super) fn read(r: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            phase: ServerPhase::from_code(r.u8("ServerStatus.phase")?),
            text: r.string(MAX_TEXT_BYTES, "ServerStatus.text")?.to_owned(),
            load: Load::read(r)?,
        })
    }
}
