// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What was measured on one clip, and its tables.

use serde::Serialize;

use super::Role;
use super::bdrate::BdRate;
use super::codes::{ANCHOR, H264, JPEG};
use super::curve::{Curve, Limit, names};
use super::figures::Point;
use super::loss_run::LossPoint;
use super::run::whole_accuracy;
use super::subject::Subject;
use crate::measure;

/// What counts as lossless: half a percent of the task, half a degree of the knee.
pub const NEAR: f64 = 0.5;
/// What a coarse answer may lose.
pub const COARSE: f64 = 5.0;

/// The share of the shorter curve that two curves have to have in common for their comparison to say much.
pub const COMPARABLE: f64 = 0.5;

/// Objects that a clip needs for its agreement and accuracy to mean something.
pub const ENOUGH: usize = 10;

/// One clip with all its points.
#[derive(Serialize)]
pub struct Report {
    pub clip: String,
    pub first_frame: usize,
    pub frames: usize,
    pub size: [u32; 2],
    pub input: [u32; 2],
    pub objects: usize,
    /// What `accuracy` is; none where there is no truth.
    pub metric: Option<&'static str>,
    pub whole_accuracy: Option<f64>,
    pub cuts: Vec<CutInfo>,
    pub points: Vec<Point>,
    pub loss: Vec<LossPoint>,
}

#[derive(Serialize)]
pub struct CutInfo {
    pub number: usize,
    pub name: String,
    pub shapes: String,
}

impl Report {
    pub fn new(subject: &Subject, cuts: &[usize], points: Vec<Point>) -> Self {
        let candidates = subject.model.split.candidates();
        let info = |number: usize| CutInfo {
            number,
            name: measure::short(&candidates[number].name),
            shapes: shapes(
                candidates[number]
                    .tensors
                    .iter()
                    .map(|t| t.shape.as_slice()),
            ),
        };
        let whole_accuracy = whole_accuracy(subject);
        Self {
            clip: subject.name.clone(),
            first_frame: subject.first,
            frames: subject.frames.len(),
            size: subject.size,
            input: [
                subject.model.info.input.width,
                subject.model.info.input.height,
            ],
            objects: subject.objects(),
            metric: whole_accuracy.map(|_| subject.metric().name()),
            whole_accuracy,
            cuts: cuts.iter().map(|c| info(*c)).collect(),
            points,
            loss: Vec::new(),
        }
    }

    /// Whether there are objects enough for the figures of the goals: with hardly any, the coarsest setting agrees.
    pub fn counts(&self) -> bool {
        self.objects >= ENOUGH
    }

