// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which weights are trained.

use splitinfer_grad::Parameter;
use splitinfer_graph::{Cut, Facts, Model};

use crate::error::TrainError;

/// What part of a model learns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trainable {
    /// Every weight.
    #[default]
    All,
    /// The weights of what comes after a cut, named as `splitinfer-cuts` names it or by one of its tensors.
    /// What comes before runs once a sample.
    After(String),
    /// Weights whose names match one of these patterns, in which `*` stands for any characters.
    Matching(Vec<String>),
}

impl Trainable {
    /// From the words a user types: `all`, `after:TENSOR`, or patterns separated by commas.
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "" | "all" => Self::All,
            text => match text.strip_prefix("after:") {
                Some(tensor) => Self::After(tensor.trim().to_owned()),
                None => Self::Matching(text.split(',').map(|p| p.trim().to_owned()).collect()),
            },
        }
    }

    /// The cut that training starts from, if there is one.
    ///
    /// # Errors
    /// When the model cannot be cut there.
    pub(crate) fn cut(&self, model: &Model, facts: &Facts) -> Result<Option<Cut>, TrainError> {
        let Self::After(wanted) = self else {
            return Ok(None);
        };
        let cuts = model.cuts(facts);
        let named = |c: &&Cut| c.name == *wanted;
        let through = |c: &&Cut| c.tensors.iter().any(|t| t.name == *wanted);
        match cuts
            .iter()
            .find(named)
            .or_else(|| cuts.iter().find(through))
        {
            Some(cut) => Ok(Some(cut.clone())),
            None => Err(TrainError::NoSuchCut {
                tensor: wanted.clone(),
                reason: "the model cannot be cut there; splitinfer-cuts lists where it can".into(),
            }),
        }
    }

    /// Names of those weights that learn.
    ///
    /// # Errors
    /// When a pattern matches none.
    pub(crate) fn choose(&self, weights: &[Parameter]) -> Result<Vec<String>, TrainError> {
        let Self::Matching(patterns) = self else {
            return Ok(weights.iter().map(|w| w.name.clone()).collect());
        };
        for pattern in patterns {
            if !weights.iter().any(|w| matches(pattern, &w.name)) {
                let names: Vec<String> = weights.iter().map(|w| format!("'{}'", w.name)).collect();
                return Err(TrainError::NoSuchWeight {
                    pattern: pattern.clone(),
                    weights: names.join(", "),
                });
            }
        }
        let wanted = |w: &&Parameter| patterns.iter().any(|p| matches(p, &w.name));
        Ok(weights
            .iter()
            .filter(wanted)
            .map(|w| w.name.clone())
            .collect())
    }
}

/// Whether a name is of the form that `pattern` shows.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(start) else {
        return false;
    };
    let parts: Vec<&str> = rest.split('*').collect();
    let Some((end, middle)) = parts.split_last() else {
        return true;
    };
    for part in middle {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        assert!(matches("head.*", "head.conv.weight"));
        assert!(matches("*.bias", "head.conv.bias"));
        assert!(matches("head*conv*bias", "head.1.conv.2.bias"));
        assert!(matches("*", ""));
        assert!(!matches("head.*", "body.head.conv"));
        assert!(!matches("a*a", "a"));
        assert!(matches("exact", "exact") && !matches("exact", "exactly"));
    }

    #[test]
    fn words_of_a_user_are_understood() {
        assert_eq!(Trainable::parse("all"), Trainable::All);
        assert_eq!(
            Trainable::parse("after:features7"),
            Trainable::After("features7".into())
        );
        let patterns = Trainable::Matching(vec!["a.*".into(), "b".into()]);
        assert_eq!(Trainable::parse("a.*, b"), patterns);
    }
}
