// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What one side holds of a model: the base, and the versions an update may build on.

use std::collections::VecDeque;

use splitinfer_graph::Model;

use crate::apply::apply;
use crate::digest::digest;
use crate::encode::{Coded, Encoding, Precision, between};
use crate::error::UpdateError;
use crate::header::Header;

/// Versions held beside the base: the newest, and the one before, to go back to. All sides that follow the same updates
/// hold the same.
pub const KEPT: usize = 2;

/// A model's base and its last versions. Cloning is cheap: tensors are shared.
#[derive(Clone, Debug)]
pub struct Versions {
    base: Model,
    base_hash: [u8; 32],
    /// The newest last.
    kept: VecDeque<(u64, Model)>,
}

impl Versions {
    pub fn new(base: Model) -> Self {
        Self {
            base_hash: base.hash(),
            base,
            kept: VecDeque::new(),
        }
    }

    pub fn base(&self) -> &Model {
        &self.base
    }

    /// [`Model::hash`] of the base.
    pub fn base_hash(&self) -> [u8; 32] {
        self.base_hash
    }

    /// The base, as long as no other version was adopted.
    pub fn newest(&self) -> (u64, &Model) {
        let newest = self.kept.back();
        newest.map_or((0, &self.base), |(version, model)| (*version, model))
    }

    pub fn get(&self, version: u64) -> Option<&Model> {
        let kept = self.kept.iter().find(|(v, _)| *v == version);
        match version {
            0 => Some(&self.base),
            _ => kept.map(|(_, model)| model),
        }
    }

    /// Whether the version that an update gives is here already, the very same bits.
    pub fn holds(&self, header: &Header) -> bool {
        let own = self
            .get(header.to)
            .filter(|_| header.base == self.base_hash);
        own.is_some_and(|model| digest(model).is_ok_and(|own| own == header.digest))
    }

    /// Whether an update with this header can be read here: a matter of microseconds, except the first time for a
    /// version.
    ///
    /// # Errors
    /// When it is for another model, is not newer than what is here, or builds on a version that is not here.
    pub fn check(&self, header: &Header) -> Result<&Model, UpdateError> {
        if header.base != self.base_hash {
            return Err(UpdateError::WrongBase {
                theirs: short(&header.base),
                ours: short(&self.base_hash),
            });
        }
        let newest = self.newest().0;
        if header.to <= newest {
            return Err(UpdateError::NotNewer {
                to: header.to,
                newest,
            });
        }
        self.get(header.from).ok_or(UpdateError::UnknownVersion {
            from: header.from,
            newest,
        })
    }

    /// Decodes an update; nothing is adopted yet.
    ///
    /// Never panics and takes memory in proportion to the base, whatever `bytes` hold.
    ///
    /// # Errors
    /// As [`check`](Self::check), and when the update is damaged or does not fit the model's tensors.
    pub fn read(&self, bytes: &[u8]) -> Result<(Header, Model), UpdateError> {
        let header = Header::read(bytes)?;
        let from = self.check(&header)?;
        if digest(from)? != header.from_digest {
            return Err(UpdateError::OtherVersion(header.from));
        }
        let model = apply(&header, bytes, &self.base, from)?;
        Ok((header, model))
    }

    /// Takes a version as the newest. One that is not newer is ignored.
    pub fn adopt(&mut self, version: u64, model: Model) {
        if version <= self.newest().0 {
            return;
        }
        self.kept.push_back((version, model));
        while self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    /// An update from the base to the newest version, for a receiver that has nothing else; `None` if the base is the
    /// newest. It gives the very same bits, and is small where they came from coded updates.
    ///
    /// # Errors
    /// When a model was adopted that is no version of the base.
    pub fn full(&self) -> Result<Option<Coded>, UpdateError> {
        let (to, newest) = self.newest();
        if to == 0 {
            return Ok(None);
        }
        let exact = Encoding {
            precision: Precision::Exact,
            share: 1.0,
        };
        between(self, (0, &self.base), to, newest, &exact).map(Some)
    }
}

/// The beginning of a hash, for people.
fn short(hash: &[u8; 32]) -> String {
    hash[..6].iter().map(|b| format!("{b:02x}")).collect()
}
