// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The sending side: which values change, how finely, and what the receiver will make of it.

use std::collections::HashMap;

use crate::range::Writer;
use splitinfer_graph::Model;

use crate::digest::digest;
use crate::error::UpdateError;
use crate::grid::Grid;
use crate::header::{Coding, Header, Row};
use crate::tensors::{Weight, initializers, read, replace, same_graph};
use crate::values::{Values, reproduces};
use crate::versions::Versions;

/// Grids tried for values that must come out exactly; on a finer one the levels would take more bits than the values.
const GRIDS_TRIED: i16 = 20;

/// How an update is coded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Encoding {
    pub precision: Precision,
    /// The share of all weights that may change, above 0 to 1: those are sent that changed most, in proportion to
    /// their tensor's size; the others stay as they are, and may come with a later update. 1: all.
    pub share: f32,
}

/// How near the receiver's values come to the trained ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Precision {
    /// Every bit is the same. Large, unless the values lie on a grid already.
    Exact,
    /// The step is at most this share of the root mean square of what changes in a tensor, rounded down to a power of two:
    /// the same share of every training arrives, whether it was long or short.
    OfChange(f32),
    /// The step is at most this share of the root mean square of a tensor, rounded down to a power of two.
    OfSize(f32),
}

impl Default for Encoding {
    /// docs/measurements/weight-update.md says what this does to the outputs.
    fn default() -> Self {
        Self {
            precision: Precision::OfChange(0.25),
            share: 1.0,
        }
    }
}

/// An update, and what it makes of the model.
#[derive(Clone, Debug)]
pub struct Coded {
    pub header: Header,
    pub bytes: Vec<u8>,
    /// What the receiver will have: the sender has to go on with this one.
    pub model: Model,
    /// Weights that change.
    pub changed: u64,
    /// Weights of the model, changed or not.
    pub parameters: u64,
}

/// Codes the way from the newest of `versions` to `new`, the same graph with other weights, as version `to`.
///
/// # Errors
/// When `new` is another graph or differs in more than float initializers, `to` is no later version, or `how` is out
/// of range.
pub fn encode(
    versions: &Versions,
    to: u64,
    new: &Model,
    how: &Encoding,
) -> Result<Coded, UpdateError> {
    let (from, old) = versions.newest();
    between(versions, (from, old), to, new, how)
}

/// Goes back to a version that both sides still hold, under a new number: an update that changes nothing of it.
///
/// # Errors
/// When `back_to` is not held here, or `to` is no later version than the newest.
pub fn rollback(versions: &Versions, back_to: u64, to: u64) -> Result<Coded, UpdateError> {
    let newest = versions.newest().0;
    if to <= newest {
        return Err(UpdateError::NotNewer { to, newest });
    }
    let old = versions.get(back_to).ok_or(UpdateError::UnknownVersion {
        from: back_to,
        newest,
    })?;
    between(versions, (back_to, old), to, old, &Encoding::default())
}

/// From any version to any other.
pub(crate) fn between(
    versions: &Versions,
    (from, old): (u64, &Model),
    to: u64,
    new: &Model,
    how: &Encoding,
) -> Result<Coded, UpdateError> {
    if to <= from {
        return Err(UpdateError::NotNewer { to, newest: from });
    }
    if !(how.share > 0.0 && how.share <= 1.0) {
        return Err(UpdateError::Encoding(how.share));
    }
    same_graph(versions.base(), old)?;
    same_graph(old, new)?;
    let (mut changes, parameters) = changes(versions.base(), old, new, how.precision)?;
    if how.share < 1.0 {
        let most = (parameters as f64 * f64::from(how.share)) as usize;
        keep_largest(&mut changes, most);
    }
    let mut writer = Writer::new(Vec::new());
    let mut values = Values::new();
    let (mut rows, mut decoded) = (Vec::new(), HashMap::new());
    let mut changed = 0;
    for c in &changes {
        let there = values.code(&mut writer, c.coding, &c.base, &c.old, &c.new);
        let pairs = c.old.bits.iter().zip(&there.bits);
        changed += pairs.filter(|(old, new)| old != new).count() as u64;
        rows.push(Row {
            index: c.index,
            elements: there.bits.len() as u64,
            coding: c.coding,
        });
        decoded.insert(c.index, there);
    }
    let model = replace(old, &decoded)?;
    let header = Header {
        base: versions.base_hash(),
        from,
        to,
        from_digest: digest(old)?,
        digest: digest(&model)?,
        tensors: rows.len() as u32,
    };
    Ok(Coded {
        bytes: [header.write(&rows), writer.finish()].concat(),
        header,
        model,
        changed,
        parameters,
    })
}

