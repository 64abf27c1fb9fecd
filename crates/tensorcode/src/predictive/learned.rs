// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the bands of a frame have learned, for the bands of frames that are predicted from it. Each band of a packet's
//! size would otherwise spend a part of it on learning the same again.

use std::sync::Mutex;

use super::contexts::Contexts;
use super::models::{Bit, SYMBOLS, Symbols};
use super::reference::Coded;

/// The mean of what several bands have learned, weighted by how much each has seen.
struct Learned {
    bits: Vec<[u32; 2]>,
    symbols: Vec<[u32; SYMBOLS + 1]>,
}

impl Learned {
    fn new(start: &Contexts) -> Self {
        Self {
            bits: vec![[0; 2]; start.bits().count()],
            symbols: vec![[0; SYMBOLS + 1]; start.symbols().count()],
        }
    }

    /// `start`: as the band found its contexts; `end`: as it left them.
    fn add(&mut self, start: &Contexts, end: &Contexts) {
        for ((sums, start), end) in self.bits.iter_mut().zip(start.bits()).zip(end.bits()) {
            end.add_to(start, sums);
        }
        let symbols = start.symbols().zip(end.symbols());
        for (sums, (start, end)) in self.symbols.iter_mut().zip(symbols) {
            end.add_to(start, sums);
        }
    }

    /// What was not seen stays as it was at the start.
    fn contexts(&self, start: &Contexts) -> Contexts {
        let mut contexts = start.clone();
        let bits = contexts.bits_mut().zip(&self.bits);
        bits.for_each(|(bit, sums)| *bit = Bit::mean(*bit, sums));
        let symbols = contexts.symbols_mut().zip(&self.symbols);
        symbols.for_each(|(symbols, sums)| *symbols = Symbols::mean(*symbols, sums));
        contexts
    }
}

/// Of tensors with fewer values nothing is kept: it would take more memory than their levels do.
const WORTH: usize = 2048;

/// Gives each band the contexts to start from, and keeps what they have learned.
pub(super) struct Learning {
    start: Contexts,
    learned: Option<Mutex<Learned>>,
}

impl Learning {
    /// `earlier`: what the frame is predicted from; `values`: of the tensor.
    pub(super) fn new(earlier: Option<&Coded>, values: usize) -> Self {
        let contexts = earlier.and_then(|e| e.contexts.as_deref());
        let start = contexts.map_or_else(Contexts::new, Contexts::clone);
        let learned = (values >= WORTH).then(|| Mutex::new(Learned::new(&start)));
        Self { start, learned }
    }

    /// Every band starts alike, so none depends on another, and they may come in any order.
    pub(super) fn band<T>(&self, code: impl FnOnce(&mut Contexts) -> T) -> T {
        let mut contexts = self.start.clone();
        let coded = code(&mut contexts);
        if let Some(learned) = &self.learned {
            learned.lock().unwrap().add(&self.start, &contexts);
        }
        coded
    }

    /// For the frames that are predicted from this one.
    pub(super) fn finish(self) -> Option<Box<Contexts>> {
        let learned = self.learned?.into_inner().unwrap();
        Some(Box::new(learned.contexts(&self.start)))
    }
}
