// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How much coding the tensors of a cut changes what the model says, found out in the background on a frame now and then.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use splitinfer_tensor::Tensor;

use super::engine::Engine;

/// The tensors of one frame, as they are and as the server has them.
pub(super) struct Sample {
    /// Whose tensors they are.
    pub(super) engine: Arc<Engine>,
    pub(super) candidate: usize,
    /// In which they were coded.
    pub(super) step: f32,
    pub(super) exact: Vec<Tensor>,
    pub(super) decoded: Vec<Tensor>,
}

/// What a sample told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) candidate: usize,
    pub(super) step: f32,
    /// ‖y − ŷ‖ / ‖y‖ over the model's outputs.
    pub(super) error: f32,
}

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
    while let Ok(sample) = work.recv() {
        let outputs = |tensors| sample.engine.tail(sample.candidate, tensors);
        let (exact, decoded) = match (outputs(&sample.exact), outputs(&sample.decoded)) {
            (Ok(exact), Ok(decoded)) => (exact, decoded),
            (Err(e), _) | (_, Err(e)) => {
                gst::warning!(super::imp::CAT, "cannot check the coded tensors: {e:?}");
                continue;
            }
        };
        if let Some(error) = relative_error(&exact, &decoded) {
            findings.lock().unwrap().push(Finding {
                candidate: sample.candidate,
                step: sample.step,
                error,
            });
        }
    }
}

/// `None` when there is nothing to compare: other shapes (as behind a suppression inside the model), all zeros, or values
/// that are no numbers.
fn relative_error(exact: &[(String, Tensor)], decoded: &[(String, Tensor)]) -> Option<f32> {
    let (mut difference, mut size) = (0f64, 0f64);
    for ((_, a), (_, b)) in exact.iter().zip(decoded) {
        if a.shape() != b.shape() {
            return None;
        }
        for (a, b) in a.to_f32_vec().into_iter().zip(b.to_f32_vec()) {
            difference += f64::from(a - b).powi(2);
            size += f64::from(a).powi(2);
        }
    }
    let error = (difference / size).sqrt() as f32;
    error.is_finite().then_some(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(values: &[f32]) -> Vec<(String, Tensor)> {
        vec![(
            "y".into(),
            Tensor::new(vec![values.len()], values.to_vec()).unwrap(),
        )]
    }

    #[test]
    fn the_error_is_relative_to_the_size_of_the_outputs() {
        let error = relative_error(&output(&[3.0, 4.0]), &output(&[3.0, 3.5]));
        assert!(error.is_some_and(|e| (e - 0.1).abs() < 1e-6));
        assert_eq!(relative_error(&output(&[1.0]), &output(&[1.0, 2.0])), None);
        assert_eq!(relative_error(&output(&[0.0]), &output(&[0.0])), None);
        assert_eq!(relative_error(&output(&[1.0]), &output(&[f32::NAN])), None);
    }
}