/// A tensor on its way: the values of each element, and how they are coded.
struct Change {
    index: usize,
    base: Weight,
    old: Weight,
    new: Weight,
    coding: Coding,
}

impl Change {
    /// Whether anything of it would arrive.
    fn shows(&self) -> bool {
        match self.coding {
            Coding::Exact => true,
            Coding::Grid(grid) => {
                let levels = self.base.values().zip(self.old.values());
                let mut pairs = levels.zip(self.new.values());
                pairs.any(|((base, old), new)| grid.level(base, old) != grid.level(base, new))
            }
        }
    }
}

/// The tensors that differ, each with its coding, and the number of weights of the model.
fn changes(
    base: &Model,
    old: &Model,
    new: &Model,
    precision: Precision,
) -> Result<(Vec<Change>, u64), UpdateError> {
    let mut changes = Vec::new();
    let mut parameters = 0;
    let all = initializers(base).iter().zip(initializers(old));
    for (index, ((base, old), new)) in all.zip(initializers(new)).enumerate() {
        let (Some(base), Some(old), Some(new)) = (read(base)?, read(old)?, read(new)?) else {
            continue;
        };
        parameters += new.bits.len() as u64;
        if old.bits == new.bits {
            continue;
        }
        let coding = coding(&base, &old, &new, precision)?;
        let change = Change {
            index,
            base,
            old,
            new,
            coding,
        };
        if change.shows() {
            changes.push(change);
        }
    }
    Ok((changes, parameters))
}

fn coding(
    base: &Weight,
    old: &Weight,
    new: &Weight,
    precision: Precision,
) -> Result<Coding, UpdateError> {
    let (share, size) = match precision {
        Precision::Exact => {
            return Ok(exact_grid(base, old, new).map_or(Coding::Exact, Coding::Grid));
        }
        Precision::OfChange(share) => {
            let changes = old.values().zip(new.values()).map(|(old, new)| new - old);
            (share, root_mean_square(changes))
        }
        Precision::OfSize(share) => match root_mean_square(old.values()) {
            0.0 => (share, root_mean_square(new.values())),
            size => (share, size),
        },
    };
    if !(share > 0.0 && share <= 1.0) {
        return Err(UpdateError::Encoding(share));
    }
    let finite = |w: &Weight| w.values().all(f64::is_finite);
    if !(finite(base) && finite(old) && finite(new)) {
        return Ok(Coding::Exact);
    }
    Ok(Coding::Grid(Grid::at_most(size * f64::from(share))))
}

/// The coarsest grid on which all values lie, as those of an update do that was coded on one.
fn exact_grid(base: &Weight, old: &Weight, new: &Weight) -> Option<Grid> {
    let distances = base.values().zip(new.values()).map(|(b, n)| (n - b).abs());
    let furthest = distances.fold(f64::MIN_POSITIVE, f64::max);
    let coarsest = i16::from(Grid::at_most(furthest).exponent);
    (coarsest - GRIDS_TRIED..=coarsest)
        .rev()
        .filter_map(|e| i8::try_from(e).ok())
        .map(|exponent| Grid { exponent })
        .find(|grid| reproduces(*grid, base, old, new))
}

fn root_mean_square(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), v| (sum + v * v, count + 1.0));
    (sum / f64::max(count, 1.0)).sqrt()
}

/// Takes all changes back but the `most` largest ones, in proportion to the size of their tensor.
fn keep_largest(changes: &mut [Change], most: usize) {
    let mut sizes = Vec::new();
    for c in changes.iter() {
        let unit = root_mean_square(c.old.values()).max(f64::MIN_POSITIVE);
        let pairs = c.old.values().zip(c.new.values());
        sizes.extend(pairs.map(|(old, new)| size((new - old) / unit)));
    }
    if most >= sizes.len() {
        return;
    }
    let mut sorted = sizes.clone();
    let (_, least, _) = sorted.select_nth_unstable_by(most, |a, b| b.total_cmp(a));
    let least = *least;
    let mut sizes = sizes.into_iter();
    for c in changes {
        for ((old, new), size) in c.old.bits.iter().zip(&mut c.new.bits).zip(&mut sizes) {
            if size <= least {
                *new = *old;
            }
        }
    }
}

/// What is no number counts as the largest change.
fn size(change: f64) -> f32 {
    match change.is_nan() {
        true => f32::INFINITY,
        false => change.abs() as f32,
    }
}
