// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A band: some rows of blocks of a tensor, through all channels, coded without looking at any other band. So a band is
//! of use although others are lost, and bands can be decoded at the same time.
//!
//! First come the modes of all its blocks, then, channel by channel, the residuals of the blocks that have any.

use std::ops::Range;

use super::contexts::{Contexts, Kind};
use super::plane::{BLOCK, Mode, Motion, Plane, Rect};
use super::predict::{Surroundings, Values, each, moved};
use super::rans::{Coder, Reader, Writer};
use super::seen::{At, Seen, WINDOW, Window, magnitude};
use super::transform::inverse;
use super::wanted::{Fresh, Wanted, level};

/// What a band is coded against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    pub plane: Plane,
    /// Levels of the whole tensor that the receiver has. Without them every block is [`Mode::Fresh`].
    pub reference: Option<&'a [i16]>,
    /// Of each channel, whether differences to the reference are told by frequency.
    pub transformed: &'a [bool],
    /// Levels in a residual of 1.
    pub quantum: i32,
}

/// A band as a reader has it.
pub(super) struct Band {
    rows: Range<usize>,
    /// Channel by channel, the rows of the band.
    levels: Vec<i16>,
    /// Of its blocks.
    modes: Vec<Mode>,
}

impl Band {
    /// Puts its levels and motions into those of the whole tensor.
    pub(super) fn put_into(&self, plane: &Plane, whole: &mut [i16], motions: &mut [Motion]) {
        let first = self.rows.start * plane.block_columns();
        for (motion, mode) in motions[first..].iter_mut().zip(&self.modes) {
            *motion = mode.motion();
        }
        let lines = plane.lines(&self.rows);
        let channels = whole.chunks_exact_mut(plane.area());
        let bands = self.levels.chunks_exact(lines.len());
        for (channel, band) in channels.zip(bands) {
            channel[lines.clone()].copy_from_slice(band);
        }
    }
}

impl Setting<'_> {
    /// The levels before any band is coded: those of the reference, which is what skipped and lost blocks keep.
    pub(super) fn levels(&self) -> Vec<i16> {
        self.levels_of(&(0..self.plane.block_rows()))
    }

    fn levels_of(&self, rows: &Range<usize>) -> Vec<i16> {
        let lines = self.plane.lines(rows);
        let Some(reference) = self.reference else {
            return vec![0; lines.len() * self.plane.channels];
        };
        if lines.len() == self.plane.area() {
            return reference.to_vec();
        }
        let channels = reference.chunks_exact(self.plane.area());
        let mut levels = Vec::with_capacity(lines.len() * self.plane.channels);
        channels.for_each(|channel| levels.extend_from_slice(&channel[lines.clone()]));
        levels
    }

    /// Writes some rows of blocks. `modes`: of the whole tensor.
    pub(super) fn write(
        &self,
        writer: &mut Writer,
        contexts: &mut Contexts,
        rows: Range<usize>,
        modes: &[Mode],
        wanted: Wanted<'_>,
    ) -> Band {
        let columns = self.plane.block_columns();
        let modes = modes[rows.start * columns..rows.end * columns].to_vec();
        self.code(writer, contexts, rows, modes, Some(wanted))
    }

    /// Reads some rows of blocks.
    pub(super) fn read(
        &self,
        reader: &mut Reader<'_>,
        contexts: &mut Contexts,
        rows: Range<usize>,
    ) -> Band {
        let modes = vec![Mode::Fresh; rows.len() * self.plane.block_columns()];
        self.code(reader, contexts, rows, modes, None)
    }

    /// Writes (with `wanted`) or reads. A writer finds its modes in `modes`.
    fn code<C: Coder>(
        &self,
        coder: &mut C,
        contexts: &mut Contexts,
        rows: Range<usize>,
        mut modes: Vec<Mode>,
        wanted: Option<Wanted<'_>>,
    ) -> Band {
        if self.reference.is_some() {
            self.modes(coder, contexts, &mut modes);
        }
        let mut levels = self.levels_of(&rows);
        let top = rows.start * BLOCK;
        let height = (rows.end * BLOCK).min(self.plane.height) - top;
        let mut walk = Walk {
            coder,
            contexts,
            setting: self,
            wanted,
            levels: &mut levels,
            inner: Plane {
                height,
                ..self.plane
            },
            top,
            seen: Seen::new(&self.plane, &rows),
        };
        for channel in 0..self.plane.channels {
            walk.channel(channel, &modes);
        }
        Band {
            rows,
            levels,
            modes,
        }
    }

    /// `modes`: of the band.
    fn modes<C: Coder>(&self, coder: &mut C, contexts: &mut Contexts, modes: &mut [Mode]) {
        let columns = self.plane.block_columns();
        for at in 0..modes.len() {
            let west = match at % columns {
                0 => Mode::Skip,
                _ => modes[at - 1],
            };
            let north = match at < columns {
                true => west,
                false => modes[at - columns],
            };
            modes[at] = contexts.mode(coder, modes[at], west, north);
        }
    }
}

