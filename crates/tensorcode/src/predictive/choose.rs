// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How each block is predicted: what disturbs least for the bits it takes (a Lagrangian, as in video coding; Sullivan and
//! Wiegand, IEEE Signal Processing Magazine 15.6, 1998). Bits are estimated, not counted.

use super::motion::Search;
use super::plane::{BLOCK, Mode, Motion, Plane, Rect};
use super::predict::{Values, each, moved};
use super::transform::forward;
use super::wanted::{DEAD, Wanted, bits_of, round, whole};

/// Fresh values are never as near to the wanted ones as they would be by chance, because each leans on those before it.
const FRESH_ERROR: f32 = 0.15;
/// Bits of a motion that neither neighbour has.
const MOTION_BITS: f32 = 9.0;
/// One channel in so many is looked at for what a fresh block costs: it is chosen where all has changed.
const FRESH_SAMPLE: usize = 4;

/// What a way of coding costs, summed over the channels: for each pixel, then for each block.
struct Costs {
    skip: Vec<f32>,
    difference: Vec<f32>,
    fresh: Vec<f32>,
}

/// How the blocks of a tensor are told, remembered from frame to frame.
#[derive(Default)]
pub(super) struct Manner {
    pub modes: Vec<Mode>,
    /// Of each channel, whether differences are told by frequency.
    pub transformed: Vec<bool>,
    /// Which channels are looked at in the next frame.
    turn: usize,
    /// Room for the values in whole levels.
    whole: Vec<i16>,
}

/// What suits a channel changes slowly: in each frame one in so many is asked.
const TURNS: usize = 4;

impl Manner {
    /// Without a reference: every block is fresh.
    pub(super) fn start(&mut self, plane: &Plane) {
        self.modes.clear();
        self.modes.resize(plane.blocks(), Mode::Fresh);
        self.transformed.clear();
    }

    /// Chooses for the next frame. The motion of the frame before is where the search begins.
    pub(super) fn choose(&mut self, plane: &Plane, wanted: &Wanted<'_>, reference: &[i16]) {
        self.modes.resize(plane.blocks(), Mode::Fresh);
        self.whole.clear();
        let whole = wanted.values.iter().map(|v| whole(*v) as i16);
        self.whole.extend(whole);
        choose_modes(plane, wanted, &self.whole, reference, &mut self.modes);
        let turns = match self.transformed.len() == plane.channels {
            true => TURNS,
            false => 1,
        };
        self.transformed.resize(plane.channels, false);
        self.turn += 1;
        let channels = self.transformed.iter_mut().enumerate();
        for (channel, transformed) in channels.skip(self.turn % turns).step_by(turns) {
            let base = channel * plane.area();
            *transformed = is_told_by_frequency(plane, wanted, reference, &self.modes, base);
        }
    }
}

/// Whether it costs less for the channel that begins at `base`.
fn is_told_by_frequency(
    plane: &Plane,
    wanted: &Wanted<'_>,
    reference: &[i16],
    modes: &[Mode],
    base: usize,
) -> bool {
    let columns = plane.block_columns();
    let cost = |off: &Values<f32>| -> f32 {
        let mut costs = [0.0; BLOCK * BLOCK];
        for (cost, off) in costs.iter_mut().zip(off) {
            *cost = residual_cost(off.abs(), wanted.lambda);
        }
        costs.iter().sum()
    };
    let mut gain = 0.0;
    for (at, mode) in modes.iter().enumerate() {
        let Mode::Difference(motion) = mode else {
            continue;
        };
        let rect = plane.block(at / columns, at % columns);
        let from = moved(reference, plane, base, rect, *motion);
        let off = wanted.off_from(plane, &from, base, rect);
        gain += cost(&off) - cost(&forward(&off));
    }
    gain > 0.0
}

