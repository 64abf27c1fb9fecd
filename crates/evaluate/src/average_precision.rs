// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Average precision as COCO defines it.

use crate::frame::{Actual, Found, Frame};
use crate::matching::{Target, Verdict, best_first, match_picture};
use crate::similarity::{iou, oks};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Similarities from which a found object may be a hit: 0.50, 0.55, …, 0.95.
pub const IOU_THRESHOLDS: usize = 10;
/// Recalls at which precision is read: 0, 0.01, …, 1.
pub const RECALLS: usize = 101;

/// COCO counts no more than so many boxes of a class a picture,
const MOST_BOXES: usize = 100;
/// and so many poses.
const MOST_POSES: usize = 20;

/// What decides whether a found object is a true one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Intersection over union of boxes; at most 100 a picture and class.
    Box,
    /// Object keypoint similarity; at most 20 a picture and class. People without labelled keypoints are ignored.
    Keypoints,
}

/// Average precision of one class, or the mean of several.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AveragePrecision {
    /// Mean over thresholds 0.50, 0.55, …, 0.95.
    pub ap: Option<f64>,
    /// At 0.5.
    pub ap50: Option<f64>,
    /// At 0.75.
    pub ap75: Option<f64>,
    /// Precision at threshold 0.5 and the recalls 0, 0.01, …, 1; empty where nothing is asked for.
    pub precision: Vec<f64>,
    /// True objects that count.
    pub objects: usize,
}

/// Average precision of each class that occurs; under one empty name if `any` class will do.
pub(crate) fn by_class(frames: &[Frame], by: By, any: bool) -> BTreeMap<String, AveragePrecision> {
    let name = |label: &str| {
        if any { String::new() } else { label.to_owned() }
    };
    let labels: BTreeSet<String> = frames
        .iter()
        .flat_map(|f| {
            let found = f.found.iter().map(|o| o.label.as_str());
            found.chain(f.actual.iter().map(|o| o.label.as_str()))
        })
        .map(name)
        .collect();
    let of = |label: &String| {
        let wanted = |l: &str| any || l == label;
        let mut class = Class::default();
        for frame in frames {
            let found: Vec<_> = frame.found.iter().filter(|o| wanted(&o.label)).collect();
            let actual: Vec<_> = frame.actual.iter().filter(|o| wanted(&o.label)).collect();
            class.add(&found, &actual, by);
        }
        class.average()
    };
    labels.into_iter().map(|l| (l.clone(), of(&l))).collect()
}