struct Walk<'a, C> {
    coder: &'a mut C,
    contexts: &'a mut Contexts,
    setting: &'a Setting<'a>,
    wanted: Option<Wanted<'a>>,
    /// Of the band, whose own plane is `inner` and begins at row `top` of the tensor's.
    levels: &'a mut [i16],
    inner: Plane,
    top: usize,
    seen: Seen,
}

/// A block of one channel.
#[derive(Clone, Copy)]
struct Block {
    /// Where the channel begins in the tensor.
    base: usize,
    rect: Rect,
    /// The same within the band.
    inner_base: usize,
    inner: Rect,
    at: At,
}

impl<C: Coder> Walk<'_, C> {
    fn channel(&mut self, channel: usize, modes: &[Mode]) {
        let Setting {
            plane, reference, ..
        } = *self.setting;
        let base = channel * plane.area();
        let transformed = self.setting.transformed[channel];
        self.contexts.start_channel();
        self.seen.start_channel();
        let inner_base = channel * self.inner.area();
        let columns = plane.block_columns();
        for row in 0..self.inner.block_rows() {
            for column in 0..columns {
                let inner = self.inner.block(row, column);
                let rect = Rect {
                    y: self.top + inner.y,
                    ..inner
                };
                let at = self.seen.at(row, column);
                let block = Block {
                    base,
                    rect,
                    inner_base,
                    inner,
                    at,
                };
                match (modes[row * columns + column], reference) {
                    (Mode::Skip, Some(_)) => self.seen.skip(at),
                    (Mode::Difference(motion), Some(reference)) => {
                        let from = moved(reference, &plane, base, rect, motion);
                        match transformed {
                            true => self.transform(&from, block),
                            false => self.difference(&from, block),
                        }
                    }
                    _ => self.fresh(block),
                }
            }
        }
    }

    fn coded(&mut self, said: bool, kind: Kind, at: At) -> bool {
        let (neighbours, busy) = (self.seen.neighbours(at), self.seen.busy_block(at));
        self.contexts
            .coded(self.coder, said, kind, neighbours, busy)
    }

    /// A block as it was in the reference, and by how much each level is off.
    fn difference(&mut self, from: &Values<i16>, block: Block) {
        let said = self
            .wanted
            .and_then(|w| w.difference(&self.setting.plane, from, block.base, block.rect));
        if !self.coded(said.is_some(), Kind::Difference, block.at) {
            return self.as_it_was(from, block);
        }
        let quantum = self.setting.quantum;
        let hints = each(from, |level| hint(level.into(), quantum) as u8);
        let (said, place) = (said.unwrap_or_default(), self.place(block));
        let (coder, contexts) = (&mut *self.coder, &mut *self.contexts);
        let residuals = pixels(coder, contexts, Kind::Difference, &said, &hints, place);
        self.seen.add(block.at, &residuals);
        let level = |k: usize| level(from[k].into(), residuals[k] * quantum);
        self.put(block, &std::array::from_fn(level));
    }

    /// The same by frequency.
    fn transform(&mut self, from: &Values<i16>, block: Block) {
        let said = self
            .wanted
            .and_then(|w| w.transform(&self.setting.plane, from, block.base, block.rect));
        if !self.coded(said.is_some(), Kind::Transform, block.at) {
            return self.as_it_was(from, block);
        }
        let residuals = coefficients(
            self.coder,
            self.contexts,
            &said.unwrap_or_default(),
            &self.seen.alike(block.at),
            &self.seen.busy(block.at),
        );
        self.seen.add(block.at, &residuals);
        let off = inverse(&each(&residuals, |r| r * self.setting.quantum));
        let level = |k: usize| level(from[k].into(), off[k]);
        self.put(block, &std::array::from_fn(level));
    }

    fn as_it_was(&mut self, from: &Values<i16>, block: Block) {
        self.seen.add_none(block.at);
        self.put(block, from);
    }

    /// A block from what is around it, pixel by pixel.
    fn fresh(&mut self, block: Block) {
        let quantum = self.setting.quantum;
        let around = Surroundings::new(self.levels, &self.inner, block.inner_base, block.inner);
        let said = self.wanted.and_then(|w| {
            w.fresh(
                &self.setting.plane,
                &around,
                block.base,
                block.rect,
                quantum,
            )
        });
        if !self.coded(said.is_some(), Kind::Fresh, block.at) {
            self.seen.add_none(block.at);
            return self.put(block, &around.filled());
        }
        let place = self.place(block);
        let (coder, contexts) = (&mut *self.coder, &mut *self.contexts);
        let (residuals, levels) = match said {
            // A writer knows all levels before, and so all that the symbols depend on.
            Some(Fresh { residuals, levels }) => {
                let of = |k: usize| i32::from(levels[k]) - residuals[k] * quantum;
                let hints = std::array::from_fn(|k| hint(of(k), quantum) as u8);
                pixels(coder, contexts, Kind::Fresh, &residuals, &hints, place);
                (residuals, levels)
            }
            None => read_fresh(coder, contexts, around, place, quantum),
        };
        self.seen.add(block.at, &residuals);
        self.put(block, &levels);
    }

    fn place(&self, block: Block) -> Place {
        Place {
            window: self.seen.window(block.at),
            busy: self.seen.busy(block.at),
            rect: block.rect,
        }
    }

    /// Sets the block's levels.
    #[inline]
    fn put(&mut self, block: Block, levels: &Values<i16>) {
        let channel = &mut self.levels[block.inner_base..];
        block.inner.put(levels, channel, self.inner.width);
    }
}

