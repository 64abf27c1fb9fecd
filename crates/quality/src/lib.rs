// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How good a student's predictions are, without ground truth.
//!
//! A [`Gate`] follows each object over time, collects the places of its points on the last T frames in a matrix M (T ×
//! 2J), and scores M. [`relative_error`] is the score as published (M. Boldo, N. Bombieri et al., IEEE Transactions on
//! CAD 43.11, 2024); [`scaled_residual`] and [`probability_wrong`] repair what it is blind to, as far as predictions alone
//! allow. A [`DriftWatch`] finds the rest: it has the teacher look at a few frames, more when there is reason to doubt, and says
//! when it is worth learning. What each is worth, `docs/measurements/gate.md` and `docs/measurements/adaptation.md` show.
//!
//! # Exact and cheap
//! Scores need singular values only, and most of them the sum of the smallest: those of the matrix itself, or, where it does not
//! matter how small a sum is exactly, eigenvalues of the Gram matrix. Both are `nalgebra`'s. LAPACK's
//! decomposition (what `ndarray-linalg` calls, with OpenBLAS) was measured beside it in `docs/measurements/gate.md`: both
//! are exact to far better than 10⁻⁹; at 64 × 34 LAPACK's takes 51 µs, `nalgebra`'s 62, and the combined score with all that
//! belongs to it, by the Gram matrix, 60; at 4 columns `nalgebra`'s is the faster one. So LAPACK would win a fifth where
//! M is ill-conditioned. For that every user would need a library of the system, and every GStreamer process would load
//! OpenBLAS and its threads.
//!
//! ```
//! use splitinfer_quality::{Gate, Object, Observation, Seen, Settings};
//! let mut gate = Gate::new(Settings::default());
//! for frame in 0..20 {
//!     let bbox = [10.0 + 3.0 * frame as f64, 50.0, 40.0, 80.0];
//!     let object = Object {
//!         seen: Seen { bbox, class: 0, score: 0.9, track: None },
//!         observation: Observation::new(bbox, 0.9, &[], Some(0.98)),
//!     };
//!     let outcome = gate.frame(frame, vec![object]);
//!     assert_eq!(outcome.verdicts.len(), usize::from(frame == 19));
//! }
//! ```

mod calibration;
mod combined;
mod drift;
mod evidence;
mod gate;
mod metric;
mod motion;
mod observation;
mod spectrum;
mod track;
mod window;

pub use calibration::Learnt;
pub use combined::{TERMS, WRONG, probability_wrong, terms};
pub use drift::{Cause, DriftSettings, DriftWatch, Orders, Round, Signs, Training};
pub use evidence::Evidence;
pub use gate::{Gate, Metric, Object, Outcome, SHARE, Settings, Verdict};
pub use metric::{effective_rank, rank_of, relative_error, scaled_residual};
pub use motion::Motion;
pub use observation::{Observation, Point};
pub use spectrum::{Spectrum, tail_and_energy};
pub use track::{Identity, Seen, Tracker};
