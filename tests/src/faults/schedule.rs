// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which faults there are, when they come and how long they last: drawn by chance, the same in every run.

use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For comparison: what the machine does by itself.
    Nothing,
    /// The server is killed and after a while started again.
    Kill,
    /// The server's process is stopped and goes on after a while.
    Freeze,
    /// The link lets nothing through for a while: both ways, only up, only down, in turns.
    Partition,
    /// The server is killed again and again, each time shortly after it was started.
    Loop,
}

pub const KINDS: [Kind; 5] = [
    Kind::Nothing,
    Kind::Kill,
    Kind::Freeze,
    Kind::Partition,
    Kind::Loop,
];

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Partition => "partition",
            Self::Loop => "restart loop",
        }
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// How long all is well before it.
    pub calm: Duration,
    pub act: Act,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Nothing {
        length: Duration,
    },
    Kill {
        down: Duration,
    },
    Freeze {
        length: Duration,
    },
    /// Which ways nothing passes.
    Cut {
        up: bool,
        down: bool,
        length: Duration,
    },
    /// How long the server runs before each kill but the first.
    Loop {
        lives: Vec<Duration>,
    },
}

/// So many faults of a kind. Of each kind short and long ones are equally many on a logarithmic scale, in any order.
pub fn schedule(kind: Kind, count: usize, seed: u64) -> Vec<Fault> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut places: Vec<usize> = (0..count).collect();
    places.shuffle(&mut dice);
    let fault = |(i, place): (usize, usize)| {
        let share = (place as f64 + dice.random::<f64>()) / count as f64;
        let act = match kind {
            Kind::Nothing => Act::Nothing {
                length: Duration::from_secs(1),
            },
            Kind::Kill => Act::Kill {
                down: between(50, 4000, share),
            },
            // From a tenth of the budget to longer than a connection lives.
            Kind::Freeze => Act::Freeze {
                length: between(10, 3500, share),
            },
            Kind::Partition => Act::Cut {
                up: i % 3 != 2,
                down: i % 3 != 1,
                length: between(20, 4000, share),
            },
            Kind::Loop => Act::Loop {
                lives: (0..dice.random_range(3..8))
                    .map(|_| between(10, 500, dice.random()))
                    .collect(),
            },
        };
        Fault {
            calm: Duration::from_millis(dice.random_range(200..1000)),
            act,
        }
    };
    places.into_iter().enumerate().map(fault).collect()
}

/// From `least` to `most` ms as `share` goes from 0 to 1, on a logarithmic scale.
pub fn between(least: u32, most: u32, share: f64) -> Duration {
    let (least, most) = (f64::from(least), f64::from(most));
    Duration::from_secs_f64(least * (most / least).powf(share) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        for kind in KINDS {
            assert_eq!(schedule(kind, 9, 1), schedule(kind, 9, 1));
        }
        assert_ne!(schedule(Kind::Kill, 9, 1), schedule(Kind::Kill, 9, 2));
    }

    #[test]
    fn freezes_are_shorter_and_longer_than_the_budget_however_few_there_are() {
        for seed in 0..20 {
            let lengths = schedule(Kind::Freeze, 3, seed)
                .into_iter()
                .map(|f| match f.act {
                    Act::Freeze { length } => length.as_millis(),
                    other => panic!("{other:?}"),
                });
            let lengths: Vec<_> = lengths.collect();
            assert!(lengths.iter().any(|ms| *ms < 100), "{lengths:?}");
            assert!(lengths.iter().any(|ms| *ms > 400), "{lengths:?}");
        }
    }

    #[test]
    fn links_are_cut_both_ways_and_each_alone() {
        let ways = schedule(Kind::Partition, 3, 5)
            .into_iter()
            .map(|f| match f.act {
                Act::Cut { up, down, .. } => (up, down),
                other => panic!("{other:?}"),
            });
        let ways: Vec<_> = ways.collect();
        assert_eq!(ways, [(true, true), (true, false), (false, true)]);
    }
}