// What follows takes apart what `Walk` holds together, so that the coder's state may stay in registers.

/// What the symbols of a block's pixels depend on, besides their hints and each other.
struct Place {
    window: Window,
    busy: Values<u8>,
    /// The pixels that there are.
    rect: Rect,
}

/// Reads or writes residuals, pixel by pixel, whose hints are known.
#[inline]
fn pixels<C: Coder>(
    coder: &mut C,
    contexts: &mut Contexts,
    kind: Kind,
    said: &Values<i32>,
    hints: &Values<u8>,
    mut place: Place,
) -> Values<i32> {
    let mut residuals = [0; BLOCK * BLOCK];
    for j in 0..BLOCK {
        for i in 0..BLOCK {
            if place.has(i, j) {
                let k = j * BLOCK + i;
                let hint = usize::from(hints[k]);
                let activity = place.activity(i, j);
                let residual = contexts.residual(coder, said[k], kind, hint, activity);
                residuals[k] = residual;
                place.set(i, j, residual);
            }
        }
    }
    residuals
}

/// Reads or writes differences to the reference, by frequency.
fn coefficients<C: Coder>(
    coder: &mut C,
    contexts: &mut Contexts,
    said: &Values<i32>,
    alike: &Values<u8>,
    busy: &Values<u8>,
) -> Values<i32> {
    let mut residuals = [0; BLOCK * BLOCK];
    let mut near = [0u8; BLOCK * BLOCK];
    for j in 0..BLOCK {
        for i in 0..BLOCK {
            let k = j * BLOCK + i;
            let activity =
                lower_frequencies(&near, i, j) + u32::from(alike[k]) + u32::from(busy[k]) / 2;
            let hint = (i + j).min(3);
            let residual = contexts.residual(coder, said[k], Kind::Transform, hint, activity);
            residuals[k] = residual;
            near[k] = magnitude(residual);
        }
    }
    residuals
}

/// Reads what is to be added to what the levels around foretell, and makes the levels: each may foretell the next.
fn read_fresh<C: Coder>(
    coder: &mut C,
    contexts: &mut Contexts,
    mut around: Surroundings,
    mut place: Place,
    quantum: i32,
) -> (Values<i32>, Values<i16>) {
    let mut residuals = [0; BLOCK * BLOCK];
    for j in 0..BLOCK {
        for i in 0..BLOCK {
            if place.has(i, j) {
                let predicted = around.median(i, j);
                let hint = hint(predicted, quantum);
                let activity = place.activity(i, j);
                let residual = contexts.residual(coder, 0, Kind::Fresh, hint, activity);
                residuals[j * BLOCK + i] = residual;
                place.set(i, j, residual);
                around.set(i, j, level(predicted, residual * quantum));
            }
        }
    }
    (residuals, around.block())
}

impl Place {
    #[inline(always)]
    fn has(&self, i: usize, j: usize) -> bool {
        i < self.rect.width && j < self.rect.height
    }

    /// How large the residual of a pixel may be. What is not known yet is 0.
    #[inline(always)]
    fn activity(&self, i: usize, j: usize) -> u32 {
        let at = |k: usize| u32::from(self.window[k]);
        let above = j * WINDOW + i;
        let around = 2 * (at(above + WINDOW) + at(above + 1)) + at(above) + at(above + 2);
        around + u32::from(self.busy[j * BLOCK + i]) / 2
    }

    #[inline(always)]
    fn set(&mut self, i: usize, j: usize, residual: i32) {
        self.window[(j + 1) * WINDOW + i + 1] = magnitude(residual);
    }
}

/// How large a prediction is: 0, about one quantum, more.
#[inline(always)]
fn hint(predicted: i32, quantum: i32) -> usize {
    let twice = 2 * predicted.abs();
    usize::from(twice >= quantum) + usize::from(twice >= 3 * quantum)
}

/// How large a coefficient may be, by those before it of the same block.
#[inline(always)]
fn lower_frequencies(near: &Values<u8>, i: usize, j: usize) -> u32 {
    let at = |k: usize| u32::from(near[k]);
    let k = j * BLOCK + i;
    2 * match (i > 0, j > 0) {
        (true, true) => at(k - 1) + at(k - BLOCK),
        (true, false) => 2 * at(k - 1),
        (false, true) => 2 * at(k - BLOCK),
        (false, false) => 0,
    }
}