    /// What the operating point of a code keeps to.
    pub fn limits(&self) -> &'static [Limit] {
        match self.counts() {
            true => &OPERATING,
            false => &WITHOUT_OBJECTS,
        }
    }

    /// The operating point; where there is none, the finest setting with a mark.
    pub fn chosen<'a>(&self, curve: &Curve<'a>) -> Option<(&'a Point, &'static str)> {
        curve.within_or_finest(self.limits())
    }

    pub fn curve(&self, code: &str, cut: Option<usize>) -> Curve<'_> {
        Curve::of(&self.points, code, cut)
    }

    /// The project's codes, the best of them last.
    pub fn own_codes(&self) -> Vec<(&'static str, Role)> {
        let role = |name| self.points.iter().find(|p| p.code == name).map(|p| p.role);
        let named = names(&self.points)
            .into_iter()
            .filter_map(|n| Some((n, role(n)?)));
        let mut own: Vec<_> = named.filter(|(_, r)| *r != Role::Baseline).collect();
        own.sort_by_key(|(_, role)| *role == Role::Predicted);
        own
    }

    /// The cut at which the best of the project's codes needs the fewest bytes.
    pub fn best_cut(&self) -> Option<usize> {
        let (code, _) = *self.own_codes().last()?;
        self.cheapest(code, self.limits())
            .or_else(|| self.cheapest(code, &[]))
            .and_then(|p| p.cut)
    }

    /// The cheapest setting of a code within the limits, over all cuts (or of the picture).
    pub fn cheapest(&self, code: &str, limits: &[Limit]) -> Option<&Point> {
        let cuts = self.cuts.iter().map(|c| Some(c.number)).chain([None]);
        let points = cuts.filter_map(|cut| self.curve(code, cut).within(limits));
        points.min_by(|a, b| a.mean_bytes.total_cmp(&b.mean_bytes))
    }

    pub fn print(&self) {
        let accuracy = match self.metric.zip(self.whole_accuracy) {
            Some((metric, value)) => format!("; the whole model's {metric} is {value:.3}"),
            None => "; no truth".to_owned(),
        };
        println!(
            "\n## {}\n\n{} frames of {}×{} from number {}, model input {}×{}, {} objects{accuracy}.",
            self.clip,
            self.frames,
            self.size[0],
            self.size[1],
            self.first_frame,
            self.input[0],
            self.input[1],
            self.objects
        );
        self.print_cuts();
        if let Some(cut) = self.best_cut() {
            self.print_codes(cut);
        }
        self.print_loss();
    }

    fn print_cuts(&self) {
        println!(
            "\n| cut | tensors | shapes | code | setting | bits/value | key kB | kB/frame | ms/131k | error | F1 | loss % | knee ° | \
             BD {ANCHOR} | BD JPEG | BD H.264 |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
        for cut in &self.cuts {
            for (code, _) in self.own_codes() {
                let curve = self.curve(code, Some(cut.number));
                let Some((point, mark)) = self.chosen(&curve) else {
                    continue;
                };
                println!(
                    "| {} | `{}` | {} | {code} | {}{mark} | {:.2} | {} | {} | {:.2} / {:.2} | {} | {} | {} | {} |",
                    cut.number,
                    cut.name,
                    cut.shapes,
                    setting(point),
                    point.bits_per_value,
                    kb(point.key_bytes),
                    kb(point.mean_bytes),
                    point.encode_ms_131k,
                    point.decode_ms_131k,
                    quality(point),
                    bd(curve.bd_error(&self.curve(ANCHOR, Some(cut.number)))),
                    bd(curve.bd_error(&self.curve(JPEG, None))),
                    bd(curve.bd_error(&self.curve(H264, None))),
                );
            }
        }
    }

    fn print_codes(&self, cut: usize) {
        println!("\nAll codes at cut {cut}:\n");
        println!(
            "| code | setting | bits/value | key kB | kB/frame | median kB | ms/frame | error | F1 | loss % | knee ° | \
             at ≤ 5 % kB | BD {ANCHOR} | BD JPEG | BD H.264 | the same by F1 |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
        for code in names(&self.points) {
            let picture = self.curve(code, None);
            let of_picture = !picture.0.is_empty();
            let curve = if of_picture {
                picture
            } else {
                self.curve(code, Some(cut))
            };
            let Some((point, mark)) = self.chosen(&curve) else {
                continue;
            };
            let coarse = curve.within(&[Limit::Agreement(COARSE), Limit::Accuracy(COARSE)]);
            let anchors = [(ANCHOR, Some(cut)), (JPEG, None), (H264, None)]
                .map(|(name, cut)| self.curve(name, cut));
            let [a, b, c] = anchors.each_ref().map(|x| bd(curve.bd_error(x)));
            let by_f1 = anchors.each_ref().map(|x| bd(curve.bd_agreement(x)));
            println!(
                "| {code} | {}{mark} | {} | {} | {} | {} | {:.2} / {:.2} | {} | {} | {a} | {b} | {c} | {} |",
                setting(point),
                if of_picture {
                    "".to_owned()
                } else {
                    format!("{:.2}", point.bits_per_value)
                },
                kb(point.key_bytes),
                kb(point.mean_bytes),
                kb(point.median_bytes),
                point.encode_ms,
                point.decode_ms,
                quality(point),
                coarse.map_or("–".to_owned(), |p| format!(
                    "{} ({})",
                    kb(p.mean_bytes),
                    setting(p)
                )),
                by_f1.join(" / "),
            );
        }
    }

    fn print_loss(&self) {
        if self.loss.is_empty() {
            return;
        }
        println!("\nWith loss:\n");
        println!(
            "| code | setting | cut | pieces/frame | pieces lost % | error without, with | F1 | accuracy lost, points | decode p99 ms |"
        );
        println!("|---|---|---|---|---|---|---|---|---|");
        for p in &self.loss {
            println!(
                "| {} | {} {} | {} | {:.0} | {:.1} | {:.3}, {:.3} | {:.3} | {:.2} | {:.2} |",
                p.code,
                p.knob,
                p.quality,
                p.cut,
                p.pieces,
                p.lost_pct,
                p.error_without,
                p.error,
                p.f1,
                p.points_lost,
                p.decode_ms_p99
            );
        }
    }
}

/// What the operating point of a code keeps to where there are objects enough.
const OPERATING: [Limit; 3] = [
    Limit::Agreement(NEAR),
    Limit::Accuracy(NEAR),
    Limit::Knee(NEAR),
];

/// And where there are not.
const WITHOUT_OBJECTS: [Limit; 1] = [Limit::Output(COARSE)];

pub fn setting(point: &Point) -> String {
    format!("{} {}", point.knob, point.quality)
}

pub fn kb(bytes: f64) -> String {
    match bytes {
        b if b < 995.0 => format!("{:.2}", b / 1e3),
        b if b < 99_950.0 => format!("{:.1}", b / 1e3),
        b => format!("{:.0}", b / 1e3),
    }
}

pub fn bd(rate: BdRate) -> String {
    match rate {
        BdRate::Percent { bytes, shared } => {
            let mark = if shared < COMPARABLE { "~" } else { "" };
            format!("{mark}{bytes:+.0}").replace('-', "−")
        }
        BdRate::Above => "above".to_owned(),
        BdRate::Below => "below".to_owned(),
        BdRate::TooFew => "–".to_owned(),
    }
}

/// Error, F1, loss, knee.
pub fn quality(point: &Point) -> String {
    let optional = |v: Option<f64>| v.map_or("–".to_owned(), |v| format!("{v:.2}"));
    format!(
        "{:.4} | {:.3} | {} | {}",
        point.output_error,
        point.f1,
        optional(point.accuracy_loss_pct).replace('-', "−"),
        optional(point.knee_error_deg)
    )
}

fn shapes<'a>(shapes: impl Iterator<Item = &'a [usize]>) -> String {
    let one = |dims: &[usize]| {
        let dims: Vec<String> = dims.iter().map(usize::to_string).collect();
        dims.join("×")
    };
    shapes.map(one).collect::<Vec<_>>().join(" + ")
}
