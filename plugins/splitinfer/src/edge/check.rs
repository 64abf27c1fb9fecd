// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How much coding the tensors of a cut changes what the model says, found out in the background on a frame now and then.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{Findings, Look};

use super::engine::Engine;

/// The thread rests for this many times what a sample took, so that what it takes from the frames is bounded.
const REST: u32 = 3;

/// The tensors of one frame, as they are and as the server has them.
pub(super) struct Sample {
    /// Whose tensors they are.
    pub(super) engine: Arc<Engine>,
    pub(super) candidate: usize,
    /// What is to be found out.
    pub(super) look: Look,
    pub(super) exact: Vec<Tensor>,
    pub(super) decoded: Vec<Tensor>,
}

/// What a sample told of a candidate.
pub(super) type Finding = (usize, Findings);

/// Owns the thread. Dropping it ends the thread, after the sample it works on.
pub(super) struct Checker {
    samples: Option<SyncSender<Sample>>,
    findings: Arc<Mutex<Vec<Finding>>>,
    thread: Option<JoinHandle<()>>,
}

impl Checker {
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start() -> std::io::Result<Self> {
        let (samples, work) = sync_channel(1);
        let findings = Arc::<Mutex<Vec<Finding>>>::default();
        let found = Arc::clone(&findings);
        let thread = std::thread::Builder::new()
            .name("splitinfer-check".into())
            .spawn(move || check(&work, &found))?;
        Ok(Self {
            samples: Some(samples),
            findings,
            thread: Some(thread),
        })
    }

    /// Without waiting; while the thread is behind, the sample is dropped.
    pub(super) fn offer(&self, sample: Sample) {
        if let Some(samples) = &self.samples
            && let Err(TrySendError::Disconnected(_)) = samples.try_send(sample)
        {
            gst::debug!(super::imp::CAT, "nobody checks the coded tensors any more");
        }
    }

    pub(super) fn take(&self) -> Vec<Finding> {
        std::mem::take(&mut self.findings.lock().unwrap())
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        drop(self.samples.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn check(work: &Receiver<Sample>, findings: &Mutex<Vec<Finding>>) {
    let mut rested = Instant::now();
    while let Ok(sample) = work.recv() {
        // The next sample is one that comes after the rest.
        if Instant::now() < rested {
            continue;
        }
        let begun = Instant::now();
        if let Some(found) = examine(&sample) {
            findings.lock().unwrap().push((sample.candidate, found));
        }
        let took: Duration = begun.elapsed();
        rested = Instant::now() + took * REST;
    }
}

fn examine(sample: &Sample) -> Option<Findings> {
    let tail = |tensors: &[Tensor]| match sample.engine.tail(sample.candidate, tensors) {
        Ok(outputs) => Some(outputs.into_iter().map(|(_, tensor)| tensor).collect()),
        Err(e) => {
            gst::warning!(super::imp::CAT, "cannot check the coded tensors: {e:?}");
            None
        }
    };
    sample.look.examine(&sample.exact, &sample.decoded, tail)
}
