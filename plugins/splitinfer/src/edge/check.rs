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
use super::load;

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

/// What the thread and who asks it share.
struct Shared {
    findings: Vec<Finding>,
    /// When the last sample was done, and how long that took; none while the thread works.
    last: Option<(Instant, Duration)>,
}

/// Owns the thread. Dropping it ends the thread, after the sample it works on.
pub(super) struct Checker {
    samples: Option<SyncSender<Sample>>,
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

impl Checker {
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start() -> std::io::Result<Self> {
        let (samples, work) = sync_channel(1);
        let shared = Arc::new(Mutex::new(Shared {
            findings: Vec::new(),
            last: Some((Instant::now(), Duration::ZERO)),
        }));
        let found = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("splitinfer-check".into())
            .spawn(move || check(&work, &found))?;
        Ok(Self {
            samples: Some(samples),
            shared,
            thread: Some(thread),
        })
    }

    /// Whether a sample would be looked at. After each the thread rests, so that it takes this share of all time at most.
    pub(super) fn is_ready(&self, share: f64) -> bool {
        let last = self.shared.lock().unwrap().last;
        last.is_some_and(|(done, took)| done.elapsed() >= load::rest(took, share))
    }

    /// Without waiting. To be given only what it is [ready](Self::is_ready) for.
    pub(super) fn offer(&self, sample: Sample) {
        self.shared.lock().unwrap().last = None;
        if let Some(samples) = &self.samples
            && let Err(TrySendError::Disconnected(_)) = samples.try_send(sample)
        {
            gst::debug!(super::imp::CAT, "nobody checks the coded tensors any more");
        }
    }

    pub(super) fn take(&self) -> Vec<Finding> {
        std::mem::take(&mut self.shared.lock().unwrap().findings)
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

fn check(work: &Receiver<Sample>, shared: &Mutex<Shared>) {
    while let Ok(sample) = work.recv() {
        let begun = Instant::now();
        let found = examine(&sample);
        let done = Instant::now();
        let mut shared = shared.lock().unwrap();
        shared.findings.extend(found.map(|f| (sample.candidate, f)));
        shared.last = Some((done, done - begun));
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
