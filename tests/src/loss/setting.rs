// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is compared: models at cuts, budgets, and ways to deal with frames whose packets are lost.

use std::path::PathBuf;

/// A round trip of 40 ms, on a link that is no bottleneck.
pub const CLEAN: &str = "0s rate=50Mbit/s delay=20ms";
/// Of the packets to the server 5 % are lost, three in a row on average.
pub const LOSSY: &str = "0s rate=50Mbit/s delay=20ms up.loss=5% up.burst=3";

/// A model, where it is cut, and how finely the tensors are coded.
#[derive(Clone, Debug)]
pub struct Subject {
    pub name: &'static str,
    pub scene: &'static str,
    pub cut: &'static str,
    pub bits: u32,
    /// ms: what a retransmission is too late for; of some also what it is in time for in half of the cases, and always.
    pub budgets: &'static [u32],
}

impl Subject {
    pub fn model(&self) -> PathBuf {
        crate::repository().join(format!("models/{}.onnx", self.name))
    }
}

/// Of each model the first cut, many packets a frame, and one that is small. The last line is about the first two.
pub const SUBJECTS: [Subject; 4] = [
    subject("walker-student", "walker", "features1", &[75, 100, 200]),
    subject("traffic-student", "traffic", "features1", &[75, 100, 200]),
    subject("walker-student", "walker", "features7", &[100]),
    subject("traffic-student", "traffic", "features7", &[100]),
];
/// Of them, those that the last line is about.
pub const HEADLINES: usize = 2;

/// At 8 bits: as fine as `output-error` has it at these cuts, and the same in each run.
const fn subject(
    name: &'static str,
    scene: &'static str,
    cut: &'static str,
    budgets: &'static [u32],
) -> Subject {
    Subject {
        name,
        scene,
        cut,
        bits: 8,
        budgets,
    }
}

/// What becomes of a frame whose answer would be late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub name: &'static str,
    pub lossy: bool,
    pub incomplete: &'static str,
    pub on_deadline: &'static str,
}

/// In the order of the table.
pub const WAYS: [Way; 6] = [
    way("no loss", false, "never", "complete"),
    way("completed here", true, "never", "complete"),
    way("from parts, else here", true, "always", "complete"),
    way("no loss, never here", false, "never", "skip"),
    way("never here", true, "never", "skip"),
    way("from parts, never here", true, "when-late", "skip"),
];

const fn way(
    name: &'static str,
    lossy: bool,
    incomplete: &'static str,
    on_deadline: &'static str,
) -> Way {
    Way {
        name,
        lossy,
        incomplete,
        on_deadline,
    }
}

impl Way {
    /// Of `splitinfer-edge`.
    pub fn properties(&self, subject: &Subject, budget: u32) -> Vec<(&'static str, String)> {
        vec![
            ("split", subject.cut.to_owned()),
            ("tensor-bits", subject.bits.to_string()),
            ("latency-budget", budget.to_string()),
            ("max-in-flight", "8".to_owned()),
            ("incomplete-frames", self.incomplete.to_owned()),
            ("on-deadline", self.on_deadline.to_owned()),
        ]
    }

    pub fn links(&self) -> [&'static str; 2] {
        [CLEAN, if self.lossy { LOSSY } else { CLEAN }]
    }
}

impl Way {
    /// The way without loss that it is compared with, in [`WAYS`].
    pub fn base(&self) -> usize {
        let same = |way: &Way| !way.lossy && way.on_deadline == self.on_deadline;
        WAYS.iter().position(same).unwrap_or_default()
    }

    /// Frames are completed from parts, and nothing else helps.
    pub fn is_headline(&self) -> bool {
        self.incomplete == "when-late" && self.on_deadline == "skip"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_compared_with_one_without_loss_that_is_otherwise_the_same() {
        for way in WAYS {
            let base = WAYS[way.base()];
            assert!(
                !base.lossy && base.on_deadline == way.on_deadline,
                "{way:?}"
            );
        }
        assert_eq!(WAYS.iter().filter(|w| w.is_headline()).count(), 1);
    }

    #[test]
    fn links_are_links() {
        for link in WAYS.iter().flat_map(Way::links) {
            link.parse::<splitinfer_link::Trace>().unwrap();
        }
    }
}
