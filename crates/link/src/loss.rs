// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Loss in bursts.

use rand::Rng;

/// The simple Gilbert–Elliott channel (Gilbert, Bell System Technical Journal 39, 1960; Elliott, 42, 1963): a state in
/// which every packet arrives and one in which none does. Its parameters may change from packet to packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct GilbertElliott {
    bad: bool,
}

impl GilbertElliott {
    /// Whether the next packet is lost. `mean_loss`: share of packets lost in the long run, 0 to 1; `mean_burst`: mean
    /// number lost in a row, at least 1. Bursts are never shorter than the loss asks for: of a loss of .9 no channel
    /// makes single ones.
    pub fn loses(&mut self, mean_loss: f64, mean_burst: f64, dice: &mut impl Rng) -> bool {
        let loss = mean_loss.clamp(0.0, 1.0);
        if loss == 0.0 || loss == 1.0 {
            self.bad = loss == 1.0;
            return self.bad;
        }
        // From bad to good with 1/burst, from good to bad so that the shares are right; at most certain.
        let to_good = (1.0 / mean_burst.max(1.0)).min((1.0 - loss) / loss);
        let change = if self.bad {
            to_good
        } else {
            to_good * loss / (1.0 - loss)
        };
        if dice.random_bool(change.clamp(0.0, 1.0)) {
            self.bad = !self.bad;
        }
        self.bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn share_and_length_of_losses_are_as_asked(loss in 0.01f64..0.3, burst in 1.5f64..6.0, seed: u64) {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            let mut channel = GilbertElliott::default();
            let lost: Vec<bool> = (0..200_000).map(|_| channel.loses(loss, burst, &mut dice)).collect();
            let count = lost.iter().filter(|l| **l).count() as f64;
            let bursts = lost.windows(2).filter(|w| !w[0] && w[1]).count() as f64;
            prop_assert!((count / 200_000.0 / loss - 1.0).abs() < 0.25);
            prop_assert!((count / bursts / burst - 1.0).abs() < 0.2);
        }

        #[test]
        fn none_and_all_are_exact(burst in 1.0f64..6.0, seed: u64) {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            let mut channel = GilbertElliott::default();
            for _ in 0..100 {
                prop_assert!(channel.loses(1.0, burst, &mut dice));
                prop_assert!(!channel.loses(0.0, burst, &mut dice));
            }
        }
    }
}
