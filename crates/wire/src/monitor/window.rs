// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Each number once: protection against datagrams that come again.

/// Numbers further behind the newest are taken for old ones.
const WIDTH: u32 = u128::BITS;

/// The numbers that have come, as RFC 4303 (section 3.4.3) keeps them: the newest, and one bit for each of those just
/// before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    newest: Option<u32>,
    /// Bit i: `newest - i` has come.
    seen: u128,
}

impl Window {
    /// Whether a datagram of this number may be new; asked before it is authenticated.
    pub(super) fn may_take(&self, number: u32) -> bool {
        let Some(newest) = self.newest else {
            return true;
        };
        match newest.checked_sub(number) {
            None => true,
            Some(back) => back < WIDTH && self.seen >> back & 1 == 0,
        }
    }

    /// Notes a number; only of a datagram that was authenticated.
    pub(super) fn take(&mut self, number: u32) -> bool {
        if !self.may_take(number) {
            return false;
        }
        let newest = self.newest.unwrap_or(number);
        match number.checked_sub(newest) {
            Some(ahead) => {
                self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
                self.newest = Some(number);
            }
            None => self.seen |= 1 << (newest - number),
        }
        true
    }

    pub(super) fn newest(&self) -> Option<u32> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever order numbers come in: none is taken twice, and none within the window is refused the first time.
        #[test]
        fn each_number_is_taken_once(numbers in proptest::collection::vec(0u32..400, 1..400)) {
            let mut window = Window::default();
            let mut taken = HashSet::new();
            let mut newest = 0;
            for number in numbers {
                newest = newest.max(number);
                let fresh = !taken.contains(&number);
                let took = window.take(number);
                prop_assert!(!took || fresh);
                prop_assert!(took || !fresh || newest - number >= WIDTH);
                if took {
                    taken.insert(number);
                }
            }
            prop_assert_eq!(window.newest(), Some(newest));
        }
    }

    #[test]
    fn the_ends_of_the_numbers_are_no_exception() {
        let mut window = Window::default();
        assert!(window.take(u32::MAX) && !window.take(u32::MAX));
        assert!(window.take(u32::MAX - 127) && !window.take(u32::MAX - 128) && !window.take(0));
    }
}
