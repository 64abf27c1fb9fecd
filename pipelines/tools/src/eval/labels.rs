// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Labels of results and truth: renamed, left out, compared.

use anyhow::{Result, bail};
use splitinfer_evaluate::{Actual, Found, Frame};
use std::collections::{BTreeMap, BTreeSet};

/// What all objects are called where labels do not count.
const ANY: &str = "object";

/// What to do with labels before anything is compared.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    pub agnostic: bool,
    pub map: BTreeMap<String, String>,
    /// Empty: all.
    pub only: Vec<String>,
}

impl Labels {
    /// The label as it counts; `None` for one that is left out.
    pub fn read(&self, label: &str) -> Option<String> {
        let label = self.map.get(label).map_or(label, String::as_str);
        let wanted = self.only.is_empty() || self.only.iter().any(|o| o == label);
        let label = if self.agnostic { ANY } else { label };
        wanted.then(|| label.to_owned())
    }

    pub fn found(&self, objects: Vec<Found>) -> Vec<Found> {
        let read = |mut o: Found| {
            o.label = self.read(&o.label)?;
            Some(o)
        };
        objects.into_iter().filter_map(read).collect()
    }

    pub fn actual(&self, objects: Vec<Actual>) -> Vec<Actual> {
        let read = |mut o: Actual| {
            o.label = self.read(&o.label)?;
            Some(o)
        };
        objects.into_iter().filter_map(read).collect()
    }
}

/// Whether results and truth speak of the same things. Gives what is odd but no error, a line each.
///
/// `known` are the labels that the model can give, where that is known; else those that occur count.
///
/// # Errors
/// When no label is common, so that no object could ever be right.
pub fn compare(frames: &[Frame], known: Option<&BTreeSet<String>>) -> Result<Vec<String>> {
    let count = |labels: Vec<&String>| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        labels
            .into_iter()
            .for_each(|l| *counts.entry(l.clone()).or_default() += 1);
        counts
    };
    let found = count(
        frames
            .iter()
            .flat_map(|f| &f.found)
            .map(|o| &o.label)
            .collect(),
    );
    let actual = count(
        frames
            .iter()
            .flat_map(|f| &f.actual)
            .map(|o| &o.label)
            .collect(),
    );
    let can: BTreeSet<String> = match known {
        Some(known) => known.clone(),
        None => found.keys().cloned().collect(),
    };
    let is: BTreeSet<String> = actual.keys().cloned().collect();
    if !can.is_empty() && !is.is_empty() && can.is_disjoint(&is) {
        bail!(
            "no label in common: the results have {}, the truth has {}; --map FROM=TO renames, --class-agnostic \
             compares boxes alone",
            list(&can),
            list(&is)
        );
    }
    let strange = found
        .iter()
        .filter(|(l, _)| !is.contains(*l) && !is.is_empty());
    let strange = strange.map(|(l, n)| {
        format!("{n} objects found are `{l}`, which the truth never has: they count as false (--only, --map)")
    });
    let unknown = actual
        .iter()
        .filter(|(l, _)| !can.contains(*l) && !can.is_empty());
    let unknown = unknown.map(|(l, n)| {
        format!("{n} true objects are `{l}`, which the results never have: they count as missed (--only, --map)")
    });
    Ok(strange.chain(unknown).collect())
}

/// A few of them, in words.
fn list(labels: &BTreeSet<String>) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<&str> = labels.iter().take(SHOWN).map(String::as_str).collect();
    match labels.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(found: &[&str], actual: &[&str]) -> Vec<Frame> {
        vec![Frame {
            number: 0,
            found: found
                .iter()
                .map(|l| Found {
                    label: (*l).into(),
                    ..Found::default()
                })
                .collect(),
            actual: actual
                .iter()
                .map(|l| Actual {
                    label: (*l).into(),
                    ..Actual::default()
                })
                .collect(),
        }]
    }

    #[test]
    fn labels_are_renamed_before_they_are_chosen() {
        let labels = Labels {
            map: [("van".to_owned(), "car".to_owned())].into(),
            only: vec!["car".into()],
            ..Labels::default()
        };
        assert_eq!(labels.read("van").as_deref(), Some("car"));
        assert_eq!(labels.read("bus"), None);
        let agnostic = Labels {
            agnostic: true,
            ..labels
        };
        assert_eq!(agnostic.read("van").as_deref(), Some(ANY));
        assert_eq!(agnostic.read("bus"), None);
    }

    #[test]
    fn nothing_in_common_is_an_error_that_says_what_there_is() {
        let e = compare(&frame(&["person"], &["car", "bus"]), None)
            .unwrap_err()
            .to_string();
        assert!(
            e.contains("results have person") && e.contains("truth has bus, car"),
            "{e}"
        );
        // Nothing was found, but the model could not have found it either.
        let known = BTreeSet::from(["person".to_owned()]);
        assert!(compare(&frame(&[], &["car"]), Some(&known)).is_err());
        assert!(compare(&frame(&[], &["car"]), None).is_ok());
        assert!(compare(&frame(&["person"], &[]), None).is_ok());
    }

    #[test]
    fn what_only_one_side_has_is_mentioned() {
        let notes = compare(&frame(&["car", "dog", "dog"], &["car", "bus"]), None).unwrap();
        assert_eq!(notes.len(), 2);
        assert!(notes[0].contains("2 objects found are `dog`"), "{notes:?}");
        assert!(notes[1].contains("1 true objects are `bus`"), "{notes:?}");
    }
}
