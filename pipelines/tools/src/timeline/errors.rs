// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What each frame's result is worth.

use super::Args;
use crate::eval::{load_truth, read_results};
use anyhow::{Context, Result, anyhow};
use splitinfer_evaluate::truth::Truth;
use splitinfer_evaluate::{Frame, Ignore, Moment, Rules, evaluate};
use std::collections::BTreeMap;
use std::path::Path;

/// Objects that are smaller, or of which less can be seen, are not asked for: as in docs/evaluation.md.
const IGNORE: Ignore = Ignore {
    min_size: 12.0,
    min_visible: 0.3,
    largest: false,
};

/// A value a frame, by frame.
pub(super) type Series = Vec<(u64, f64)>;

/// What is known of each frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Errors {
    /// How many frames were played.
    pub frames: u64,
    /// Pixels, against the truth; empty without truth.
    pub adapted: Series,
    pub plain: Series,
    /// What the error is: of boxes or of joints.
    pub what: &'static str,
    /// Mean quality of the objects of a frame, 0 to 1.
    pub quality: Series,
    /// The first frame of another domain than the first.
    pub drift: Option<u64>,
}

impl Errors {
    /// # Errors
    /// When a file cannot be read; the message names it.
    pub fn read(args: &Args) -> Result<Self> {
        let mut errors = Self {
            what: "box MAE [px]",
            quality: qualities(&args.adapted)?,
            frames: read_results(&args.adapted)?
                .keys()
                .last()
                .map_or(0, |f| f + 1),
            ..Self::default()
        };
        let Some(path) = &args.truth else {
            return Ok(errors);
        };
        let truth = load_truth(path)?;
        errors.drift = drift(&truth.domains);
        (errors.what, errors.adapted) = against(&args.adapted, &truth)?;
        if let Some(plain) = &args.plain {
            errors.plain = against(plain, &truth)?.1;
        }
        Ok(errors)
    }
}

/// The mean quality of the objects of each frame that has any with one.
fn qualities(path: &Path) -> Result<Series> {
    let file = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(file)?;
    let mut series = Series::new();
    for (i, line) in text.lines().enumerate() {
        let (result, _) =
            splitinfer_meta::from_json(line).map_err(|e| anyhow!("{}:{}: {e}", file(), i + 1))?;
        let known: Vec<f64> = result
            .objects
            .iter()
            .filter_map(|o| o.quality.map(f64::from))
            .collect();
        if !known.is_empty() {
            series.push((result.frame, known.iter().sum::<f64>() / known.len() as f64));
        }
    }
    Ok(series)
}

/// What the error is, and its values.
fn against(results: &Path, truth: &Truth) -> Result<(&'static str, Series)> {
    let frames: Vec<Frame> = read_results(results)?
        .into_iter()
        .filter_map(|(number, found)| {
            let actual = truth.on(number)?.to_vec();
            let mut frame = Frame {
                number,
                found,
                actual,
            };
            IGNORE.apply(&mut frame);
            Some(frame)
        })
        .collect();
    let figures = evaluate(&frames, &Rules::default());
    let series = |value: fn(&Moment) -> Option<f64>| {
        let moments = figures.moments.iter();
        moments.filter_map(|m| Some((m.frame, value(m)?))).collect()
    };
    // Also for poses: of a person that is missed no joint has an error, but the box has.
    Ok(("box MAE [px]", series(|m| m.box_mae)))
}

fn drift(domains: &BTreeMap<u64, String>) -> Option<u64> {
    let first = domains.values().next()?;
    domains
        .iter()
        .find(|(_, d)| *d != first)
        .map(|(frame, _)| *frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drift_is_where_the_domain_changes() {
        let domains = |names: &[&str]| (0..).zip(names.iter().map(|n| (*n).to_owned())).collect();
        assert_eq!(drift(&domains(&["day", "day", "night"])), Some(2));
        assert_eq!(drift(&domains(&["day", "day"])), None);
        assert_eq!(drift(&BTreeMap::new()), None);
    }
}
