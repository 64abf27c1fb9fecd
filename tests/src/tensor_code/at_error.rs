// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What crosses, and what that does to the answers, when the setting is chosen by the output error: splitinfer-edge does
//! so, since it cannot know the truth.

use super::Role;
use super::curve::Limit;
use super::figures::Point;
use super::report::{Report, kb, quality, setting};

/// Percent: what splitinfer-edge keeps to by default (property `output-error`).
pub const OUTPUT_ERROR: f64 = 2.0;

/// A row for each cut of the clips with objects enough.
pub fn print(reports: &[Report]) {
    let rows: Vec<String> = reports
        .iter()
        .filter(|r| r.counts())
        .flat_map(rows)
        .collect();
    if rows.is_empty() {
        return;
    }
    println!("\n## At an output error of at most {OUTPUT_ERROR} %\n");
    println!(
        "What splitinfer-edge keeps to by default, with prediction: the coarsest setting measured that, as all finer \
         ones, keeps to it in the mean over the frames; † where there is none: the finest. The element takes any step, \
         also between and below these; it looks at single frames now and then, and the worst of the last eight counts, \
         so that on the whole it is finer than this. *Alone*: the same without \
         prediction.\n"
    );
    println!(
        "| clip | cut | setting | bits/value | kB/frame | error | F1 | loss % | knee ° | alone kB/frame |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    rows.iter().for_each(|row| println!("{row}"));
}

fn rows(report: &Report) -> Vec<String> {
    let row = |cut: usize| {
        let (point, mark) = chosen(report, Role::Predicted, cut)?;
        let alone = chosen(report, Role::Intra, cut);
        let alone = alone.map_or("–".to_owned(), |(p, mark)| {
            format!("{}{mark}", kb(p.mean_bytes))
        });
        Some(format!(
            "| {} | {cut} | {}{mark} | {:.2} | {} | {} | {alone} |",
            report.clip,
            setting(point),
            point.bits_per_value,
            kb(point.mean_bytes),
            quality(point)
        ))
    };
    let cuts = report.cuts.iter();
    cuts.filter_map(|c| row(c.number)).collect()
}

/// The setting of the project's code with this role; where none keeps to the limit, the finest with a mark.
fn chosen(report: &Report, role: Role, cut: usize) -> Option<(&Point, &'static str)> {
    let codes = report.own_codes();
    let (code, _) = codes.into_iter().find(|(_, own)| *own == role)?;
    let curve = report.curve(code, Some(cut));
    curve.within_or_finest(&[Limit::Output(OUTPUT_ERROR)])
}

#[cfg(test)]
mod tests {
    use super::super::curve::tests::point;
    use super::super::summary::tests::report;
    use super::*;

    #[test]
    fn the_coarsest_within_the_limit_stands_in_the_row() {
        let mut report = report();
        // Errors 1/40, 1/50, 1/200.
        let mut points = [40.0, 50.0, 200.0].map(|bytes| point(bytes, bytes, 0.9, Some(1.0)));
        for p in &mut points {
            (p.code, p.role) = ("predicted", Role::Predicted);
        }
        report.points.extend(points);
        assert_eq!(
            rows(&report),
            ["| clip | 1 | bits 50 | 0.40 | 0.05 | 0.0200 | 0.900 | 1.00 | – | 0.10 |"]
        );
        report.points.retain(|p| p.quality == 40.0);
        assert_eq!(
            rows(&report),
            ["| clip | 1 | bits 40 † | 0.32 | 0.04 | 0.0250 | 0.900 | 1.00 | – | – |"]
        );
    }
}