/// `levels`: the wanted values, rounded.
fn choose_modes(
    plane: &Plane,
    wanted: &Wanted<'_>,
    levels: &[i16],
    reference: &[i16],
    modes: &mut [Mode],
) {
    let lambda = wanted.lambda;
    let costs = Costs::of_pixels(plane, wanted, reference);
    let quantum = (1.0 / wanted.quanta_per_level) as i16;
    let mut search = Search::new(plane, levels, reference, quantum);
    let columns = plane.block_columns();
    for row in 0..plane.block_rows() {
        for column in 0..columns {
            let at = row * columns + column;
            let rect = plane.block(row, column);
            let sum = |pixels: &[f32]| block_sum(plane, pixels, rect);
            let (skip, difference, fresh) =
                (sum(&costs.skip), sum(&costs.difference), sum(&costs.fresh));
            if skip <= difference && skip <= fresh {
                modes[at] = Mode::Skip;
                continue;
            }
            let known = |exists: bool, back: usize| match exists {
                true => modes[at - back].motion(),
                false => Motion::NONE,
            };
            let starts = [
                modes[at].motion(),
                known(column > 0, 1),
                known(row > 0, columns),
            ];
            // Not even the best of predictions saves more than what is above the cost of saying nothing.
            let silence =
                lambda * bits_of(0.0) * (rect.width * rect.height * plane.channels) as f32;
            let motion = match difference - silence > 2.0 * lambda * MOTION_BITS {
                true => search.best(rect, starts),
                false => Motion::NONE,
            };
            let moving = match motion {
                Motion::NONE => difference,
                motion => cost_of_motion(plane, wanted, reference, rect, motion),
            };
            let (motion, least) = match moving < difference {
                true => (motion, moving),
                false => (Motion::NONE, difference),
            };
            modes[at] = match least <= fresh {
                true => Mode::Difference(motion),
                false => Mode::Fresh,
            };
        }
    }
}

impl Costs {
    fn of_pixels(plane: &Plane, wanted: &Wanted<'_>, reference: &[i16]) -> Self {
        let area = plane.area();
        let mut costs = Self {
            skip: vec![0.0; area],
            difference: vec![0.0; area],
            fresh: vec![0.0; area],
        };
        let (mut scaled, mut whole) = (vec![0.0; area], vec![0.0; area]);
        let channels = wanted.values.chunks_exact(area);
        let mut looked_at = 0;
        for (channel, (values, reference)) in channels.zip(reference.chunks_exact(area)).enumerate()
        {
            costs.add_inter(values, reference, wanted);
            if channel % FRESH_SAMPLE == 0 {
                for ((s, w), v) in scaled.iter_mut().zip(&mut whole).zip(values) {
                    *s = v * wanted.quanta_per_level;
                    *w = round(*s);
                }
                costs.add_fresh(plane, &scaled, &whole, wanted.lambda);
                looked_at += 1;
            }
        }
        let all = plane.channels as f32 / looked_at.max(1) as f32;
        costs.fresh.iter_mut().for_each(|cost| *cost *= all);
        costs
    }

    fn add_inter(&mut self, values: &[f32], reference: &[i16], wanted: &Wanted<'_>) {
        let pairs = values.iter().zip(reference);
        for ((skip, difference), (v, r)) in
            self.skip.iter_mut().zip(&mut self.difference).zip(pairs)
        {
            let off = (v - f32::from(*r)).abs() * wanted.quanta_per_level;
            *skip += off * off;
            *difference += residual_cost(off, wanted.lambda);
        }
    }

    /// `whole`: the values rounded, which stand in for the levels around.
    fn add_fresh(&mut self, plane: &Plane, values: &[f32], whole: &[f32], lambda: f32) {
        let width = plane.width;
        for y in 0..plane.height {
            let line = y * width..(y + 1) * width;
            let here = &whole[line.clone()];
            let fresh = &mut self.fresh[line.clone()];
            let values = &values[line.clone()];
            let cost = |whole: f32, value: f32, predicted: f32| {
                let off = value - whole;
                (off * off).max(FRESH_ERROR) + lambda * bits_of((whole - predicted).abs())
            };
            if y == 0 {
                fresh[0] += cost(here[0], values[0], 0.0);
                for x in 1..width {
                    fresh[x] += cost(here[x], values[x], here[x - 1]);
                }
                continue;
            }
            let above = &whole[line.start - width..line.start];
            fresh[0] += cost(here[0], values[0], above[0]);
            for x in 1..width {
                let (west, north) = (here[x - 1], above[x]);
                let slope = west + north - above[x - 1];
                let predicted = slope.max(west.min(north)).min(west.max(north));
                fresh[x] += cost(here[x], values[x], predicted);
            }
        }
    }
}

