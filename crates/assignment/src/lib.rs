// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Optimal assignment: which pairs to make so that the sum of their costs is smallest.
//!
//! Evaluation pairs what was found with what is there by it, tracking pairs what was found with what was there before.

/// For each row the column it is paired with. Makes as many pairs as the smaller side has, at the least sum of costs.
///
/// Shortest augmenting paths with potentials (Jonker and Volgenant, *Computing* 38, 1987), O(rows² · columns).
/// `cost(row, column)` must be finite.
pub fn assign(
    rows: usize,
    columns: usize,
    cost: impl Fn(usize, usize) -> f64,
) -> Vec<Option<usize>> {
    if rows <= columns {
        return fewer_rows(rows, columns, &cost);
    }
    invert(&fewer_rows(columns, rows, &|c, r| cost(r, c)), rows)
}

/// Every row gets a column.
fn fewer_rows(
    rows: usize,
    columns: usize,
    cost: &dyn Fn(usize, usize) -> f64,
) -> Vec<Option<usize>> {
    let mut search = Search {
        row_potential: vec![0.0; rows],
        column_potential: vec![0.0; columns + 1],
        row_of: vec![None; columns + 1],
    };
    for row in 0..rows {
        search.add(row, columns, cost);
    }
    invert(&search.row_of[..columns], rows)
}

/// Which place leads to each of `0..n`.
fn invert(places: &[Option<usize>], n: usize) -> Vec<Option<usize>> {
    let mut inverted = vec![None; n];
    for (place, target) in places.iter().enumerate() {
        if let Some(target) = target {
            inverted[*target] = Some(place);
        }
    }
    inverted
}

struct Search {
    row_potential: Vec<f64>,
    /// One more than there are columns: the last is where a search starts.
    column_potential: Vec<f64>,
    row_of: Vec<Option<usize>>,
}

impl Search {
    /// Pairs one more row, moving others where that is cheaper.
    fn add(&mut self, row: usize, columns: usize, cost: &dyn Fn(usize, usize) -> f64) {
        let start = columns;
        self.row_of[start] = Some(row);
        let mut shortest = vec![f64::INFINITY; columns];
        let mut came_from = vec![start; columns];
        let mut visited = vec![false; columns + 1];
        let mut column = start;
        while let Some(row) = self.row_of[column] {
            visited[column] = true;
            let (mut step, mut next) = (f64::INFINITY, column);
            for c in (0..columns).filter(|c| !visited[*c]) {
                let reduced = cost(row, c) - self.row_potential[row] - self.column_potential[c];
                if reduced < shortest[c] {
                    shortest[c] = reduced;
                    came_from[c] = column;
                }
                if shortest[c] < step {
                    (step, next) = (shortest[c], c);
                }
            }
            if next == column {
                // Only costs that are not finite lead here; the row stays alone.
                self.row_of[start] = None;
                return;
            }
            self.shift(step, &visited, &mut shortest);
            column = next;
        }
        while column != start {
            let before = came_from[column];
            self.row_of[column] = self.row_of[before];
            column = before;
        }
        self.row_of[start] = None;
    }

    fn shift(&mut self, step: f64, visited: &[bool], shortest: &mut [f64]) {
        for (c, seen) in visited.iter().enumerate() {
            match (seen, self.row_of[c]) {
                (true, Some(row)) => {
                    self.row_potential[row] += step;
                    self.column_potential[c] -= step;
                }
                (false, _) if c < shortest.len() => shortest[c] -= step,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total(costs: &[Vec<f64>], of_row: &[Option<usize>]) -> f64 {
        let pairs = of_row.iter().zip(costs);
        pairs.filter_map(|(c, row)| c.map(|c| row[c])).sum()
    }

    /// Tries everything.
    fn best(costs: &[Vec<f64>], free: &mut Vec<bool>, skips: usize) -> f64 {
        let Some((row, rest)) = costs.split_first() else {
            return 0.0;
        };
        let mut least = match skips {
            0 => f64::INFINITY,
            _ => best(rest, free, skips - 1),
        };
        for c in 0..free.len() {
            if free[c] {
                free[c] = false;
                least = least.min(row[c] + best(rest, free, skips));
                free[c] = true;
            }
        }
        least
    }

    proptest! {
        #[test]
        fn it_is_as_cheap_as_the_best_of_all_assignments(
            rows in 0usize..5, columns in 1usize..6, values in proptest::collection::vec(-9i32..10, 30)
        ) {
            let costs: Vec<Vec<f64>> = (0..rows)
                .map(|r| (0..columns).map(|c| f64::from(values[r * columns + c])).collect())
                .collect();
            let of_row = assign(rows, columns, |r, c| costs[r][c]);
            let mut used: Vec<usize> = of_row.iter().flatten().copied().collect();
            prop_assert_eq!(used.len(), rows.min(columns));
            used.sort_unstable();
            used.dedup();
            prop_assert_eq!(used.len(), rows.min(columns));
            let least = best(&costs, &mut vec![true; columns], rows.saturating_sub(columns));
            prop_assert_eq!(total(&costs, &of_row), least);
        }
    }

    #[test]
    fn the_greedy_choice_is_not_taken_where_it_costs_more() {
        // Row 0 likes column 0 best, but row 1 needs it more.
        let costs = [[1.0, 2.0], [1.0, 100.0]];
        assert_eq!(assign(2, 2, |r, c| costs[r][c]), [Some(1), Some(0)]);
        assert_eq!(assign(0, 3, |_, _| 0.0), []);
        assert_eq!(assign(2, 0, |_, _| 0.0), [None, None]);
    }
}
