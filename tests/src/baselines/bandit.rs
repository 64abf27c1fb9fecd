// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Discounted UCB (Garivier and Moulines, ALT 2011) over the choices, without any profile: it learns from the latencies of
//! frames that have left, and forgets them slowly, because the world changes.

use std::time::Duration;

use splitinfer_plan::Choice;

/// The paper's γ. For this and the next the paper has orders of magnitude that depend on how often the world changes and how large
/// costs get; they were chosen so as to be good for it on the simulation's traces.
const DISCOUNT: f64 = 0.99;
/// Its 2·B·√ξ, in budgets.
const EXPLORE: f64 = 0.05;
/// An arm that was played less, discounted, counts as never played.
const FORGOTTEN: f64 = 1e-3;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Bandit {
    choices: Vec<Choice>,
    /// Discounted number and sum of costs, each in budgets.
    arms: Vec<(f64, f64)>,
    budget: Duration,
}

impl Bandit {
    pub fn new(choices: Vec<Choice>, budget: Duration) -> Self {
        Self {
            arms: vec![(0.0, 0.0); choices.len()],
            choices,
            budget,
        }
    }

    /// A frame has left, so long after it was captured.
    pub fn left(&mut self, choice: Choice, latency: Duration) {
        for (number, sum) in &mut self.arms {
            *number *= DISCOUNT;
            *sum *= DISCOUNT;
        }
        if let Some(i) = self.choices.iter().position(|c| *c == choice) {
            self.arms[i].0 += 1.0;
            self.arms[i].1 += latency.as_secs_f64() / self.budget.as_secs_f64();
        }
    }

    /// The choice whose latency may be the least, as far as it is known.
    pub fn choose(&self) -> Choice {
        let total: f64 = self.arms.iter().map(|a| a.0).sum();
        let bound = |&(number, sum): &(f64, f64)| {
            if number < FORGOTTEN {
                return f64::NEG_INFINITY;
            }
            sum / number - EXPLORE * (total.max(1.0).ln() / number).sqrt()
        };
        let best = (0..self.arms.len())
            .min_by(|a, b| bound(&self.arms[*a]).total_cmp(&bound(&self.arms[*b])));
        best.map_or(Choice::Here, |i| self.choices[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOICES: [Choice; 3] = [Choice::Here, Choice::Picture, Choice::Candidate(0)];

    /// Choices of so many frames, which take as long as `cost` says, in ms.
    fn play(bandit: &mut Bandit, frames: usize, cost: impl Fn(Choice) -> u64) -> Vec<Choice> {
        let mut choices = Vec::new();
        for _ in 0..frames {
            let choice = bandit.choose();
            bandit.left(choice, Duration::from_millis(cost(choice)));
            choices.push(choice);
        }
        choices
    }

    #[test]
    fn every_choice_is_tried_and_the_best_one_kept() {
        let mut bandit = Bandit::new(CHOICES.to_vec(), Duration::from_millis(200));
        let choices = play(&mut bandit, 100, |c| match c {
            Choice::Picture => 50,
            _ => 150,
        });
        assert_eq!(choices[..3], CHOICES);
        let best = choices.iter().filter(|c| **c == Choice::Picture).count();
        assert!(best > 80, "{best}");
    }

    #[test]
    fn what_has_become_slow_is_left() {
        let mut bandit = Bandit::new(CHOICES.to_vec(), Duration::from_millis(200));
        play(&mut bandit, 50, |c| match c {
            Choice::Picture => 50,
            _ => 100,
        });
        let later = play(&mut bandit, 50, |c| match c {
            Choice::Here => 50,
            _ => 200,
        });
        let last = later[30..].iter().filter(|c| **c == Choice::Here).count();
        assert!(last >= 18, "{last} of 20");
    }
}
