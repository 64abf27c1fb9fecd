// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0
//! A time that changes slowly, from measurements that scatter.

use std::time::Duration;

/// Exponentially weighted mean with the weight 1/8 for the newest, as TCP smooths its round trip (RFC 6298).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Smoothed(Option<Duration>);

impl Smoothed {
    pub fn add(&mut self, time: Duration) {
        self.0 = Some(self.0.map_or(time, |mean| mean - mean / 8 + time / 8));
    }

    /// `None` before the first measurement.
    pub fn get(&self) -> Option<Duration> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_begins_with_the_first_and_follows_the_later_ones() {
        let ms = Duration::from_millis;
        let mut mean = Smoothed::default();
        assert_eq!(mean.get(), None);
        mean.add(ms(8));
        assert_eq!(mean.get(), Some(ms(8)));
        mean.add(ms(16));
        assert_eq!(mean.get(), Some(ms(9)));
        (0..60).for_each(|_| mean.add(ms(16)));
        assert!(mean.get() > Some(ms(15)));
    }
}
