// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The versions of its model that each edge may use, and what computes with them: shared by the edges that have the same.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use splitinfer_tensorcode::Decoders;
use splitinfer_weights::{Header, Versions};
use splitinfer_wire::WeightsCode;

use super::models::{Prepared, Subject};
use crate::net::server::WeightsRefusal;
use crate::weights::code;

/// Versions of one edge that are ready for frames: the one in use, the one before while its last frames come, and the
/// next. More are there only if the edge gives versions up before it uses them.
const MOST_READY: usize = 3;

/// A version that is ready for the frames of one edge.
pub struct Version {
    pub number: u64,
    pub prepared: Arc<Prepared>,
    /// One a candidate. They hold what its next frames may be predicted from: never tensors of another version.
    pub decoders: Mutex<Decoders>,
}

/// The versions of one edge.
pub struct EdgeVersions {
    /// Weights that an update may build on.
    weights: Mutex<Versions>,
    ready: Mutex<Vec<Arc<Version>>>,
    /// That of the last frame.
    in_use: AtomicU64,
}

impl EdgeVersions {
    /// Version 0 is ready.
    pub fn new(prepared: Arc<Prepared>) -> Self {
        let weights = Versions::new(prepared.subject.base.clone());
        Self {
            weights: Mutex::new(weights),
            ready: Mutex::new(vec![Arc::new(Version::new(0, prepared))]),
            in_use: AtomicU64::new(0),
        }
    }

    /// What a frame of this version is computed with; `None` if it is not ready (any more).
    pub fn get(&self, number: u64) -> Option<Arc<Version>> {
        let ready = lock(&self.ready);
        let found = ready.iter().find(|v| v.number == number).cloned();
        if found.is_some() {
            self.in_use.store(number, Ordering::Relaxed);
        }
        found
    }

    /// That of the last frame.
    pub fn in_use(&self) -> u64 {
        self.in_use.load(Ordering::Relaxed)
    }

    /// How many are held ready.
    pub fn ready(&self) -> usize {
        lock(&self.ready).len()
    }

    pub fn base_hash(&self) -> [u8; 32] {
        lock(&self.weights).base_hash()
    }

    /// Whether the edge has the version that an update gives, and has said so.
    pub fn holds(&self, header: &Header) -> bool {
        let weights = lock(&self.weights).clone();
        weights.holds(header)
    }

    /// Prepares the version that an update gives; takes as long as that takes.
    ///
    /// # Errors
    /// When the update is not for this model or not for a version that is here, is damaged, or cannot be run.
    pub fn take(
        &self,
        version: u64,
        update: &[u8],
        shared: &SharedVersions,
    ) -> Result<(), WeightsRefusal> {
        let versions = lock(&self.weights).clone();
        let (header, model) = versions.read(update).map_err(|e| WeightsRefusal {
            code: code(&e),
            text: e.to_string(),
        })?;
        if header.to != version {
            let text = format!("the update gives version {}, not {version}", header.to);
            return Err(refusal(WeightsCode::Damaged, text));
        }
        let newest = lock(&self.ready).last().map(|v| v.prepared.clone());
        let Some(newest) = newest else {
            let text = "no version is ready that it could be made from".to_owned();
            return Err(refusal(WeightsCode::Internal, text));
        };
        let prepared = shared.get(&newest.subject, header.digest, || {
            let prepared = newest.with_weights(&model);
            prepared.map_err(|e| refusal(WeightsCode::Unusable, e.to_string()))
        })?;
        lock(&self.weights).adopt(version, model);
        self.add(Version::new(version, prepared));
        Ok(())
    }

    fn add(&self, version: Version) {
        let mut ready = lock(&self.ready);
        ready.push(Arc::new(version));
        let newest = ready.len() - 1;
        let spare = |(i, v): (usize, &Arc<Version>)| i < newest && v.number != self.in_use();
        if ready.len() > MOST_READY
            && let Some(i) = ready.iter().enumerate().position(spare)
        {
            ready.remove(i);
        }
    }

    /// Drops those below, but never the newest.
    pub fn retire(&self, below: u64) {
        let mut ready = lock(&self.ready);
        let newest = ready.last().map_or(0, |v| v.number);
        ready.retain(|v| v.number >= below.min(newest));
    }
}

impl Version {
    fn new(number: u64, prepared: Arc<Prepared>) -> Self {
        Self {
            number,
            prepared,
            decoders: Mutex::default(),
        }
    }
}

/// A model, by where it lies (it lies there as long as anything prepared for it does), and the digest of its weights.
type Key = (usize, [u8; 32]);

/// Locked while it is being prepared, so that edges that get the same weights wait for one preparation.
type Place = Arc<Mutex<Weak<Prepared>>>;

/// What edges have in use, so that those with the same weights share it. Holds nothing alive.
#[derive(Default)]
pub struct SharedVersions(Mutex<HashMap<Key, Place>>);

impl SharedVersions {
    fn get(
        &self,
        subject: &Arc<Subject>,
        digest: [u8; 32],
        make: impl FnOnce() -> Result<Prepared, WeightsRefusal>,
    ) -> Result<Arc<Prepared>, WeightsRefusal> {
        let place = {
            let mut places = lock(&self.0);
            places
                .retain(|_, place| Arc::strong_count(place) > 1 || lock(place).strong_count() > 0);
            let key = (Arc::as_ptr(subject) as usize, digest);
            places.entry(key).or_default().clone()
        };
        let mut place = lock(&place);
        if let Some(prepared) = place.upgrade() {
            return Ok(prepared);
        }
        let prepared = Arc::new(make()?);
        *place = Arc::downgrade(&prepared);
        Ok(prepared)
    }
}

fn refusal(code: WeightsCode, text: String) -> WeightsRefusal {
    WeightsRefusal { code, text }
}

/// What a thread that failed left behind is sound: every change here is a single step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
