// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The values of one tensor on their way, the same walk for both directions: a writer is given what is wanted, a reader
//! gives old values for that and pays no heed to them. Both return what the receiver has.

use crate::range::Coder;

use crate::grid::{Grid, MOST};
use crate::header::Coding;
use crate::residual::{Levels, Patterns};
use crate::tensors::{Kind, Weight};

/// Contexts of both codings; they live as long as an update.
pub(crate) struct Values {
    levels: Levels,
    patterns: Patterns,
}

impl Values {
    pub(crate) fn new() -> Self {
        Self {
            levels: Levels::new(),
            patterns: Patterns::new(),
        }
    }

    pub(crate) fn code(
        &mut self,
        coder: &mut impl Coder,
        coding: Coding,
        base: &Weight,
        old: &Weight,
        wanted: &Weight,
    ) -> Weight {
        let kind = old.kind;
        self.levels.start_tensor();
        let mut bits = Vec::with_capacity(old.bits.len());
        for ((base, old), wanted) in base.values().zip(&old.bits).zip(&wanted.bits) {
            bits.push(match coding {
                Coding::Exact => self.exact(coder, kind, *old, *wanted),
                Coding::Grid(grid) => {
                    let wanted = match wanted == old {
                        true => 0,
                        false => difference(grid, kind, base, *old, *wanted),
                    };
                    moved(grid, kind, base, *old, self.levels.code(coder, wanted))
                }
            });
        }
        Weight { kind, bits }
    }

    fn exact(&mut self, coder: &mut impl Coder, kind: Kind, old: u64, wanted: u64) -> u64 {
        let unused = u64::BITS - kind.bits();
        // As a number with sign: from one pattern to the other in the shorter direction.
        let difference = (wanted.wrapping_sub(old) << unused) as i64 >> unused;
        let difference = self.patterns.code(coder, difference) as u64;
        old.wrapping_add(difference) << unused >> unused
    }
}

/// Levels from the old value to the new one.
fn difference(grid: Grid, kind: Kind, base: f64, old: u64, new: u64) -> i64 {
    grid.level(base, kind.value(new)) - grid.level(base, kind.value(old))
}

/// Without a difference a value stays exactly as it was.
fn moved(grid: Grid, kind: Kind, base: f64, old: u64, difference: i64) -> u64 {
    if difference == 0 {
        return old;
    }
    let level = grid.level(base, kind.value(old)).saturating_add(difference);
    kind.round(grid.value(base, level.clamp(-MOST, MOST)))
}

/// Whether every new value comes out exactly on this grid.
pub(crate) fn reproduces(grid: Grid, base: &Weight, old: &Weight, new: &Weight) -> bool {
    let kind = new.kind;
    let mut all = base.values().zip(&old.bits).zip(&new.bits);
    all.all(|((base, old), new)| {
        let difference = difference(grid, kind, base, *old, *new);
        moved(grid, kind, base, *old, difference) == *new
    })
}
