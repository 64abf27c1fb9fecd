// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Scores of M: the higher, the worse the prediction seems.

use crate::motion::Motion;
use crate::spectrum::{Spectrum, tail_and_energy, tail_and_energy_above};

/// ‖M − M̂‖F / ‖M‖F with M̂ the best approximation of M of rank `rank`, just as published: M. Boldo, N. Bombieri et al.,
/// IEEE Transactions on CAD 43.11, 2024. Of raw pixels, so it depends on where in the picture the object stands; it
/// does not change with the picture's scale.
pub fn relative_error(motion: &Motion, rank: usize) -> f64 {
    let (tail, energy) = tail_and_energy(motion.matrix(), rank);
    match energy > 0.0 {
        true => (tail / energy).sqrt(),
        false => 0.0,
    }
}

/// The least k with Σσ₁..k ≥ `share` · Σσ, of M less its columns' means: how many patterns of motion there are. Changes
/// neither with the picture's scale nor with where the object stands; 0 for an object that does not move.
pub fn effective_rank(motion: &Motion, share: f64) -> usize {
    let sigmas: Vec<f64> = Spectrum::exact(&motion.centred())
        .squares()
        .iter()
        .map(|s| s.sqrt())
        .collect();
    let total: f64 = sigmas.iter().sum();
    // What is left of a constant by rounding is no motion.
    if total <= 1e-9 * motion.size() {
        return 0;
    }
    let mut sum = 0.0;
    let enough = |s: &f64| {
        sum += s;
        sum >= share * total
    };
    sigmas
        .iter()
        .position(enough)
        .map_or(sigmas.len(), |i| i + 1)
}

/// What rank `rank` leaves unexplained of the motion, root mean square over the points in units of the object's size:
/// of M less its columns' means, each point weighted with its mean confidence. Changes neither with the picture's scale
/// nor with where the object stands.
pub fn scaled_residual(motion: &Motion, rank: usize) -> f64 {
    scaled_residual_above(motion, rank, 0.0)
}

/// The same where it does not matter what exactly a residual is that lies below `floor`, which takes half the time.
pub(crate) fn scaled_residual_above(motion: &Motion, rank: usize, floor: f64) -> f64 {
    let mut m = motion.centred();
    for (j, weight) in motion.weights().iter().enumerate() {
        // A weight for the whole column keeps the rank of what it weighs.
        m.columns_mut(2 * j, 2).scale_mut(weight.sqrt());
    }
    let weights: f64 = motion.weights().iter().sum::<f64>() * m.nrows() as f64;
    let floor = (floor * motion.size()).powi(2) * weights;
    let (tail, _) = tail_and_energy_above(&m, rank, floor);
    (tail / weights).sqrt() / motion.size()
}

/// The least rank that leaves at most `share` of the energy of the motion (of M less its columns' means) unexplained.
pub fn rank_of(motion: &Motion, share: f64) -> usize {
    let spectrum = Spectrum::exact(&motion.centred());
    let energy = spectrum.energy();
    (0..spectrum.squares().len())
        .find(|r| spectrum.tail(*r) <= share * energy)
        .unwrap_or(spectrum.squares().len())
}
