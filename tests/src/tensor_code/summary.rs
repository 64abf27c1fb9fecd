// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What all clips together say: the cheapest bytes of each code, and the figures of the goals.

use serde_json::{Value, json};

use super::bdrate::BdRate;
use super::codes::JPEG;
use super::curve::{Limit, names};
use super::figures::Point;
use super::report::{COARSE, COMPARABLE, NEAR, Report, kb};
use super::{Code, Role};
use crate::measure::median;

/// The cheapest bytes a frame of each code over all cuts, one table a limit.
pub fn print(reports: &[Report], absent: &[(&'static str, String)]) {
    println!("\n## Cheapest bytes a frame\n");
    println!(
        "kB/frame over all cuts, and the cut; **bold** the cheapest, – where no setting keeps to the limit or it was not \
         measured. \"picture\" crosses instead of a cut."
    );
    let limits = [
        ("F1 against the whole model ≥ 0.995", Limit::Agreement(NEAR)),
        (
            "F1 against the whole model ≥ 0.95",
            Limit::Agreement(COARSE),
        ),
        (
            "accuracy against the truth, loss ≤ 0.5 %",
            Limit::Accuracy(NEAR),
        ),
        (
            "accuracy against the truth, loss ≤ 5 %",
            Limit::Accuracy(COARSE),
        ),
        ("knee error ≤ 0.5°", Limit::Knee(NEAR)),
        ("output error ≤ 0.05", Limit::Output(COARSE)),
    ];
    for (title, limit) in limits {
        let measured = |r: &&Report| {
            let of_objects = !matches!(limit, Limit::Output(_));
            r.points.iter().any(|p| limit.met_by(p).is_some()) && (r.counts() || !of_objects)
        };
        let reports: Vec<&Report> = reports.iter().filter(measured).collect();
        if !reports.is_empty() {
            println!("\n{title}:\n");
            table(&reports, limit, absent);
        }
    }
}

fn table(reports: &[&Report], limit: Limit, absent: &[(&'static str, String)]) {
    let clip = |r: &&Report| format!("{} ({} objects)", r.clip, r.objects);
    let clips: Vec<String> = reports.iter().map(clip).collect();
    println!("| code | {} |", clips.join(" | "));
    println!("|---|{}", "---|".repeat(clips.len()));
    let codes = reports.first().map_or(Vec::new(), |r| names(&r.points));
    let least = |r: &&Report| {
        let points = codes.iter().filter_map(|c| measured_cheapest(r, c, limit));
        points.map(|p| p.mean_bytes).fold(f64::INFINITY, f64::min)
    };
    let least: Vec<f64> = reports.iter().map(least).collect();
    for code in &codes {
        let cells = reports.iter().zip(&least).map(|(report, least)| {
            match measured_cheapest(report, code, limit) {
                None => "–".to_owned(),
                Some(p) => {
                    let cut = p.cut.map_or(String::new(), |c| format!(" ({c})"));
                    match p.mean_bytes <= *least {
                        true => format!("**{}**{cut}", kb(p.mean_bytes)),
                        false => format!("{}{cut}", kb(p.mean_bytes)),
                    }
                }
            }
        });
        println!("| {code} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    for (name, why) in absent {
        println!(
            "| {name} | {} |",
            vec![why.as_str(); clips.len()].join(" | ")
        );
    }
}

/// The cheapest point within a limit, if that was measured at all.
fn measured_cheapest<'a>(report: &'a Report, code: &str, limit: Limit) -> Option<&'a Point> {
    let point = report.cheapest(code, &[limit])?;
    limit.met_by(point).is_some().then_some(point)
}

/// The figures of the goals, of clips with objects enough; null where there was nothing to measure.
pub fn figures(reports: &[Report]) -> Value {
    let reports: Vec<&Report> = reports.iter().filter(|r| r.counts()).collect();
    let reports = reports.as_slice();
    let best = match has_role(reports, Role::Predicted) {
        true => Role::Predicted,
        false => Role::Intra,
    };
    let chosen = operating_points(reports, best);
    let time =
        |of: fn(&Point) -> f64| number(median(&chosen.iter().map(|p| of(p)).collect::<Vec<_>>()));
    let knees: Vec<f64> = chosen.iter().filter_map(|p| p.knee_error_deg).collect();
    let lost = reports
        .iter()
        .flat_map(|r| &r.loss)
        .filter(|p| p.role == best);
    let lost: Vec<f64> = lost.map(|p| p.points_lost).collect();
    json!({
        "bits_per_value_intra": bits_per_value(reports, Role::Intra, accurate),
        "bits_per_value_predicted": bits_per_value(reports, Role::Predicted, accurate),
        "bits_per_value_same_answers_intra": bits_per_value(reports, Role::Intra, Report::limits),
        "bits_per_value_same_answers_predicted": bits_per_value(reports, Role::Predicted, Report::limits),
        "encode_ms_131k": time(|p| p.encode_ms_131k),
        "decode_ms_131k": time(|p| p.decode_ms_131k),
        "gain_over_jpeg_bdrate_pct": gain_over_jpeg(reports, best),
        "knee_error_deg": mean(&knees),
        "loss5_accuracy_points": mean(&lost),
        "loss5_latency_ratio_p99": Value::Null,
    })
}

fn has_role(reports: &[&Report], role: Role) -> bool {
    reports
        .iter()
        .any(|r| r.own_codes().iter().any(|(_, own)| *own == role))
}

/// Of accuracy against the truth; where there is none, of agreement with the whole model.
fn accurate(report: &Report) -> &'static [Limit] {
    match report.whole_accuracy {
        Some(_) => &[Limit::Accuracy(NEAR)],
        None => &[Limit::Agreement(NEAR)],
    }
}

/// Every (clip, cut) of a code with this role: its coarsest point within the limits, or none.
fn operating<'a>(
    reports: &[&'a Report],
    role: Role,
    limits: impl Fn(&Report) -> &'static [Limit],
) -> Vec<Option<&'a Point>> {
    let mut out = Vec::new();
    for report in reports {
        for (code, _) in report
            .own_codes()
            .into_iter()
            .filter(|(_, own)| *own == role)
        {
            let curves = report
                .cuts
                .iter()
                .map(|c| report.curve(code, Some(c.number)));
            out.extend(curves.map(|c| c.within(limits(report))));
        }
    }
    out
}

fn operating_points<'a>(reports: &[&'a Report], role: Role) -> Vec<&'a Point> {
    let points = operating(reports, role, Report::limits);
    points.into_iter().flatten().collect()
}

