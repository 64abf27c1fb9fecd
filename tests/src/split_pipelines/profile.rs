// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is measured once of a model before anything is played, on both machines: for those who choose by a profile, for the
//! budget, and for which cuts are held.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use splitinfer_plan::Choice;

use crate::baselines::line::Line;
use crate::baselines::neurosurgeon::{Candidate, Neurosurgeon};

/// Medians over some frames of the film.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    pub edge: Times,
    pub server: Times,
    pub picture_bytes: u64,
    /// `None` without the codec.
    pub video_bytes: Option<u64>,
    pub cuts: Vec<Cut>,
}

/// On one machine, with its part of a processor; ms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    pub whole: f64,
    pub picture: Coding,
    pub video: Coding,
    /// Of each cut.
    pub cuts: Vec<Part>,
}

/// ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Coding {
    pub encode: f64,
    pub decode: f64,
}

/// ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub head: f64,
    pub tail: f64,
    pub coding: Coding,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// As results name it.
    pub name: String,
    /// Of the model's multiplications, those in the head.
    pub head_share: f64,
    /// Predicted from the frame before.
    pub bytes: u64,
}

/// Links for which the cuts that are held are the best, bits a second.
const LINKS: [f64; 2] = [10e6, 1e6];

impl Profile {
    /// All that there is to choose among.
    pub fn choices(&self) -> Vec<Choice> {
        let video = self.video_bytes.map(|_| Choice::Video);
        let cuts = (0..self.cuts.len()).map(Choice::Candidate);
        let whole = [Choice::Here, Choice::Picture].into_iter();
        whole.chain(video).chain(cuts).collect()
    }

    /// How `split` and results name a choice.
    pub fn name(&self, choice: Choice) -> &str {
        match choice {
            Choice::Here => "edge",
            Choice::Picture => "server",
            Choice::Video => "server-video",
            Choice::Candidate(i) => self.cuts.get(i).map_or("edge", |cut| &cut.name),
        }
    }

    /// The choice that a result names.
    pub fn choice(&self, name: &str) -> Option<Choice> {
        let mut all = self.choices().into_iter();
        all.find(|choice| self.name(*choice) == name)
    }

    /// So many times what the model takes here, in steps of 20 ms.
    pub fn budget_ms(&self, times: f64) -> u32 {
        ((self.edge.whole * times / 20.0).round() as u32).max(1) * 20
    }

    /// `coding`: whether it reckons with encoding and decoding.
    pub fn neurosurgeon(&self, coding: bool) -> Neurosurgeon {
        let candidate = |choice| self.candidate(choice, coding);
        let candidates = self.choices().into_iter().map(candidate).collect();
        let heads = self.points(&self.edge, |part, share| (share, part.head));
        let tails = self.points(&self.server, |part, share| (1.0 - share, part.tail));
        Neurosurgeon::new(candidates, Line::through(&heads), Line::through(&tails))
    }

    /// Shares of the work and seconds; `of`: those of a cut, by its times and the head's share.
    fn points(&self, times: &Times, of: impl Fn(&Part, f64) -> (f64, f64)) -> Vec<(f64, f64)> {
        let parts = times.cuts.iter().zip(&self.cuts);
        let parts = parts.map(|(part, cut)| of(part, cut.head_share));
        let whole = [(0.0, 0.0), (1.0, times.whole)].into_iter();
        parts.chain(whole).map(|(x, ms)| (x, ms / 1e3)).collect()
    }

    fn candidate(&self, choice: Choice, coding: bool) -> Candidate {
        let here = match choice {
            Choice::Here => 1.0,
            Choice::Picture | Choice::Video => 0.0,
            Choice::Candidate(i) => self.cuts[i].head_share,
        };
        Candidate {
            choice,
            here,
            there: 1.0 - here,
            bytes: self.bytes(choice),
            coding: match coding {
                true => self.coding(choice),
                false => Duration::ZERO,
            },
        }
    }

    /// To the server.
    pub fn bytes(&self, choice: Choice) -> u64 {
        match choice {
            Choice::Here => 0,
            Choice::Picture => self.picture_bytes,
            Choice::Video => self.video_bytes.unwrap_or_default(),
            Choice::Candidate(i) => self.cuts[i].bytes,
        }
    }

