// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! M: where the points of one object were on the last T frames.

use crate::observation::Observation;
use nalgebra::DMatrix;

/// The last T frames of one object, the oldest first; `None` where the object was not found.
///
/// A point that is missing on a frame is missing in M: what stands in its place is drawn between the frames before and
/// after on which it was seen (at either end, held), which adds no motion of its own. A point that is missing on more
/// than half of the frames is left out.
#[derive(Clone, Debug)]
pub struct Motion {
    /// T × 2J': x and y of each point that is there, side by side, in pixels.
    m: DMatrix<f64>,
    /// Of each point that is there: its mean confidence, missing ones counting 0.
    weights: Vec<f64>,
    /// Median longer side of the object's box in pixels.
    size: f64,
}

impl Motion {
    /// `None` where there is too little to judge: an object seen on half of the frames or less, or no point that is
    /// there.
    pub fn of(rows: &[Option<Observation>]) -> Option<Self> {
        let seen: Vec<&Observation> = rows.iter().flatten().collect();
        if seen.len() * 2 <= rows.len() {
            return None;
        }
        let points = seen.iter().map(|o| o.points.len()).max()?;
        let mut columns = Vec::new();
        let mut weights = Vec::new();
        for point in 0..points {
            if let Some(confidence) = column(rows, point, &mut columns) {
                weights.push(confidence);
            }
        }
        let size = median(seen.iter().map(|o| o.size));
        if weights.is_empty() || !(size > 0.0 && size.is_finite()) {
            return None;
        }
        Some(Self {
            m: DMatrix::from_vec(rows.len(), 2 * weights.len(), columns),
            weights,
            size,
        })
    }

    /// T × 2J', pixels.
    pub fn matrix(&self) -> &DMatrix<f64> {
        &self.m
    }

    /// Mean confidence of each point of the matrix.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Pixels.
    pub fn size(&self) -> f64 {
        self.size
    }

    /// Each column less its mean.
    pub fn centred(&self) -> DMatrix<f64> {
        let mut m = self.m.clone();
        for mut column in m.column_iter_mut() {
            let mean = column.mean();
            column.add_scalar_mut(-mean);
        }
        m
    }
}

/// Appends the x and the y of one point over all frames, and gives its mean confidence; `None` and nothing appended where
/// it is missing on more than half of them.
fn column(rows: &[Option<Observation>], point: usize, columns: &mut Vec<f64>) -> Option<f64> {
    let at = |row: &Option<Observation>| {
        let point = *row.as_ref()?.points.get(point)?;
        (!point.is_missing()).then_some(point)
    };
    let seen = rows.iter().filter_map(at);
    let (count, confidence) = seen.fold((0, 0.0), |(n, sum), p| (n + 1, sum + p.confidence));
    if count * 2 < rows.len().max(1) {
        return None;
    }
    for coordinate in [|p: crate::Point| p.x, |p: crate::Point| p.y] {
        let start = columns.len();
        columns.extend(rows.iter().map(|r| at(r).map_or(f64::NAN, coordinate)));
        fill(&mut columns[start..]);
    }
    Some(confidence / rows.len() as f64)
}

/// Puts numbers in place of those that are none: on the line between their neighbours.
fn fill(values: &mut [f64]) {
    let mut last: Option<usize> = None;
    for i in 0..=values.len() {
        if i < values.len() && values[i].is_nan() {
            continue;
        }
        let first = last.map_or(0, |l| l + 1);
        match (last, values.get(i).copied()) {
            (None, Some(next)) => values[first..i].fill(next),
            (Some(l), None) => {
                let held = values[l];
                values[first..].fill(held);
            }
            (Some(l), Some(next)) => {
                let before = values[l];
                let step = (next - before) / (i - l) as f64;
                for (missing, place) in values[first..i].iter_mut().zip(1u32..) {
                    *missing = before + step * f64::from(place);
                }
            }
            (None, None) => {}
        }
        last = Some(i);
    }
}

/// The middle one, of two the larger; not a number without any.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(x: f64) -> Option<Observation> {
        Some(Observation::new(
            [x, 0.0, 10.0, 20.0],
            0.5,
            &[[x, 2.0, 0.5], [x + 1.0, 5.0, 1.0]],
            None,
        ))
    }

    fn first_column(rows: &[Option<Observation>]) -> Vec<f64> {
        let motion = Motion::of(rows).unwrap();
        motion.matrix().column(0).iter().copied().collect()
    }

    #[test]
    fn what_is_missing_lies_between_its_neighbours() {
        let mut rows: Vec<_> = [1.0, 2.0, 0.0, 0.0, 8.0, 9.0, 10.0].map(row).into();
        rows[2] = None;
        if let Some(o) = &mut rows[3] {
            o.points[0].confidence = 0.0;
        }
        assert_eq!(first_column(&rows), [1.0, 2.0, 4.0, 6.0, 8.0, 9.0, 10.0]);
        let mut rows: Vec<_> = [1.0, 2.0, 3.0, 4.0, 5.0].map(row).into();
        rows[0] = None;
        rows[4] = None;
        assert_eq!(first_column(&rows), [2.0, 2.0, 3.0, 4.0, 4.0]);
    }

    #[test]
    fn a_point_that_is_mostly_missing_is_left_out_and_an_object_that_is_cannot_be_judged() {
        let mut rows: Vec<_> = [1.0, 2.0, 3.0, 4.0].map(row).into();
        for o in rows[1..].iter_mut().flatten() {
            o.points[0].x = f64::NAN;
        }
        let motion = Motion::of(&rows).unwrap();
        assert_eq!((motion.matrix().ncols(), motion.weights()), (2, &[1.0][..]));
        rows[0] = None;
        rows[1] = None;
        assert!(Motion::of(&rows).is_none());
        assert!(Motion::of(&[]).is_none());
    }
}
