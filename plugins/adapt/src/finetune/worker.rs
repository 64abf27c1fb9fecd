// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The thread that trains.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use gst::prelude::*;
use splitinfer_inference::{LoadedModel, load_library};

use super::queue::Queue;
use super::settings::Settings;
use super::stats::Counts;
use super::training::Training;

/// Owns the thread. Dropping it gives up a training that is under way, after the step it is at.
pub(super) struct Worker {
    pub(super) queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Loads the student; the thread then prepares its training.
    ///
    /// # Errors
    /// One message for the bus.
    pub(super) fn start(
        element: &super::FineTune,
        settings: Settings,
        counts: Arc<Mutex<Counts>>,
    ) -> Result<Self, gst::ErrorMessage> {
        let Some(path) = settings.model.clone() else {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ("no student: set the property 'model' to the ONNX file that the edge runs")
            ));
        };
        load_library("adapt")
            .map_err(|e| gst::error_msg!(gst::LibraryError::Init, ("ONNX Runtime: {e}")))?;
        let student = LoadedModel::load(Path::new(&path))?;
        settings
            .trainer()
            .map_err(|e| gst::error_msg!(gst::LibraryError::Settings, ("{e}")))?;
        let queue = Arc::<Queue>::default();
        let (frames, weak) = (Arc::clone(&queue), element.downgrade());
        let work = move || {
            lower_priority();
            let run = || Training::new(student, &settings, &weak, counts)?.run(&frames, &weak);
            if let Err(problem) = run()
                && let Some(element) = weak.upgrade()
            {
                gst::element_error!(element, gst::LibraryError::Failed, ("{path}: {problem}"));
            }
        };
        let thread = std::thread::Builder::new()
            .name("finetune".into())
            .spawn(work)
            .map_err(|e| gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("no thread: {e}")))?;
        Ok(Self {
            queue,
            thread: Some(thread),
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.queue.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Inference comes first; but a training that gets no turn at all beside other work helps nobody, and `cpu-share`
/// limits it already.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    const NICE: libc::c_int = 5;
    #[cfg(target_os = "linux")]
    // SAFETY: plain system calls; on Linux a thread has a priority of its own.
    unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        libc::setpriority(libc::PRIO_PROCESS, thread, NICE);
    }
}