    /// On the edge.
    pub fn encoding(&self, choice: Choice) -> Duration {
        Duration::from_secs_f64(self.edge.coding(choice).encode / 1e3)
    }

    /// Encoding on the edge and decoding on the server.
    fn coding(&self, choice: Choice) -> Duration {
        let decoding = self.server.coding(choice).decode;
        self.encoding(choice) + Duration::from_secs_f64(decoding / 1e3)
    }

    /// The cuts that would be the best on a fast and on a slow link, the second best where these are the same.
    pub fn best_cuts(&self) -> Vec<usize> {
        let mut best: Vec<usize> = Vec::new();
        for rate in LINKS {
            let left = (0..self.cuts.len()).filter(|i| !best.contains(i));
            let next = left.min_by_key(|i| self.cut_takes(*i, rate));
            best.extend(next);
        }
        best.sort_unstable();
        best
    }

    /// But for the round trip, which is the same for all.
    fn cut_takes(&self, cut: usize, rate: f64) -> Duration {
        let work = self.edge.cuts[cut].head + self.server.cuts[cut].tail;
        let bits = self.cuts[cut].bytes as f64 * 8.0;
        Duration::from_secs_f64(work / 1e3 + bits / rate) + self.coding(Choice::Candidate(cut))
    }
}

impl Times {
    fn coding(&self, choice: Choice) -> Coding {
        match choice {
            Choice::Here => Coding::default(),
            Choice::Picture => self.picture,
            Choice::Video => self.video,
            Choice::Candidate(i) => self.cuts[i].coding,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// 80 ms whole on the edge, 20 on the server, and three cuts.
    pub fn example() -> Profile {
        let shares = [0.25, 0.5, 0.75];
        let times = |whole: f64| Times {
            whole,
            picture: Coding {
                encode: whole / 20.0,
                decode: whole / 20.0,
            },
            video: Coding {
                encode: whole / 40.0,
                decode: whole / 40.0,
            },
            cuts: shares
                .map(|share| Part {
                    head: whole * share,
                    tail: whole * (1.0 - share),
                    coding: Coding {
                        encode: whole / 16.0,
                        decode: whole / 16.0,
                    },
                })
                .to_vec(),
        };
        let cut = |i: usize, bytes| Cut {
            name: ["relu1", "relu2", "relu3"][i].into(),
            head_share: shares[i],
            bytes,
        };
        Profile {
            edge: times(80.0),
            server: times(20.0),
            picture_bytes: 16_000,
            video_bytes: Some(4_000),
            cuts: vec![cut(0, 8_000), cut(1, 20_000), cut(2, 1_000)],
        }
    }

    #[test]
    fn the_fast_link_decides_first_which_cuts_are_held() {
        // Without coding 20 + 15 + 6.4 ms at 10 Mbit/s for the first; the last has 60 + 5 + 8 at 1 Mbit/s.
        assert_eq!(example().best_cuts(), [0, 2]);
        let mut one = example();
        one.cuts.truncate(1);
        assert_eq!(one.best_cuts(), [0]);
    }

    #[test]
    fn the_budget_is_a_multiple_of_the_time_here() {
        assert_eq!(example().budget_ms(2.7), 220);
        let mut fast = example();
        fast.edge.whole = 1.0;
        assert_eq!(fast.budget_ms(2.7), 20);
    }

    #[test]
    fn results_name_their_choice() {
        let profile = example();
        for choice in profile.choices() {
            assert_eq!(profile.choice(profile.name(choice)), Some(choice));
        }
        assert_eq!(profile.choice("relu9"), None);
        let without = Profile {
            video_bytes: None,
            ..example()
        };
        assert_eq!(without.choice("server-video"), None);
    }

    #[test]
    fn it_is_all_that_the_baseline_needs() {
        let profile = example();
        let mut it = profile.neurosurgeon(false);
        it.bandwidth(1.25e6);
        assert_eq!(it.choose(), Choice::Video, "20 + 3.2 ms");
        it.bandwidth(0.02e6);
        assert_eq!(it.choose(), Choice::Here);
        let ms = |choice| profile.coding(choice).as_secs_f64() * 1e3;
        assert!((ms(Choice::Candidate(1)) - 6.25).abs() < 1e-9);
    }
}
