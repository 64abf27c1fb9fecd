// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! COCO's matching of one picture: best score first, each found object takes the free true object it is most like.

/// What became of a found object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is this true object (its place in the list that was given).
    Hit(usize),
    /// It belongs to a true object that is to be ignored.
    Ignored(usize),
    False,
}

/// A true object as the matching sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub ignore: bool,
    pub crowd: bool,
}

/// The places of `scores`, best first, equal ones in the order given.
pub(crate) fn best_first(scores: impl Iterator<Item = f64>) -> Vec<usize> {
    let scores: Vec<f64> = scores.collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

/// Matches the found objects of one picture, which come best first, at one threshold of similarity.
///
/// `similarity[found][target]`. As `pycocotools` does it: true objects that count come before those to be ignored, a
/// found object never leaves one that counts for an ignored one, of equally similar ones the last is taken, and only a
/// crowd can be found more than once.
pub(crate) fn match_picture(
    similarity: &[Vec<f64>],
    targets: &[Target],
    threshold: f64,
) -> Vec<Verdict> {
    let mut order: Vec<usize> = (0..targets.len()).collect();
    order.sort_by_key(|t| targets[*t].ignore);
    let mut taken = vec![false; targets.len()];
    similarity
        .iter()
        .map(|row| {
            let mut best = threshold.min(1.0 - 1e-10);
            let mut choice: Option<usize> = None;
            for &t in &order {
                if taken[t] && !targets[t].crowd {
                    continue;
                }
                if targets[t].ignore && choice.is_some_and(|c| !targets[c].ignore) {
                    break;
                }
                if row[t] >= best {
                    best = row[t];
                    choice = Some(t);
                }
            }
            match choice {
                None => Verdict::False,
                Some(t) => {
                    taken[t] = true;
                    if targets[t].ignore {
                        Verdict::Ignored(t)
                    } else {
                        Verdict::Hit(t)
                    }
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: Target = Target {
        ignore: false,
        crowd: false,
    };
    const IGNORED: Target = Target {
        ignore: true,
        crowd: false,
    };
    const CROWD: Target = Target {
        ignore: true,
        crowd: true,
    };

    fn verdicts(similarity: &[&[f64]], targets: &[Target]) -> Vec<Verdict> {
        let rows: Vec<Vec<f64>> = similarity.iter().map(|r| r.to_vec()).collect();
        match_picture(&rows, targets, 0.5)
    }

    #[test]
    fn each_true_object_is_found_once_by_the_best_score() {
        let found = verdicts(&[&[0.6], &[0.9]], &[COUNTS]);
        assert_eq!(found, [Verdict::Hit(0), Verdict::False]);
    }

    #[test]
    fn what_counts_goes_before_what_is_ignored() {
        let found = verdicts(&[&[0.9, 0.6], &[0.9, 0.6]], &[IGNORED, COUNTS]);
        assert_eq!(found, [Verdict::Hit(1), Verdict::Ignored(0)]);
    }

    #[test]
    fn a_crowd_is_found_any_number_of_times() {
        let found = verdicts(&[&[0.9], &[0.8], &[0.4]], &[CROWD]);
        assert_eq!(
            found,
            [Verdict::Ignored(0), Verdict::Ignored(0), Verdict::False]
        );
    }

    #[test]
    fn equal_scores_keep_their_order() {
        assert_eq!(best_first([0.1, 0.7, 0.7, 0.9].into_iter()), [3, 1, 2, 0]);
    }
}
