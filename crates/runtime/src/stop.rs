// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A run that is ended by another thread, because its outcome is of no use any more.

use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};

use ort::session::RunOptions;

use crate::error::RuntimeError;
use crate::{exit, library};

/// Ends the runs that it is given to, after the operator they are at. It cannot be undone: each run, or series of runs, takes one of
/// its own.
pub struct Stop {
    options: ManuallyDrop<RunOptions>,
    stopped: AtomicBool,
}

impl Stop {
    /// # Errors
    /// When ONNX Runtime is missing or cannot make it.
    pub fn new() -> Result<Self, RuntimeError> {
        library::environment()?;
        let _inside = exit::enter()?;
        let options = RunOptions::new().map_err(|e| RuntimeError::run(&e))?;
        Ok(Self {
            options: ManuallyDrop::new(options),
            stopped: AtomicBool::new(false),
        })
    }

    /// The runs fail with [`RuntimeError::Stopped`], those under way soon and those to come at once. Does not wait for them.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Ok(_inside) = exit::enter() {
            // It can fail only for pointers that are none.
            let _ = self.options.terminate();
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(crate) fn options(&self) -> &RunOptions {
        &self.options
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        if let Ok(_inside) = exit::enter() {
            // SAFETY: it is not used again, nor dropped a second time.
            unsafe { ManuallyDrop::drop(&mut self.options) };
        }
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop")
            .field("stopped", &self.is_stopped())
            .finish_non_exhaustive()
    }
}
