// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The most memory that this process ever had.

/// Bytes; `None` where the system does not tell.
#[cfg(unix)]
pub(super) fn peak_bytes() -> Option<u64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: it is told where to write, and zeros are a valid value.
    let (told, usage) = unsafe {
        let told = libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        (told, usage.assume_init())
    };
    // Apple counts bytes, the others kilobytes.
    let unit = if cfg!(target_vendor = "apple") {
        1
    } else {
        1024
    };
    let peak = u64::try_from(usage.ru_maxrss).ok()? * unit;
    (told == 0).then_some(peak)
}

#[cfg(not(unix))]
pub(super) fn peak_bytes() -> Option<u64> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    #[test]
    fn the_peak_counts_what_was_touched() {
        let before = super::peak_bytes().unwrap();
        let touched = vec![1u8; 64 << 20];
        assert_eq!(touched.iter().map(|b| u64::from(*b)).sum::<u64>(), 64 << 20);
        assert!(super::peak_bytes().unwrap() >= before.max(64 << 20));
    }
}