/// The mean over the classes that have true objects, as COCO's headline figures.
pub(crate) fn mean(classes: &BTreeMap<String, AveragePrecision>) -> AveragePrecision {
    let counted: Vec<_> = classes.values().filter(|c| c.objects > 0).collect();
    let n = counted.len() as f64;
    let over = |pick: fn(&AveragePrecision) -> Option<f64>| {
        let values: Vec<f64> = counted.iter().filter_map(|c| pick(c)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let points = if counted.is_empty() { 0 } else { RECALLS };
    AveragePrecision {
        ap: over(|c| c.ap),
        ap50: over(|c| c.ap50),
        ap75: over(|c| c.ap75),
        precision: (0..points)
            .map(|r| counted.iter().map(|c| c.precision[r]).sum::<f64>() / n)
            .collect(),
        objects: counted.iter().map(|c| c.objects).sum(),
    }
}

/// What became of one found object at each threshold; `None` where it is not counted.
struct Judged {
    score: f64,
    hit: [Option<bool>; IOU_THRESHOLDS],
}

/// All that was found of one class.
#[derive(Default)]
struct Class {
    judged: Vec<Judged>,
    objects: usize,
}

impl Class {
    fn add(&mut self, found: &[&Found], actual: &[&Actual], by: By) {
        let most = match by {
            By::Box => MOST_BOXES,
            By::Keypoints => MOST_POSES,
        };
        let mut order = best_first(found.iter().map(|o| o.score));
        order.truncate(most);
        let targets: Vec<Target> = actual.iter().map(|o| target(o, by)).collect();
        self.objects += targets.iter().filter(|t| !t.ignore).count();
        let similarity: Vec<Vec<f64>> = order
            .iter()
            .map(|i| {
                actual
                    .iter()
                    .map(|a| similarity(found[*i], a, by))
                    .collect()
            })
            .collect();
        let first = self.judged.len();
        self.judged.extend(order.iter().map(|i| Judged {
            score: found[*i].score,
            hit: [None; IOU_THRESHOLDS],
        }));
        for (t, threshold) in thresholds().into_iter().enumerate() {
            let verdicts = match_picture(&similarity, &targets, threshold);
            for ((judged, verdict), i) in self.judged[first..].iter_mut().zip(verdicts).zip(&order)
            {
                judged.hit[t] = match verdict {
                    Verdict::Hit(_) => Some(true),
                    Verdict::Ignored(_) => None,
                    Verdict::False => (!found[*i].small).then_some(false),
                };
            }
        }
    }

    fn average(mut self) -> AveragePrecision {
        if self.objects == 0 {
            return AveragePrecision::default();
        }
        self.judged.sort_by(|a, b| b.score.total_cmp(&a.score));
        let curves: Vec<Vec<f64>> = (0..IOU_THRESHOLDS).map(|t| self.curve(t)).collect();
        let area = |curve: &Vec<f64>| curve.iter().sum::<f64>() / RECALLS as f64;
        AveragePrecision {
            ap: Some(curves.iter().map(area).sum::<f64>() / IOU_THRESHOLDS as f64),
            ap50: Some(area(&curves[0])),
            ap75: Some(area(&curves[5])),
            precision: curves.into_iter().next().unwrap_or_default(),
            objects: self.objects,
        }
    }

    /// Precision at the 101 recalls: the best that is reached at that recall or a higher one.
    fn curve(&self, threshold: usize) -> Vec<f64> {
        let (mut hits, mut total) = (0.0, 0.0);
        let mut recall = Vec::new();
        let mut precision = Vec::new();
        for hit in self.judged.iter().filter_map(|j| j.hit[threshold]) {
            total += 1.0;
            hits += f64::from(u8::from(hit));
            recall.push(hits / self.objects as f64);
            precision.push(hits / total);
        }
        for i in (1..precision.len()).rev() {
            precision[i - 1] = precision[i].max(precision[i - 1]);
        }
        (0..RECALLS)
            .map(|r| {
                let wanted = if r + 1 == RECALLS {
                    1.0
                } else {
                    r as f64 * 0.01
                };
                let place = recall.partition_point(|reached| *reached < wanted);
                precision.get(place).copied().unwrap_or(0.0)
            })
            .collect()
    }
}

/// Bit for bit those of `numpy.linspace(0.5, 0.95, 10)`, because similarities can fall on them.
fn thresholds() -> [f64; IOU_THRESHOLDS] {
    let step = (0.95 - 0.5) / 9.0;
    std::array::from_fn(|i| if i == 9 { 0.95 } else { i as f64 * step + 0.5 })
}

fn target(actual: &Actual, by: By) -> Target {
    Target {
        ignore: actual.ignore || (by == By::Keypoints && !actual.has_pose()),
        crowd: actual.crowd,
    }
}

fn similarity(found: &Found, actual: &Actual, by: By) -> f64 {
    match by {
        By::Box => iou(&found.bbox, &actual.bbox, actual.crowd),
        By::Keypoints => oks(
            &found.keypoints,
            &actual.keypoints,
            &actual.bbox,
            actual.area(),
        )
        .unwrap_or(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(x: f64, score: f64, label: &str) -> Found {
        Found {
            label: label.into(),
            score,
            bbox: [x, 0.0, 10.0, 10.0],
            ..Found::default()
        }
    }

    fn actual(x: f64, label: &str) -> Actual {
        Actual {
            label: label.into(),
            bbox: [x, 0.0, 10.0, 10.0],
            ..Actual::default()
        }
    }

    fn frame(found: Vec<Found>, actual: Vec<Actual>) -> Frame {
        Frame {
            number: 0,
            found,
            actual,
        }
    }

    #[test]
    fn one_false_alarm_above_the_second_hit() {
        // Hit, false, hit of two: precision 1 up to recall 0.5, 2/3 beyond it.
        let frames = [frame(
            vec![
                found(0.0, 0.9, "car"),
                found(50.0, 0.8, "car"),
                found(100.0, 0.7, "car"),
            ],
            vec![actual(0.0, "car"), actual(100.0, "car")],
        )];
        let car = &by_class(&frames, By::Box, false)["car"];
        let expected = (51.0 + 50.0 * 2.0 / 3.0) / 101.0;
        assert!((car.ap50.unwrap() - expected).abs() < 1e-12);
        assert!((car.ap.unwrap() - expected).abs() < 1e-12);
        assert_eq!(car.precision.len(), RECALLS);
        assert_eq!(car.objects, 2);
    }

    #[test]
    fn a_shifted_box_is_a_hit_up_to_its_overlap() {
        // Shifted by 1 of 10: 9/11 = 0.818 overlap, so a hit at 0.50 to 0.80, seven of ten thresholds.
        let frames = [frame(
            vec![found(1.0, 0.9, "car")],
            vec![actual(0.0, "car")],
        )];
        let car = &by_class(&frames, By::Box, false)["car"];
        assert!((car.ap.unwrap() - 0.7).abs() < 1e-12);
        assert_eq!((car.ap50, car.ap75), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn the_wrong_kind_is_a_hit_only_whatever_the_kind() {
        let frames = [frame(
            vec![found(0.0, 0.9, "bus")],
            vec![actual(0.0, "car")],
        )];
        let classes = by_class(&frames, By::Box, false);
        assert_eq!(classes["car"].ap50, Some(0.0));
        assert_eq!(classes["bus"].ap50, None, "there is no bus");
        assert_eq!(mean(&classes).ap50, Some(0.0));
        assert_eq!(by_class(&frames, By::Box, true)[""].ap50, Some(1.0));
    }

    #[test]
    fn small_ones_are_no_false_alarms() {
        let mut small = found(50.0, 0.9, "car");
        small.small = true;
        let frames = [frame(
            vec![small, found(0.0, 0.5, "car")],
            vec![actual(0.0, "car")],
        )];
        assert_eq!(by_class(&frames, By::Box, false)["car"].ap50, Some(1.0));
    }

    #[test]
    fn the_hundred_and_first_box_does_not_count() {
        let mut all: Vec<Found> = (0..100)
            .map(|i| found(1000.0 + f64::from(i), 0.9, "car"))
            .collect();
        all.push(found(0.0, 0.1, "car"));
        let frames = [frame(all, vec![actual(0.0, "car")])];
        assert_eq!(by_class(&frames, By::Box, false)["car"].ap50, Some(0.0));
    }
}
