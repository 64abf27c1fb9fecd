// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The ways to choose that are compared.

use splitinfer_plan::Choice;

use super::control::{Control, Known};
use super::profile::Profile;

/// One way to choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// A short name, which also tells its [kind](Kind).
    pub id: String,
    way: Way,
    pub monitor: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Way {
    /// The element chooses.
    Auto,
    /// Always the same split.
    Fixed(String),
    /// Something outside of the element chooses.
    Controlled(Control),
}

/// Short names, as `--methods` takes them, and those in tables; in the tables' order. `cuts`: those that are held.
pub const KINDS: [(&str, &str); 9] = [
    ("planner", "planner"),
    ("no-monitor", "planner, no monitor"),
    ("neurosurgeon", "Neurosurgeon-style"),
    ("neurosurgeon-coding", "Neurosurgeon-style, knows coding"),
    ("bandit", "bandit"),
    ("here", "all here"),
    ("picture", "picture"),
    ("video", "video"),
    ("cuts", "best cut"),
];

/// Of each cut's short name, before its number.
const CUT: &str = "cut-";

/// Where a method stands in tables.
pub fn place(id: &str) -> usize {
    let kind = if id.starts_with(CUT) { "cuts" } else { id };
    let found = KINDS.iter().position(|(short, _)| *short == kind);
    found.unwrap_or(KINDS.len())
}

/// What tables call it.
pub fn title(id: &str) -> String {
    if let Some(number) = id.strip_prefix(CUT) {
        return format!("cut {number}");
    }
    KINDS
        .get(place(id))
        .map_or(id, |(_, title)| title)
        .to_owned()
}

/// Whether the split is always the same.
pub fn is_fixed(id: &str) -> bool {
    place(id) >= place("here")
}

impl Method {
    /// All methods for a model of which this is known; of the cuts those in `cuts`.
    pub fn all(profile: &Profile, budget_ms: u32, cuts: &[usize]) -> Vec<Self> {
        let method = |id: &str, way| Self {
            id: id.to_owned(),
            way,
            monitor: id != "no-monitor",
        };
        let fixed = |id: &str, choice| method(id, Way::Fixed(profile.name(choice).to_owned()));
        let controlled = |id: &str, control| method(id, Way::Controlled(control));
        let mut all = vec![
            method("planner", Way::Auto),
            method("no-monitor", Way::Auto),
            controlled("neurosurgeon", Control::Neurosurgeon { coding: false }),
            controlled(
                "neurosurgeon-coding",
                Control::Neurosurgeon { coding: true },
            ),
            controlled("bandit", Control::Bandit { budget_ms }),
            fixed("here", Choice::Here),
            fixed("picture", Choice::Picture),
        ];
        all.extend(profile.video_bytes.map(|_| fixed("video", Choice::Video)));
        let cuts = cuts.iter().filter(|i| **i < profile.cuts.len());
        all.extend(cuts.map(|i| fixed(&format!("{CUT}{i}"), Choice::Candidate(*i))));
        all
    }

    /// Whether it is one of these short names.
    pub fn is_one_of(&self, wanted: &[&str]) -> bool {
        let kind = KINDS.get(place(&self.id)).map(|(short, _)| *short);
        wanted.iter().any(|w| self.id == *w || kind == Some(w))
    }

    /// What the property `split` is in the beginning.
    pub fn split(&self) -> &str {
        match &self.way {
            Way::Auto => "auto",
            Way::Fixed(name) => name,
            Way::Controlled(_) => "edge",
        }
    }

    /// What sets it later.
    pub fn control(&self, profile: &Profile) -> Option<Known> {
        match self.way {
            Way::Controlled(control) => Some(Known {
                control,
                profile: profile.clone(),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile::tests::example;
    use super::*;

    #[test]
    fn every_method_has_a_title_and_a_place() {
        let all = Method::all(&example(), 200, &[0, 2, 9]);
        let ids: Vec<&str> = all.iter().map(|m| m.id.as_str()).collect();
        assert!(ids.is_sorted_by_key(|id| place(id)), "{ids:?}");
        assert_eq!(ids[8..], ["cut-0", "cut-2"], "there is no ninth");
        let fixed = all.iter().filter(|m| is_fixed(&m.id));
        let splits: Vec<&str> = fixed.map(Method::split).collect();
        assert_eq!(splits, ["edge", "server", "server-video", "relu1", "relu3"]);
        assert_eq!(title("cut-2"), "cut 2");
        assert_eq!(title("no-monitor"), "planner, no monitor");
    }

    #[test]
    fn methods_are_wanted_by_kind_or_name() {
        let all = Method::all(&example(), 200, &[0, 2]);
        let count = |wanted: &[&str]| all.iter().filter(|m| m.is_one_of(wanted)).count();
        assert_eq!(count(&["cuts", "bandit"]), 3);
        assert_eq!(count(&["cut-2"]), 1);
        assert_eq!(count(&["neurosurgeon"]), 1);
    }

    #[test]
    fn only_controllers_get_the_profile() {
        let all = Method::all(&example(), 200, &[]);
        let controlled = all.iter().filter(|m| m.control(&example()).is_some());
        assert_eq!(controlled.count(), 3);
    }
}
