// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the gate's arithmetic costs, and how exact it is.

use std::hint::black_box;
use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use splitinfer_quality::{
    Evidence, Motion, Observation, probability_wrong, relative_error, tail_and_energy,
};

use super::lapack::Lapack;
use super::windows::RANK;

/// Rows T and points J.
pub const SIZES: [[usize; 2]; 4] = [[20, 2], [20, 17], [64, 2], [64, 17]];

/// Of each window the least time of so many, so that what else the machine does in between does not count.
const REPEATS: usize = 3;

/// Median and 99th percentile over windows in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub p50: f64,
    pub p99: f64,
}

/// One size.
pub struct Cost {
    pub size: [usize; 2],
    /// From the observations to the published score.
    pub published: Times,
    /// From the observations to the probability of being wrong.
    pub combined: Times,
    /// The tail's energy alone: by this crate, and by LAPACK.
    pub tail: Times,
    pub lapack: Option<Times>,
    /// Largest relative difference of the published score from LAPACK's.
    pub error: Option<f64>,
}

/// Motions of two patterns around where the points are, rank 3 in all, with noise from a hundredth of a pixel to ten pixels.
fn observations(random: &mut ChaCha8Rng, [rows, points]: [usize; 2]) -> Vec<Option<Observation>> {
    let noise = 10f64.powf(random.random_range(-2.0..1.0));
    let places: Vec<[f64; 2]> = (0..points)
        .map(|_| {
            [
                random.random_range(0.0..600.0),
                random.random_range(0.0..300.0),
            ]
        })
        .collect();
    let patterns: Vec<[f64; 4]> = (0..points)
        .map(|_| std::array::from_fn(|_| random.random_range(-20.0..20.0)))
        .collect();
    (0..rows)
        .map(|_| {
            let phase: [f64; 2] = std::array::from_fn(|_| random.random_range(-1.0..1.0));
            let keypoints: Vec<[f64; 3]> = places
                .iter()
                .zip(&patterns)
                .map(|(place, pattern)| {
                    let mut at = |axis: usize| {
                        let moved: f64 = (0..2).map(|k| phase[k] * pattern[2 * k + axis]).sum();
                        place[axis] + moved + noise * random.random_range(-1.0..1.0)
                    };
                    [at(0), at(1), 0.8]
                })
                .collect();
            let bbox = [100.0, 50.0, 100.0, 200.0];
            Some(Observation::new(bbox, 0.8, &keypoints, Some(0.9)))
        })
        .collect()
}

pub fn measure(size: [usize; 2], count: usize, lapack: Option<&Lapack>) -> Cost {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let windows: Vec<_> = (0..count)
        .map(|_| observations(&mut random, size))
        .collect();
    let motions: Vec<Motion> = windows.iter().filter_map(|w| Motion::of(w)).collect();
    let matrices = || motions.iter().map(Motion::matrix);
    let of_lapack = lapack.map(|l| timed(matrices(), |m| l.tail_and_energy(m, RANK)));
    let (tail, tails) = timed(matrices(), |m| tail_and_energy(m, RANK));
    Cost {
        size,
        published: timed(windows.iter(), |w| {
            Motion::of(w).map(|m| relative_error(&m, RANK))
        })
        .0,
        combined: timed(windows.iter(), |w| {
            Evidence::of(w).map(|e| probability_wrong(&e))
        })
        .0,
        tail,
        error: of_lapack.as_ref().map(|(_, theirs)| worst(&tails, theirs)),
        lapack: of_lapack.map(|(t, _)| t),
    }
}

/// Largest relative difference of the scores.
fn worst(tails: &[(f64, f64)], expected: &[(f64, f64)]) -> f64 {
    let score = |(tail, energy): &(f64, f64)| (tail / energy).sqrt();
    tails
        .iter()
        .zip(expected)
        .map(|(tail, expected)| (score(tail) - score(expected)).abs() / score(expected))
        .fold(0.0, f64::max)
}

fn timed<T: Copy, R>(
    inputs: impl Iterator<Item = T> + Clone,
    f: impl Fn(T) -> R,
) -> (Times, Vec<R>) {
    inputs.clone().take(50).for_each(|i| {
        black_box(f(i));
    });
    let (mut times, results): (Vec<f64>, Vec<R>) = inputs
        .map(|i| {
            let once = || {
                let begun = Instant::now();
                let result = black_box(f(black_box(i)));
                (begun.elapsed().as_secs_f64() * 1e6, result)
            };
            let (first, result) = once();
            let least = (1..REPEATS).map(|_| once().0).fold(first, f64::min);
            (least, result)
        })
        .unzip();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let times = Times {
        p50: at(0.5),
        p99: at(0.99),
    };
    (times, results)
}
