// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The `split` property: what the user may write there, and which split it means for a given model.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use splitinfer_graph::Cut;
use splitinfer_plan::Choice;

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum SplitSetting {
    /// Whatever the plan finds best.
    #[default]
    Auto,
    Edge,
    Server,
    /// Likewise, the pictures as a video.
    Video,
    /// A candidate by the name of its tensors, or by its number.
    Named(String),
}

impl FromStr for SplitSetting {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.trim() {
            "auto" | "" => Self::Auto,
            "edge" => Self::Edge,
            "server" => Self::Server,
            "server-video" => Self::Video,
            name => Self::Named(name.to_owned()),
        })
    }
}

impl fmt::Display for SplitSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Edge => "edge",
            Self::Server => "server",
            Self::Video => "server-video",
            Self::Named(name) => name,
        })
    }
}

/// Why a split cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SplitError {
    #[error(transparent)]
    Unknown(#[from] UnknownSplit),
    #[error(
        "split '{0}' would run the model here, and remote-only is set; use server or server-video"
    )]
    NotHere(String),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no split '{wanted}' in this model; use auto, edge, server, server-video, or one of: {candidates} (splitinfer-cuts prints the table)"
)]
pub(super) struct UnknownSplit {
    wanted: String,
    candidates: String,
}

impl SplitSetting {
    /// The choice that this setting fixes; `None` for `auto`. A tensor's name goes before a candidate's number, should
    /// a model name its tensors by numbers. `remote_only`: the server has to do everything.
    pub(super) fn resolve(
        &self,
        candidates: &[Cut],
        remote_only: bool,
    ) -> Result<Option<Choice>, SplitError> {
        Ok(match self {
            Self::Auto if remote_only => Some(Choice::Picture),
            Self::Auto => None,
            Self::Server => Some(Choice::Picture),
            Self::Video => Some(Choice::Video),
            _ if remote_only => return Err(SplitError::NotHere(self.to_string())),
            Self::Edge => Some(Choice::Here),
            Self::Named(name) => Some(Choice::Candidate(position(name, candidates)?)),
        })
    }
}

/// The candidate that `name` means.
pub(super) fn position(name: &str, candidates: &[Cut]) -> Result<usize, UnknownSplit> {
    let by_name = candidates.iter().position(|cut| cut.name == name);
    let by_number = || name.parse().ok().filter(|n| *n < candidates.len());
    by_name.or_else(by_number).ok_or_else(|| UnknownSplit {
        wanted: name.to_owned(),
        candidates: candidates
            .iter()
            .enumerate()
            .map(|(i, cut)| format!("{i} ({})", cut.name))
            .collect::<Vec<_>>()
            .join(", "),
    })
}

/// How metadata, messages and `stats` call a choice.
pub(super) fn name(choice: Choice, candidates: &[Cut]) -> &str {
    match choice {
        Choice::Here => "edge",
        Choice::Picture => "server",
        Choice::Video => "server-video",
        Choice::Candidate(i) => candidates.get(i).map_or("unknown", |cut| &cut.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(name: &str) -> Cut {
        Cut {
            tensors: Vec::new(),
            name: name.to_owned(),
            head_macs: 0,
            tail_macs: 0,
            head_params: 0,
            tail_params: 0,
            raw_bytes: 0,
            nodes_before: 0,
        }
    }

    #[test]
    fn a_split_is_found_by_name_and_by_number() {
        let cuts = [cut("relu"), cut("p3+p4"), cut("0")];
        let parsed = |s: &str| s.parse::<SplitSetting>().unwrap();
        let resolve = |s: &str| parsed(s).resolve(&cuts, false);
        assert_eq!(resolve("auto"), Ok(None));
        assert_eq!(resolve("edge"), Ok(Some(Choice::Here)));
        assert_eq!(resolve("server"), Ok(Some(Choice::Picture)));
        assert_eq!(resolve("server-video"), Ok(Some(Choice::Video)));
        assert_eq!(resolve("p3+p4"), Ok(Some(Choice::Candidate(1))));
        assert_eq!(resolve("1"), Ok(Some(Choice::Candidate(1))));
        assert_eq!(
            resolve("0"),
            Ok(Some(Choice::Candidate(2))),
            "a name goes before a number"
        );
    }

    #[test]
    fn where_the_server_does_everything_nothing_else_is_a_choice() {
        let resolve = |s: &str| s.parse::<SplitSetting>().unwrap().resolve(&[], true);
        assert_eq!(resolve("auto"), Ok(Some(Choice::Picture)));
        assert_eq!(resolve("server"), Ok(Some(Choice::Picture)));
        assert_eq!(resolve("server-video"), Ok(Some(Choice::Video)));
        for split in ["edge", "relu"] {
            let text = resolve(split).unwrap_err().to_string();
            assert!(
                text.contains(split) && text.contains("remote-only"),
                "{text}"
            );
        }
    }

    #[test]
    fn an_unknown_split_lists_what_there_is() {
        let text = position("p9", &[cut("relu"), cut("p3")])
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("'p9'") && text.contains("0 (relu), 1 (p3)"),
            "{text}"
        );
    }
}
