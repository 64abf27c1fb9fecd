// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Loss in bursts.

use std::time::Duration;

use rand::Rng;

/// How long losses last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Burst {
    /// Mean number of packets lost in a row, at least 1, however far apart they are sent. With 1, losses are about
    /// independent.
    Packets(f64),
    /// Mean time for which nothing arrives, above 0: what interference or a handover does. Packets sent farther apart
    /// are lost independently.
    Time(Duration),
}

/// The simple Gilbert–Elliott channel (Gilbert, Bell System Technical Journal 39, 1960; Elliott, 42, 1963): a state in
/// which every packet arrives and one in which none does. It changes with the packets or with time, as the burst is
/// given. Its parameters may change from packet to packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct GilbertElliott {
    bad: bool,
    /// When the packet before passed.
    before: Duration,
}

impl GilbertElliott {
    /// Whether the next packet, which passes `now`, is lost. `mean_loss`: share of packets lost in the long run, 0 to 1.
    /// Bursts are never shorter than the loss asks for: of a loss of .9 no channel makes single ones. Times must not go
    /// back.
    pub fn loses(
        &mut self,
        now: Duration,
        mean_loss: f64,
        burst: Burst,
        dice: &mut impl Rng,
    ) -> bool {
        let passed = now.saturating_sub(self.before);
        self.before = now;
        let loss = mean_loss.clamp(0.0, 1.0);
        if loss == 0.0 || loss == 1.0 {
            self.bad = loss == 1.0;
            return self.bad;
        }
        let to_good = match burst {
            // From bad to good with 1/burst, from good to bad so that the shares are right; at most certain.
            Burst::Packets(mean) => (1.0 / mean.max(1.0)).min((1.0 - loss) / loss),
            // The chain in continuous time, seen after the time that has passed: bad becomes good with 1/burst and good
            // bad so that the shares are right.
            Burst::Time(mean) => {
                let means = passed.as_secs_f64() / mean.as_secs_f64();
                (1.0 - loss) * -(-means / (1.0 - loss)).exp_m1()
            }
        };
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

    const MS: Duration = Duration::from_millis(1);

    /// Share lost, and mean number lost in a row, of packets `apart` from each other.
    fn observe(loss: f64, burst: Burst, apart: Duration, seed: u64) -> (f64, f64) {
        const PACKETS: u32 = 200_000;
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut channel = GilbertElliott::default();
        let lost: Vec<bool> = (0..PACKETS)
            .map(|i| channel.loses(i * apart, loss, burst, &mut dice))
            .collect();
        let count = lost.iter().filter(|l| **l).count() as f64;
        let bursts = lost.windows(2).filter(|w| !w[0] && w[1]).count() as f64;
        (count / f64::from(PACKETS), count / bursts)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn share_and_length_of_losses_are_as_asked(loss in 0.01f64..0.3, burst in 1.5f64..6.0, seed: u64) {
            let (share, length) = observe(loss, Burst::Packets(burst), MS, seed);
            prop_assert!((share / loss - 1.0).abs() < 0.25);
            prop_assert!((length / burst - 1.0).abs() < 0.2);
        }

        #[test]
        fn in_time_losses_last_as_long_as_asked(loss in 0.01f64..0.3, burst in 5u32..20, seed: u64) {
            let (share, length) = observe(loss, Burst::Time(burst * MS), MS, seed);
            prop_assert!((share / loss - 1.0).abs() < 0.35, "{}", share / loss);
            // In packets a millisecond apart; those that begin and end between two are not seen.
            prop_assert!((length / f64::from(burst) - 1.0).abs() < 0.3, "{length}");
        }

        #[test]
        fn in_time_packets_far_apart_are_lost_independently(loss in 0.05f64..0.3, seed: u64) {
            let (share, length) = observe(loss, Burst::Time(5 * MS), 100 * MS, seed);
            prop_assert!((share / loss - 1.0).abs() < 0.1);
            prop_assert!((length * (1.0 - loss) - 1.0).abs() < 0.05, "{length}");
        }

        #[test]
        fn none_and_all_are_exact(burst in 1.0f64..6.0, seed: u64) {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            let mut channel = GilbertElliott::default();
            for burst in [Burst::Packets(burst), Burst::Time(MS.mul_f64(burst))] {
                for i in 0..100 {
                    prop_assert!(channel.loses(i * MS, 1.0, burst, &mut dice));
                    prop_assert!(!channel.loses(i * MS, 0.0, burst, &mut dice));
                }
            }
        }
    }
}
