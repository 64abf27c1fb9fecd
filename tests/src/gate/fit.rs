// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Logistic regression, tested on what it was not fitted to.

use nalgebra::{SMatrix, SVector};
use splitinfer_quality::{Evidence, TERMS, WRONG, terms};

use super::record::Set;
use super::windows::Window;
use std::collections::BTreeMap;

pub type Coefficients = SVector<f64, TERMS>;

/// Strength of the L2 penalty on the standardised terms: keeps a fit of separable windows finite.
const PENALTY: f64 = 1.0;
const STEPS: usize = 50;

/// A window as the regression sees it.
struct Row {
    terms: Coefficients,
    wrong: bool,
    weight: f64,
}

/// Coefficients by Newton's method; `None` where all windows are of one kind. Each set of clips counts the same, however
/// many windows it has, and a term is used only if it helps on each of them: what tells right from wrong in scenes may
/// mislead on real videos.
pub fn fit<'a>(
    windows: impl Iterator<Item = &'a Window>,
    evidence: impl Fn(&Window) -> Evidence,
) -> Option<Coefficients> {
    let mut sets: BTreeMap<Set, Vec<Row>> = BTreeMap::new();
    for w in windows {
        sets.entry(w.set).or_default().push(Row {
            terms: terms(&evidence(w)).into(),
            wrong: w.error > WRONG,
            weight: 1.0,
        });
    }
    let mixed = |rows: &&Vec<Row>| rows.iter().any(|r| r.wrong) && rows.iter().any(|r| !r.wrong);
    let mut used = [true; TERMS];
    for rows in sets.values().filter(mixed) {
        let (helps, _) = none_negative(rows, [true; TERMS]);
        (1..TERMS).for_each(|i| used[i] &= helps[i]);
    }
    let total: usize = sets.values().map(Vec::len).sum();
    let share = total as f64 / sets.len().max(1) as f64;
    let mut all = Vec::with_capacity(total);
    for rows in sets.into_values() {
        let weight = share / rows.len() as f64;
        all.extend(rows.into_iter().map(|r| Row { weight, ..r }));
    }
    mixed(&&all).then(|| none_negative(&all, used).1)
}

/// All evidence is the larger, the worse: a coefficient below 0 tells what clips happen to have in common, not what is
/// wrong with them. Terms that get one are left out, the most negative first. Gives also which terms are used.
fn none_negative(rows: &[Row], mut used: [bool; TERMS]) -> ([bool; TERMS], Coefficients) {
    loop {
        let (standardised, coefficients) = newton(rows, used);
        let worst = (1..TERMS)
            .filter(|i| standardised[*i] < 0.0)
            .min_by(|a, b| standardised[*a].total_cmp(&standardised[*b]));
        match worst {
            Some(term) => used[term] = false,
            None => return (used, coefficients),
        }
    }
}

/// Coefficients of the standardised terms and of the terms as they are; of those that are not used, 0.
fn newton(rows: &[Row], used: [bool; TERMS]) -> (Coefficients, Coefficients) {
    let (mean, deviation) = standard(rows);
    let standardised = |t: &Coefficients| (t - mean).component_div(&deviation);
    let mut beta = Coefficients::zeros();
    for _ in 0..STEPS {
        let mut gradient = Coefficients::zeros();
        let mut hessian = SMatrix::<f64, TERMS, TERMS>::zeros();
        for row in rows {
            let t = standardised(&row.terms);
            let p = 1.0 / (1.0 + (-beta.dot(&t)).exp());
            let target = f64::from(u8::from(row.wrong));
            gradient += t * (row.weight * (target - p));
            hessian += t * t.transpose() * (row.weight * p * (1.0 - p));
        }
        // The constant is not penalised.
        for i in 1..TERMS {
            gradient[i] -= PENALTY * beta[i];
            hessian[(i, i)] += PENALTY;
            if !used[i] {
                gradient[i] = 0.0;
                hessian.row_mut(i).fill(0.0);
                hessian.column_mut(i).fill(0.0);
                hessian[(i, i)] = 1.0;
            }
        }
        hessian[(0, 0)] += 1e-9;
        let Some(step) = hessian.cholesky().map(|c| c.solve(&gradient)) else {
            break;
        };
        beta += step;
        if step.amax() < 1e-9 {
            break;
        }
    }
    // Back to the terms as they are.
    let mut coefficients = beta.component_div(&deviation);
    coefficients[0] = beta[0] - (1..TERMS).map(|i| coefficients[i] * mean[i]).sum::<f64>();
    (beta, coefficients)
}

