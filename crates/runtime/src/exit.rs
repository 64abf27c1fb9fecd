// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The end of the process. `exit` destroys ONNX Runtime's statics while other threads may still be in the middle
//! of an inference; what they then do ranges from absurd errors to crashes. So whoever uses ONNX Runtime enters
//! here first, the end of the process waits for those that are inside, and nobody enters after it.

use crate::error::RuntimeError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

static INSIDE: AtomicUsize = AtomicUsize::new(0);
static ENDING: AtomicBool = AtomicBool::new(false);

/// The end of the process waits this long for running inferences, and no longer: it must never hang.
const PATIENCE: Duration = Duration::from_secs(2);

/// To be called after ONNX Runtime has done something for the first time: what it makes then it destroys before that which was
/// registered earlier is run. Any number of times.
pub(crate) fn guard_the_end() {
    // SAFETY: `end` is a plain function that does not unwind.
    unsafe { libc::atexit(end) };
}

extern "C" fn end() {
    const STEP: Duration = Duration::from_millis(1);
    ENDING.store(true, SeqCst);
    let mut waited = Duration::ZERO;
    while INSIDE.load(SeqCst) > 0 && waited < PATIENCE {
        std::thread::sleep(STEP);
        waited += STEP;
    }
}

/// While one of these lives, the end of the process waits.
pub(crate) struct Inside(());

/// # Errors
/// When the process is ending: ONNX Runtime must not be used any more, not even to release something.
pub(crate) fn enter() -> Result<Inside, RuntimeError> {
    // First announce, then look: the other way round `end` could pass between the two.
    INSIDE.fetch_add(1, SeqCst);
    let inside = Inside(());
    if ENDING.load(SeqCst) {
        return Err(RuntimeError::ProcessEnding);
    }
    Ok(inside)
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, SeqCst);
    }
}
