// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where an encoder cuts bands: so that one fits into a packet, as well as the last frame can tell. It is known before any
//! band is written, so that all can be written at the same time.

use std::ops::Range;

/// Of a band.
const BYTES: f32 = 1150.0;
/// Of a value of a frame that stands alone, before any was coded: 4 bits.
const GUESS: f32 = 0.5;
/// A frame that is predicted takes less than one that stands alone by about so much.
const PREDICTED: f32 = 0.5;

/// Bytes that each row of blocks took.
#[derive(Default)]
pub(super) struct Cutting {
    alone: Vec<f32>,
    predicted: Vec<f32>,
}

impl Cutting {
    /// The rows of each band, of a tensor with so many rows of blocks of so many values.
    pub(super) fn bands(&self, predicted: bool, rows: usize, values: usize) -> Vec<Range<usize>> {
        let known = |sizes: &[f32], row: usize| match sizes.len() == rows {
            true => Some(sizes[row]),
            false => None,
        };
        let bytes = |row| {
            let alone = || known(&self.alone, row).unwrap_or(values as f32 * GUESS);
            match predicted {
                true => known(&self.predicted, row).unwrap_or_else(|| alone() * PREDICTED),
                false => alone(),
            }
        };
        let mut bands = Vec::new();
        let (mut start, mut sum) = (0, 0.0);
        for row in 0..rows {
            let more = bytes(row);
            if row > start && sum + more > BYTES {
                bands.push(start..row);
                (start, sum) = (row, 0.0);
            }
            sum += more;
        }
        bands.push(start..rows);
        bands
    }

    /// The bands took so many bytes.
    pub(super) fn took(&mut self, predicted: bool, bands: &[(usize, usize)]) {
        let sizes = match predicted {
            true => &mut self.predicted,
            false => &mut self.alone,
        };
        sizes.clear();
        for (rows, bytes) in bands {
            sizes.extend(std::iter::repeat_n(*bytes as f32 / *rows as f32, *rows));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last row of each band, and one more.
    fn ends(cutting: &Cutting, predicted: bool, rows: usize, values: usize) -> Vec<usize> {
        let bands = cutting.bands(predicted, rows, values);
        let starts: Vec<usize> = bands.iter().map(|band| band.start).collect();
        let ends: Vec<usize> = bands.iter().map(|band| band.end).collect();
        assert_eq!((starts[0], &starts[1..]), (0, &ends[..ends.len() - 1]));
        ends
    }

    #[test]
    fn bands_are_about_a_packet_long_by_what_the_last_frame_took() {
        let mut cutting = Cutting::default();
        assert_eq!(ends(&cutting, false, 3, 100), [3]);
        assert_eq!(ends(&cutting, false, 3, 1000), [2, 3]);
        assert_eq!(ends(&cutting, true, 3, 1000), [3]);
        cutting.took(false, &[(1, 1100), (3, 1200), (1, 0)]);
        assert_eq!(ends(&cutting, false, 5, 1000), [1, 3, 5]);
        assert_eq!(ends(&cutting, true, 5, 1000), [5]);
        cutting.took(true, &[(5, 3000)]);
        assert_eq!(ends(&cutting, true, 5, 1000), [1, 2, 3, 4, 5]);
        let another_shape = ends(&cutting, false, 6, 100);
        assert_eq!(another_shape, [6], "of it nothing is known");
    }
}
