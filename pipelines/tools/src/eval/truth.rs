// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Truth from a file, and results set beside it.

use super::labels::Labels;
use anyhow::{Context, Result, bail};
use splitinfer_evaluate::truth::{Format, Truth, read};
use splitinfer_evaluate::{Found, Frame};
use std::collections::BTreeMap;
use std::path::Path;

/// # Errors
/// When the file cannot be read or is no truth of a known format.
pub(crate) fn load(path: &Path) -> Result<Truth> {
    let file = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(file)?;
    let format = Format::of(&text);
    let name = match format {
        Format::Coco => "COCO annotations",
        Format::Mot => "a MOT file",
        Format::Scene => "lines of a scene's truth",
    };
    read(&text, format).with_context(|| format!("{}, read as {name}", file()))
}

/// Frames with results and truth, and what is odd but no error.
///
/// # Errors
/// When no frame has both.
pub(super) fn join(
    results: BTreeMap<u64, Vec<Found>>,
    truth: &Truth,
    labels: &Labels,
) -> Result<(Vec<Frame>, Vec<String>)> {
    let (found_span, true_span) = (span(results.keys()), span(truth.frames.keys()));
    let beside = |(number, found): (u64, Vec<Found>)| {
        Some(Frame {
            number,
            found: labels.found(found),
            actual: labels.actual(truth.on(number)?.to_vec()),
        })
    };
    let total = results.len();
    let missing = truth
        .frames
        .keys()
        .filter(|n| !results.contains_key(n))
        .count();
    let frames: Vec<Frame> = results.into_iter().filter_map(beside).collect();
    let met = frames
        .iter()
        .filter(|f| truth.frames.contains_key(&f.number))
        .count();
    if met == 0 {
        bail!(
            "no frame has results and truth: results are of frames {found_span}, truth is of frames {true_span} (both \
             counted from 0; the id of a COCO image is the number of its frame)"
        );
    }
    let mut notes = Vec::new();
    if missing > 0 {
        notes.push(format!(
            "{missing} frames of the truth have no line of results: they are left out"
        ));
    }
    if frames.len() < total {
        notes.push(format!(
            "{} of {total} frames of the results have no truth: they are left out",
            total - frames.len()
        ));
    }
    Ok((frames, notes))
}

fn span<'a>(mut numbers: impl DoubleEndedIterator<Item = &'a u64>) -> String {
    match (numbers.next(), numbers.next_back()) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        (Some(only), None) => only.to_string(),
        _ => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_evaluate::Actual;

    fn truth(frames: &[u64], unlisted_are_empty: bool) -> Truth {
        Truth {
            frames: frames
                .iter()
                .map(|n| (*n, vec![Actual::default()]))
                .collect(),
            unlisted_are_empty,
            ..Truth::default()
        }
    }

    fn results(frames: std::ops::Range<u64>) -> BTreeMap<u64, Vec<Found>> {
        frames.map(|n| (n, Vec::new())).collect()
    }

    #[test]
    fn frames_of_both_sides_meet() {
        let labels = Labels::default();
        let (frames, notes) = join(results(0..5), &truth(&[1, 3, 9], false), &labels).unwrap();
        assert_eq!(frames.iter().map(|f| f.number).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(notes.len(), 2, "{notes:?}");
        let (frames, notes) = join(results(0..5), &truth(&[1, 3], true), &labels).unwrap();
        assert_eq!((frames.len(), notes.len()), (5, 0));
    }

    #[test]
    fn nothing_in_common_is_an_error_that_says_what_there_is() {
        for unlisted_are_empty in [false, true] {
            let truth = truth(&[100, 101], unlisted_are_empty);
            let e = join(results(0..5), &truth, &Labels::default())
                .unwrap_err()
                .to_string();
            assert!(e.contains("0 to 4") && e.contains("100 to 101"), "{e}");
        }
    }
}