/// The median over all cuts of all clips; one that no setting serves counts as infinitely many.
fn bits_per_value(
    reports: &[&Report],
    role: Role,
    limits: impl Fn(&Report) -> &'static [Limit],
) -> Value {
    let bits = operating(reports, role, limits)
        .into_iter()
        .map(|p| p.map_or(f64::INFINITY, |p| p.bits_per_value));
    number(median(&bits.collect::<Vec<_>>()))
}

/// The best over all cuts of all clips, at equal output error.
fn gain_over_jpeg(reports: &[&Report], role: Role) -> Value {
    let mut best = f64::NEG_INFINITY;
    for report in reports {
        let jpeg = report.curve(JPEG, None);
        for (code, _) in report
            .own_codes()
            .into_iter()
            .filter(|(_, own)| *own == role)
        {
            for cut in &report.cuts {
                let rate = report.curve(code, Some(cut.number)).bd_error(&jpeg);
                if let BdRate::Percent { bytes, shared } = rate
                    && shared >= COMPARABLE
                {
                    best = best.max(-bytes);
                }
            }
        }
    }
    number(best)
}

fn mean(values: &[f64]) -> Value {
    number(super::figures::mean(values))
}

/// Three digits behind the point; null for what is no number.
fn number(value: f64) -> Value {
    match value.is_finite() {
        true => json!((value * 1e3).round() / 1e3),
        false => Value::Null,
    }
}

/// One line on each code and its settings.
pub fn settings<F>(codes: &[Code<F>]) -> String {
    let one = |c: &Code<F>| {
        let qualities: Vec<String> = c.qualities.iter().map(f64::to_string).collect();
        format!("{} ({} {})", c.name, c.knob, qualities.join(", "))
    };
    codes.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
pub mod tests {
    use super::super::curve::tests::point;
    use super::super::report::CutInfo;
    use super::*;

    pub fn report() -> Report {
        let mut points = vec![point(4.0, 100.0, 0.99, None), point(8.0, 200.0, 1.0, None)];
        let mut jpeg = [
            point(50.0, 400.0, 0.9, None),
            point(90.0, 800.0, 0.95, None),
        ];
        for (p, error) in jpeg.iter_mut().zip([0.01, 0.005]) {
            (p.cut, p.code, p.role, p.output_error) = (None, JPEG, Role::Baseline, error);
        }
        points.extend(jpeg);
        Report {
            clip: "clip".to_owned(),
            first_frame: 1,
            frames: 3,
            size: [1, 1],
            input: [1, 1],
            objects: 20,
            metric: None,
            whole_accuracy: None,
            cuts: vec![CutInfo {
                number: 1,
                name: "cut".to_owned(),
                shapes: "1".to_owned(),
            }],
            points,
            loss: vec![],
        }
    }

    #[test]
    fn the_figures_are_those_of_the_operating_points() {
        let figures = figures(&[report()]);
        // 200 bytes for 1000 values; errors 1/100 and 1/200 at 100 and 200 bytes, JPEG at four times as many.
        assert_eq!(figures["bits_per_value_intra"], 1.6);
        assert_eq!(figures["bits_per_value_same_answers_intra"], 1.6);
        assert_eq!(figures["gain_over_jpeg_bdrate_pct"], 75.0);
        assert_eq!(figures["bits_per_value_predicted"], Value::Null);
        assert_eq!(figures["knee_error_deg"], Value::Null);
    }

    #[test]
    fn bits_a_value_are_where_accuracy_holds_whether_or_not_all_answers_are_the_same() {
        let mut report = report();
        report.whole_accuracy = Some(0.8);
        let figures = figures(&[report]);
        // 100 bytes lose 1 % of F1, and nothing of what there is of accuracy.
        assert_eq!(figures["bits_per_value_intra"], 0.8);
        assert_eq!(figures["bits_per_value_same_answers_intra"], 1.6);
    }

    #[test]
    fn the_cheapest_is_within_the_limit() {
        let report = report();
        let cheapest = |limit| measured_cheapest(&report, "code", limit).map(|p| p.mean_bytes);
        assert_eq!(cheapest(Limit::Agreement(0.5)), Some(200.0));
        assert_eq!(cheapest(Limit::Agreement(5.0)), Some(100.0));
        assert_eq!(cheapest(Limit::Accuracy(5.0)), None);
    }
}
