// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Whether another round of learning pays, by the errors that looks find after each.

use super::chart::LOST;

/// A round has paid that took away this share of the least error so far.
const PAYS: f64 = 0.2;
/// An error that is not worth another round.
const GOOD: f64 = 0.1;
/// The student is far from what it was before the change where its error is so many times what was usual then.
const FAR: f64 = 1.25;
const MOST_ROUNDS: usize = 6;

/// What the rounds so far have achieved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Progress {
    /// The error before the first.
    first: f64,
    /// The least so far.
    least: f64,
    /// Rounds in a row that have not paid.
    in_vain: usize,
}

impl Progress {
    /// Before the first round; `None` where the error is not known.
    pub(super) fn new(error: Option<f64>) -> Self {
        let error = error.unwrap_or(f64::INFINITY);
        Self {
            first: error,
            least: error,
            in_vain: 0,
        }
    }

    /// The error after round `number` (from 1), and what was usual before the change: whether there should be another. So long as the
    /// last one has paid, or the student is lost altogether: it may be on its way though nobody sees it. Where it is still far from
    /// what it was, one that has not paid does not end it: the looks are few, and those that raised the alarm, some of which saw
    /// the student as it was before, make the error that the first one is measured by too low.
    pub(super) fn goes_on(&mut self, number: usize, error: f64, usual: Option<f64>) -> bool {
        let paid = error > LOST || error < (1.0 - PAYS) * self.least;
        self.in_vain = if paid { 0 } else { self.in_vain + 1 };
        self.least = match number {
            1 => error,
            _ => self.least.min(error),
        };
        let far = usual.is_some_and(|usual| error > FAR * usual);
        number < MOST_ROUNDS && error > GOOD && self.in_vain <= usize::from(far)
    }

    /// Whether with this error the student is better than before the first round.
    pub(super) fn has_brought(&self, error: f64) -> bool {
        error < (1.0 - PAYS) * self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rounds there are with these errors after each.
    fn rounds(first: f64, usual: f64, after: &[f64]) -> usize {
        let mut progress = Progress::new(Some(first));
        let mut numbered = (1..).zip(after);
        let last = numbered.find(|(n, e)| !progress.goes_on(*n, **e, Some(usual)));
        last.map_or(after.len(), |(n, _)| n)
    }

    #[test]
    fn it_goes_on_while_each_round_takes_away_a_fifth() {
        assert_eq!(rounds(1.0, 0.4, &[0.6, 0.45, 0.4, 0.1]), 3);
        assert_eq!(rounds(1.0, 0.3, &[0.6, 0.09, 0.01]), 2);
        assert_eq!(rounds(1.0, 0.01, &[0.9; 9]), MOST_ROUNDS);
    }

    #[test]
    fn one_in_vain_does_not_end_it_far_from_what_was_usual() {
        assert_eq!(rounds(0.2, 0.06, &[0.3, 0.2, 0.12, 0.1]), 4);
        assert_eq!(rounds(0.6, 0.06, &[0.5, 0.5, 0.1]), 2);
        assert_eq!(rounds(0.6, 0.4, &[0.5, 0.2]), 1);
    }

    #[test]
    fn what_it_has_brought_is_reckoned_from_the_first_error() {
        let mut progress = Progress::new(Some(0.5));
        progress.goes_on(1, 0.45, None);
        assert!(!progress.has_brought(0.45) && progress.has_brought(0.39));
        assert!(Progress::new(None).has_brought(9.0));
    }
}