/// Error and bits of a value that is `off` from its prediction.
#[inline(always)]
fn residual_cost(off: f32, lambda: f32) -> f32 {
    let magnitude = round((off - DEAD).max(0.0));
    let rest = off - magnitude;
    rest * rest + lambda * bits_of(magnitude)
}

fn block_sum(plane: &Plane, pixels: &[f32], rect: Rect) -> f32 {
    let lines = (rect.y..rect.y + rect.height).map(|y| y * plane.width + rect.x);
    lines
        .map(|start| pixels[start..start + rect.width].iter().sum::<f32>())
        .sum()
}

/// What it costs to tell by how much a block is off from where the motion points at, over all channels.
fn cost_of_motion(
    plane: &Plane,
    wanted: &Wanted<'_>,
    reference: &[i16],
    rect: Rect,
    motion: Motion,
) -> f32 {
    // Places beyond the edge of the picture cost what a zero costs.
    let outside = BLOCK * BLOCK - rect.width * rect.height;
    let outside = outside as f32 * residual_cost(0.0, wanted.lambda);
    let channels = (0..plane.channels).map(|channel| {
        let base = channel * plane.area();
        let from = moved(reference, plane, base, rect, motion);
        let off = wanted.off_from(plane, &from, base, rect);
        each(&off, |off| residual_cost(off.abs(), wanted.lambda))
            .iter()
            .sum::<f32>()
            - outside
    });
    wanted.lambda * MOTION_BITS + channels.sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANE: Plane = Plane {
        channels: 8,
        height: 16,
        width: 16,
    };

    /// A bright square in every channel, its corner at (x, y).
    fn square(x: usize, y: usize) -> Vec<f32> {
        let pixel = |i: usize| {
            let (px, py) = (i % 16, i / 16 % 16);
            let inside = (x..x + 5).contains(&px) && (y..y + 5).contains(&py);
            if inside {
                10.0 + (px - x) as f32 + 2.0 * (py - y) as f32
            } else {
                0.0
            }
        };
        (0..PLANE.len()).map(pixel).collect()
    }

    fn levels(values: &[f32]) -> Vec<i16> {
        values.iter().map(|v| *v as i16).collect()
    }

    fn chosen(values: &[f32], reference: &[i16]) -> Vec<Mode> {
        let mut manner = Manner::default();
        let wanted = Wanted {
            values,
            quanta_per_level: 1.0,
            lambda: 0.15,
        };
        manner.choose(&PLANE, &wanted, reference);
        manner.modes
    }

    #[test]
    fn what_stayed_is_skipped_in_spite_of_noise() {
        let noise = |i: usize| ((i * 7919) % 100) as f32 / 250.0 - 0.2;
        let noisy: Vec<f32> = square(4, 4)
            .iter()
            .enumerate()
            .map(|(i, v)| v + noise(i))
            .collect();
        assert!(
            chosen(&noisy, &levels(&square(4, 4)))
                .iter()
                .all(|m| *m == Mode::Skip)
        );
    }

    #[test]
    fn what_moved_is_followed() {
        let modes = chosen(&square(6, 5), &levels(&square(4, 4)));
        let moved = Mode::Difference(Motion { dx: -2, dy: -1 });
        assert_eq!(modes[5], moved, "{modes:?}");
        assert_eq!(modes[0], Mode::Skip);
        assert_eq!(modes[15], Mode::Skip);
    }

    #[test]
    fn what_is_new_and_smooth_is_fresh() {
        let ramp: Vec<f32> = (0..PLANE.len()).map(|i| 30.0 + (i % 16) as f32).collect();
        let other: Vec<i16> = (0..PLANE.len()).map(|i| ((i * 7919) % 61) as i16).collect();
        assert!(chosen(&ramp, &other).iter().all(|m| *m == Mode::Fresh));
    }
}