/// Mean and standard deviation of each term; the constant and terms that do not vary stay as they are.
fn standard(rows: &[Row]) -> (Coefficients, Coefficients) {
    let weights: f64 = rows.iter().map(|r| r.weight).sum();
    let mean_of = |f: &dyn Fn(&Row) -> Coefficients| {
        rows.iter().map(|r| f(r) * r.weight).sum::<Coefficients>() / weights
    };
    let mut mean = mean_of(&|r| r.terms);
    let squares = mean_of(&|r| (r.terms - mean).map(|v| v * v));
    let deviation = squares.map(|v| if v > 1e-18 { v.sqrt() } else { 1.0 });
    mean[0] = 0.0;
    (mean, deviation)
}

/// The sum of the weighted terms of each window: by coefficients fitted to windows of other clips *and* other kinds of
/// degradation. `None` where there were none to fit to.
pub fn left_out(
    windows: &[&Window],
    evidence: impl Fn(&Window) -> Evidence + Copy,
) -> Vec<Option<f64>> {
    let cell = |w: &Window| (w.set, w.clip.clone(), w.kind.clone());
    let mut fits = BTreeMap::new();
    windows
        .iter()
        .map(|w| {
            let coefficients = fits.entry(cell(w)).or_insert_with(|| {
                let others = windows.iter().copied();
                let apart = |o: &&Window| o.set != w.set || (o.clip != w.clip && o.kind != w.kind);
                fit(others.filter(apart), evidence)
            });
            let t = Coefficients::from(terms(&evidence(w)));
            coefficients.map(|c| c.dot(&t))
        })
        .collect()
}

/// Area under the ROC curve: the probability that a wrong window scores higher than one that is not, ties counting half.
/// `None` where all are of one kind.
pub fn auc(scored: &[(f64, bool)]) -> Option<f64> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wrong = scored.iter().filter(|(_, w)| *w).count();
    let right = scored.len() - wrong;
    if wrong == 0 || right == 0 {
        return None;
    }
    let (mut below, mut sum) = (0.0, 0.0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let wrong_here = tied.iter().filter(|(_, w)| *w).count() as f64;
        let right_here = tied.len() as f64 - wrong_here;
        sum += wrong_here * (below + right_here / 2.0);
        below += right_here;
    }
    Some(sum / (wrong * right) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_counts_pairs() {
        assert_eq!(auc(&[(0.1, false), (0.2, true)]), Some(1.0));
        assert_eq!(auc(&[(0.1, true), (0.2, false)]), Some(0.0));
        assert_eq!(auc(&[(0.1, true), (0.1, false)]), Some(0.5));
        let three = [(0.1, false), (0.2, true), (0.3, false), (0.4, true)];
        assert_eq!(auc(&three), Some(0.75));
        assert_eq!(auc(&[(0.1, true)]), None);
    }

    #[test]
    fn the_fit_is_the_maximum_of_the_likelihood() {
        // Twice as likely with the term as without: ln odds 0 and ln 2.
        let row = |x: f64, wrong| Row {
            terms: [1.0, x, 0.0, 0.0].into(),
            wrong,
            weight: 1e4,
        };
        let rows = [
            row(0.0, true),
            row(0.0, false),
            row(1.0, true),
            row(1.0, true),
            row(1.0, false),
        ];
        let (_, c) = newton(&rows, [true; TERMS]);
        assert!(
            (c[0]).abs() < 1e-3 && (c[1] - 2f64.ln()).abs() < 1e-3,
            "{c}"
        );
    }
    #[test]
    fn a_term_that_counts_against_itself_is_left_out() {
        let row = |x: f64, wrong| Row {
            terms: [1.0, -x, x, 0.0].into(),
            wrong,
            weight: 1.0,
        };
        let rows = [
            row(0.0, false),
            row(0.2, true),
            row(0.5, false),
            row(1.0, true),
        ];
        let (used, c) = none_negative(&rows, [true; TERMS]);
        assert!(!used[1]);
        assert!(c[1] == 0.0 && c[2] > 0.0, "{c}");
    }
}
