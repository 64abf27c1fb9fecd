// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! LAPACK's singular value decomposition, where the system has it: what the gate's arithmetic is compared with. It is
//! what `ndarray-linalg` calls; loaded while running, so that nothing has to be installed to build.

use libloading::Library;
use nalgebra::DMatrix;
use std::ffi::{c_char, c_int};

/// Fortran's `DGESDD`: singular values of a column-major matrix.
type Dgesdd = unsafe extern "C" fn(
    jobz: *const c_char,
    m: *const c_int,
    n: *const c_int,
    a: *mut f64,
    lda: *const c_int,
    s: *mut f64,
    u: *mut f64,
    ldu: *const c_int,
    vt: *mut f64,
    ldvt: *const c_int,
    work: *mut f64,
    lwork: *const c_int,
    iwork: *mut c_int,
    info: *mut c_int,
);

/// OpenBLAS first: `openblas-system` links it.
const LIBRARIES: [&str; 2] = ["libopenblas.so.0", "liblapack.so.3"];

pub struct Lapack {
    pub name: &'static str,
    dgesdd: Dgesdd,
    _library: Library,
}

impl Lapack {
    /// `None` where the system has no LAPACK.
    pub fn load() -> Option<Self> {
        LIBRARIES.into_iter().find_map(|name| {
            // SAFETY: loading runs the initialisers of a library that the linker itself would load by this name.
            let library = unsafe { Library::new(name) }.ok()?;
            // SAFETY: every LAPACK exports this routine with this signature (32-bit integers, as Debian builds it).
            let dgesdd = *unsafe { library.get::<Dgesdd>(b"dgesdd_\0") }.ok()?;
            Some(Self {
                name,
                dgesdd,
                _library: library,
            })
        })
    }

    /// As [`splitinfer_quality::tail_and_energy`].
    ///
    /// # Panics
    /// When the routine does not converge.
    pub fn tail_and_energy(&self, m: &DMatrix<f64>, rank: usize) -> (f64, f64) {
        let sigmas = self.singular_values(m);
        let squares = |from: usize| sigmas.iter().skip(from).rev().map(|s| s * s).sum::<f64>();
        (squares(rank), squares(0))
    }

    fn singular_values(&self, matrix: &DMatrix<f64>) -> Vec<f64> {
        let mut a = matrix.clone();
        let least = a.nrows().min(a.ncols());
        let (m, n) = (a.nrows() as c_int, a.ncols() as c_int);
        let most = a.nrows().max(a.ncols());
        // Without vectors LAPACK asks for 3·min + max(max, 7·min) at least; more lets it work in blocks.
        let mut work = vec![0.0; 64 * (least + most)];
        let (lwork, one, mut info) = (work.len() as c_int, 1, 0);
        let (mut sigmas, mut iwork) = (vec![0.0; least], vec![0; 8 * least]);
        let (mut u, mut vt) = ([0.0; 1], [0.0; 1]);
        // SAFETY: every array has the length that the routine's documentation asks for with `jobz = 'N'`, for which it
        // touches neither `u` nor `vt`.
        unsafe {
            (self.dgesdd)(
                c"N".as_ptr(),
                &raw const m,
                &raw const n,
                a.as_mut_ptr(),
                &raw const m,
                sigmas.as_mut_ptr(),
                u.as_mut_ptr(),
                &raw const one,
                vt.as_mut_ptr(),
                &raw const one,
                work.as_mut_ptr(),
                &raw const lwork,
                iwork.as_mut_ptr(),
                &raw mut info,
            );
        }
        assert_eq!(info, 0, "dgesdd");
        sigmas
    }
}
