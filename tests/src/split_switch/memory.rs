// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a process has of memory, as Linux accounts for it.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// In MB.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Pages that this process alone has written to: not its libraries' code, which others may share.
    pub private: f64,
    /// All that lies in memory.
    pub resident: f64,
}

impl Memory {
    /// Of this process, after the C library has given back what it kept for later.
    ///
    /// # Errors
    /// Where there is no Linux.
    pub fn settled() -> Result<Self> {
        give_back();
        Self::now()
    }

    /// Of this process.
    ///
    /// # Errors
    /// Where there is no Linux.
    pub fn now() -> Result<Self> {
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
        Ok(Self {
            private: megabytes(&rollup, "Private_Dirty:")?,
            resident: megabytes(&rollup, "Rss:")?,
        })
    }
}

/// Forgets what the most was so far.
///
/// # Errors
/// Where Linux does not allow it.
pub fn reset_peak() -> Result<()> {
    std::fs::write("/proc/self/clear_refs", "5").context("the peak cannot be reset")
}

/// The most that lay in memory since [`reset_peak`], in MB.
///
/// # Errors
/// Where there is no Linux.
pub fn peak() -> Result<f64> {
    megabytes(&std::fs::read_to_string("/proc/self/status")?, "VmHWM:")
}

fn megabytes(text: &str, key: &str) -> Result<f64> {
    let line = text.lines().find_map(|l| l.strip_prefix(key));
    let line = line.with_context(|| format!("no {key}"))?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1024.0)
}

/// Has the C library give back what it kept for later.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
