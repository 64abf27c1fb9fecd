// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How many answers differ from the whole model's at equal bytes, over a range of rates: where single objects come and go, that tells
//! two ways apart that one operating point does not.

use super::Role;
use super::figures::Point;
use super::report::Report;

/// Bits a value, from and to.
const RATES: [f64; 2] = [0.25, 2.5];
const SAMPLES: u32 = 12;

/// A row for each clip with objects enough, a column a cut.
pub fn print(reports: &[Report]) {
    let counting = || reports.iter().filter(|r| r.counts());
    let most = counting().map(|r| r.cuts.len()).max().unwrap_or(0);
    if most == 0 {
        return;
    }
    let [from, to] = RATES;
    println!("\n## Answers that differ\n");
    println!(
        "100 − F1 against the whole model in %, with prediction, the mean over {SAMPLES} rates from {from} to {to} bits a value (between \
         settings by the logarithm of the bytes; beyond them, of the nearest), by cut."
    );
    let numbers: Vec<String> = (0..most).map(|c| c.to_string()).collect();
    println!("\n| clip | {} |", numbers.join(" | "));
    println!("|---|{}", "---|".repeat(most));
    for report in counting() {
        let cells = report.cuts.iter().map(|cut| {
            let points = report.points.iter();
            let own = points.filter(|p| p.role == Role::Predicted && p.cut == Some(cut.number));
            differing(own).map_or("–".to_owned(), |d| format!("{d:.1}"))
        });
        println!(
            "| {} | {} |",
            report.clip,
            cells.collect::<Vec<_>>().join(" | ")
        );
    }
}

/// Percent; `None` without points.
fn differing<'a>(points: impl Iterator<Item = &'a Point>) -> Option<f64> {
    let mut curve: Vec<(f64, f64)> = points
        .map(|p| (p.bits_per_value.ln(), (1.0 - p.f1) * 100.0))
        .collect();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    curve.first()?;
    let [from, to] = RATES.map(f64::ln);
    let rate = |i: u32| from + (to - from) * f64::from(i) / f64::from(SAMPLES - 1);
    let sum: f64 = (0..SAMPLES).map(|i| at(&curve, rate(i))).sum();
    Some(sum / f64::from(SAMPLES))
}

/// On the line through the points, the first or last beyond them.
fn at(curve: &[(f64, f64)], x: f64) -> f64 {
    let next = curve.partition_point(|p| p.0 < x);
    match (next.checked_sub(1).map(|i| curve[i]), curve.get(next)) {
        (Some(a), Some(b)) => a.1 + (b.1 - a.1) * (x - a.0) / (b.0 - a.0),
        (Some(only), None) => only.1,
        (None, Some(only)) => only.1,
        (None, None) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::super::curve::tests::point;
    use super::*;

    #[test]
    fn between_settings_it_is_on_the_line_and_beyond_them_as_the_nearest() {
        let curve = [(0.0, 8.0), (2.0, 4.0)];
        assert_eq!(
            [-1.0, 0.0, 1.0, 2.0, 3.0].map(|x| at(&curve, x)),
            [8.0, 8.0, 6.0, 4.0, 4.0]
        );
    }

    #[test]
    fn the_mean_is_over_all_rates() {
        // 1000 values: 0.8 bits each of 100 bytes.
        let one = [point(1.0, 100.0, 0.9, None)];
        assert!((differing(one.iter()).unwrap() - 10.0).abs() < 1e-9);
        let two = [point(1.0, 31.25, 0.9, None), point(2.0, 312.5, 1.0, None)];
        assert!((differing(two.iter()).unwrap() - 5.0).abs() < 1e-9);
        assert_eq!(differing([].iter()), None);
    }
}
