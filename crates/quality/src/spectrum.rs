// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Singular values, as many as a score needs and as exact as it needs them.

use nalgebra::{DMatrix, DVector, SVD};

/// Below this share of the energy a tail is taken from the singular values themselves.
///
/// The eigenvalues of the Gram matrix are exact to some 10⁻¹⁶ of the largest one, so that a tail of this share is exact to
/// some 10⁻¹⁰ in its square root: the Gram matrix squares the condition number.
const WELL_CONDITIONED: f64 = 2e-6;

/// Squared singular values, the largest first.
#[derive(Clone, Debug)]
pub struct Spectrum(Vec<f64>);

impl Spectrum {
    /// All squared singular values, from those of the matrix itself.
    pub fn exact(m: &DMatrix<f64>) -> Self {
        Self::sorted(squared_singular_values(m))
    }

    fn sorted(values: DVector<f64>) -> Self {
        let mut values: Vec<f64> = values.iter().map(|v| v.max(0.0)).collect();
        values.sort_by(|a, b| b.total_cmp(a));
        Self(values)
    }

    pub fn squares(&self) -> &[f64] {
        &self.0
    }

    /// Σ σ², which is ‖M‖²F.
    pub fn energy(&self) -> f64 {
        self.0.iter().sum()
    }

    /// Σ σ²ₖ over k > `rank`, which is ‖M − M̂‖²F for the best M̂ of that rank (Eckart and Young, *Psychometrika* 1,
    /// 1936). Summed from the smallest on, so that none is lost.
    pub fn tail(&self, rank: usize) -> f64 {
        self.0.iter().skip(rank).rev().sum()
    }
}

fn squared_singular_values(m: &DMatrix<f64>) -> DVector<f64> {
    // Without vectors; the iteration is that of LAPACK's dbdsqr and ends for every finite matrix.
    SVD::new_unordered(m.clone(), false, false)
        .singular_values
        .map(|s| s * s)
}

/// ‖M − M̂‖²F and ‖M‖²F for the best M̂ of rank `rank`. The matrix must be finite.
///
/// From the singular values themselves: those of a window are had about as fast as the eigenvalues of its Gram matrix, which
/// are exact only where the tail is not too small a share.
pub fn tail_and_energy(m: &DMatrix<f64>, rank: usize) -> (f64, f64) {
    if rank >= m.nrows().min(m.ncols()) {
        return (0.0, m.norm_squared());
    }
    let spectrum = Spectrum::exact(m);
    (spectrum.tail(rank), spectrum.energy())
}

/// The same where it does not matter what exactly a tail is that lies below `floor`.
pub(crate) fn tail_and_energy_above(m: &DMatrix<f64>, rank: usize, floor: f64) -> (f64, f64) {
    let gram = gram(m);
    let energy = gram.trace();
    if rank < m.nrows().min(m.ncols()) && floor > ROUNDING * energy {
        let spectrum = Spectrum::sorted(gram.symmetric_eigenvalues());
        let tail = spectrum.tail(rank);
        if tail > WELL_CONDITIONED * energy || tail.max(ROUNDING * energy) < floor {
            return (tail, energy);
        }
    }
    tail_and_energy(m, rank)
}

/// What rounding makes of a tail of nothing, as a share of the energy.
const ROUNDING: f64 = 1e-12;

/// Of the shorter side: its eigenvalues are the squared singular values.
fn gram(m: &DMatrix<f64>) -> DMatrix<f64> {
    if m.ncols() <= m.nrows() {
        m.tr_mul(m)
    } else {
        m * m.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_matrix_of_known_singular_values() {
        // diag(3, 2, 1) between two rotations of its plane.
        let (c, s) = (0.6, 0.8);
        let q = DMatrix::from_row_slice(3, 3, &[c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0]);
        let m = &q * DMatrix::from_diagonal(&DVector::from_vec(vec![3.0, 2.0, 1.0])) * &q;
        let (tail, energy) = tail_and_energy(&m, 1);
        assert!((tail - 5.0).abs() < 1e-12 && (energy - 14.0).abs() < 1e-12);
        assert_eq!(tail_and_energy(&m, 3).0, 0.0);
    }

    #[test]
    fn nothing_and_zeros_have_no_tail() {
        assert_eq!(tail_and_energy(&DMatrix::zeros(4, 6), 1), (0.0, 0.0));
        assert_eq!(tail_and_energy(&DMatrix::zeros(0, 6), 1), (0.0, 0.0));
    }

    /// Rank-3 motion with noise of some size on top of where the points are.
    fn motion(rows: usize, columns: usize, noise: f64, values: &[f64]) -> DMatrix<f64> {
        let at = |i: usize| values[i % values.len()];
        DMatrix::from_fn(rows, columns, |r, c| {
            let low: f64 = (0..3)
                .map(|k| at(7 * r + k) * at(11 * c + 5 * k + 1) * 20.0)
                .sum();
            300.0 * at(c) + low + noise * at(13 * r + 17 * c + r * c)
        })
    }

    proptest! {
        #[test]
        fn what_a_floor_allows_is_as_exact_above_it(
            rows in 2usize..65, half in 1usize..18, noise in -9i32..2, floor in -14i32..0,
            values in proptest::collection::vec(-1.0f64..1.0, 97..=97),
        ) {
            let m = motion(rows, 2 * half, 10f64.powi(noise), &values);
            let (expected, energy) = tail_and_energy(&m, 3);
            let floor = energy * 10f64.powi(floor);
            let (tail, _) = tail_and_energy_above(&m, 3, floor);
            // What 64 bits leave of a tail that is itself a rounding error is not asked for.
            let exact = (tail.sqrt() - expected.sqrt()).abs() <= 1e-9 * expected.max(1e-12 * energy).sqrt();
            prop_assert!(exact || (tail < floor && expected < floor), "{tail} {expected} {floor}");
        }
    }
}
