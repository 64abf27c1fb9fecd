// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! MOTChallenge's `gt.txt`: A. Milan et al., *MOT16: A Benchmark for Multi-Object Tracking*, arXiv:1603.00831.
//!
//! A line is `frame, id, x, y, width, height[, considered[, class[, visibility]]]`; frames count from 1 and become
//! frames from 0. An object that is not to be considered (0) is ignored.

use super::{Truth, TruthError};
use crate::frame::Actual;

/// What an object is called whose class is not told.
const NAMELESS: &str = "object";

/// The benchmark's classes from 1. Static persons, distractors and reflections (7, 8, 12) are ignored, as by its
/// evaluation.
const CLASSES: [&str; 12] = [
    "person",
    "person on vehicle",
    "car",
    "bicycle",
    "motorcycle",
    "non motorized vehicle",
    "static person",
    "distractor",
    "occluder",
    "occluder on the ground",
    "occluder full",
    "reflection",
];
const NOT_ASKED_FOR: [usize; 4] = [2, 7, 8, 12];

pub(super) fn read(text: &str) -> Result<Truth, TruthError> {
    let mut truth = Truth {
        unlisted_are_empty: true,
        ..Truth::default()
    };
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let (frame, actual) = object(line).map_err(|problem| TruthError::Line {
            line: i + 1,
            problem,
        })?;
        truth.frames.entry(frame).or_default().push(actual);
    }
    match truth.frames.is_empty() {
        true => Err(TruthError::Whole("there is no line in it".into())),
        false => Ok(truth),
    }
}

fn object(line: &str) -> Result<(u64, Actual), String> {
    let fields: Vec<f64> = line
        .split([',', ' ', '\t', ';'])
        .filter(|f| !f.is_empty())
        .map(|f| {
            f.parse()
                .ok()
                .filter(|v: &f64| v.is_finite())
                .ok_or_else(|| format!("`{f}` is not a number"))
        })
        .collect::<Result<_, _>>()?;
    let [frame, id, x, y, width, height] = *fields.get(..6).unwrap_or_default() else {
        return Err(format!(
            "{} numbers, but frame, id, x, y, width, height are needed",
            fields.len()
        ));
    };
    if frame < 1.0 || frame.fract() != 0.0 {
        return Err(format!("frame {frame}: frames count from 1"));
    }
    if id < 0.0 {
        return Err(format!("id {id}: the truth has one of at least 0"));
    }
    let class = fields
        .get(7)
        .copied()
        .filter(|c| *c >= 1.0)
        .map(|c| c as usize);
    let considered = fields.get(6).is_none_or(|c| *c != 0.0);
    let asked_for = class.is_none_or(|c| !NOT_ASKED_FOR.contains(&c));
    let name = |c: usize| {
        CLASSES
            .get(c - 1)
            .map_or_else(|| c.to_string(), |n| (*n).to_owned())
    };
    let actual = Actual {
        label: class.map_or_else(|| NAMELESS.to_owned(), name),
        bbox: [x, y, width, height],
        ignore: !considered || !asked_for,
        track: Some(id as u64),
        visible: fields.get(8).copied().filter(|v| (0.0..=1.0).contains(v)),
        ..Actual::default()
    };
    Ok((frame as u64 - 1, actual))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_and_without_class() {
        let truth =
            read("1,4,10.5,20,30,40,1,3,0.25\n3 1 1 2 3 4 1 -1 -1 -1\n\n3,9,0,0,5,5,0,1,1\n")
                .unwrap();
        let car = &truth.on(0).unwrap()[0];
        assert_eq!(
            (car.label.as_str(), car.track, car.visible),
            ("car", Some(4), Some(0.25))
        );
        assert_eq!(car.bbox, [10.5, 20.0, 30.0, 40.0]);
        assert_eq!(
            truth.on(1),
            Some(&[][..]),
            "a frame without a line is empty"
        );
        let third = truth.on(2).unwrap();
        assert_eq!(
            (third[0].label.as_str(), third[0].visible),
            (NAMELESS, None)
        );
        assert!(!third[0].ignore && third[1].ignore);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, said) in [
            ("1,1,0,0,5,5\n1,1,0,0,5", "line 2: 5 numbers"),
            ("1,1,0,0,five,5", "line 1: `five`"),
            ("0,1,0,0,5,5", "frames count from 1"),
            ("1,-1,0,0,5,5", "id -1"),
            ("\n", "no line"),
        ] {
            let e = read(text).unwrap_err().to_string();
            assert!(e.contains(said), "{e}");
        }
    }
}
