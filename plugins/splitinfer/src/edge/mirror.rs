// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How well the model agrees with itself on the mirrored frame, found out in the background on every n-th inferred frame.
//!
//! Nothing waits for it: while one frame is being looked at, the next ones are not; what was found goes on the next frame
//! that leaves. It takes turns with the frames' own inference, though, so one of them may wait for one run of the model.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use splitinfer_meta::FrameResult;
use splitinfer_vision::mirror::{agreement, agreements, carried, flip_objects, flip_picture};
use splitinfer_vision::{Object, Picture, Placement};

use super::engine::Engine;

/// A frame to be looked at in the mirror.
struct Sample {
    /// What it was inferred with.
    engine: Arc<Engine>,
    picture: Picture,
    placement: Placement,
    /// What was found on it, in pixels of the frame.
    found: Vec<Object>,
}

/// What came of it.
struct Finding {
    /// Of the frame; `None` if nothing was found on it either way.
    agreement: Option<f64>,
    /// Of each object.
    agreements: Vec<f64>,
    found: Vec<Object>,
}

/// Owns the thread. Dropping it ends the thread, after the frame it works on.
pub(super) struct Mirror {
    every: u64,
    waiting: Mutex<Waiting>,
    samples: Option<SyncSender<Sample>>,
    finding: Arc<Mutex<Option<Finding>>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Waiting {
    inferred: u64,
    /// A frame whose own result is still to come.
    picture: Option<(u64, Arc<Engine>, Picture, Placement)>,
}

impl Mirror {
    /// `every`: which inferred frames are looked at, more than 0.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start(every: u64) -> std::io::Result<Self> {
        let (samples, work) = sync_channel(1);
        let finding = Arc::<Mutex<Option<Finding>>>::default();
        let found = Arc::clone(&finding);
        let thread = std::thread::Builder::new()
            .name("splitinfer-mirror".into())
            .spawn(move || look(&work, &found))?;
        Ok(Self {
            every,
            waiting: Mutex::default(),
            samples: Some(samples),
            finding,
            thread: Some(thread),
        })
    }

    /// A frame is about to be inferred with these weights.
    pub(super) fn begun(
        &self,
        number: u64,
        engine: &Arc<Engine>,
        picture: &Picture,
        placement: &Placement,
    ) {
        let mut waiting = self.waiting.lock().unwrap();
        if waiting.inferred.is_multiple_of(self.every) {
            waiting.picture = Some((number, Arc::clone(engine), picture.clone(), *placement));
        }
        waiting.inferred += 1;
    }

    /// The result of a frame is there.
    pub(super) fn finished(&self, number: u64, found: &[Object]) {
        let waiting = &mut self.waiting.lock().unwrap().picture;
        let Some((_, engine, picture, placement)) = waiting.take_if(|(n, ..)| *n == number) else {
            return;
        };
        let sample = Sample {
            engine,
            picture,
            placement,
            found: found.to_vec(),
        };
        if let Some(samples) = &self.samples
            && samples.try_send(sample).is_err()
        {
            gst::debug!(super::imp::CAT, "frame {number} is not looked at: busy");
        }
    }

    /// Puts what was found since the last time on a result, if anything was: on its objects, that of those which they
    /// overlap.
    pub(super) fn report(&self, found: &[Object], result: &mut FrameResult) {
        let Some(finding) = self.finding.lock().unwrap().take() else {
            return;
        };
        result.mirror_agreement = finding.agreement;
        let agreements = carried(&finding.agreements, &finding.found, found);
        for (object, agreement) in result.objects.iter_mut().zip(agreements) {
            object.mirror_agreement = agreement.map(|a| a as f32);
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        drop(self.samples.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look(work: &Receiver<Sample>, finding: &Mutex<Option<Finding>>) {
    while let Ok(sample) = work.recv() {
        match mirrored(&sample) {
            Ok(mirrored) => {
                *finding.lock().unwrap() = Some(Finding {
                    agreement: agreement(&sample.found, &mirrored),
                    agreements: agreements(&sample.found, &mirrored),
                    found: sample.found,
                });
            }
            Err(e) => gst::warning!(super::imp::CAT, "no answer to the mirrored frame: {e:?}"),
        }
    }
}

/// What the model finds on the mirrored frame, as it would lie on the frame.
fn mirrored(sample: &Sample) -> Result<Vec<Object>, gst::ErrorMessage> {
    let engine = &sample.engine;
    let picture = flip_picture(&sample.picture, &sample.placement);
    let outputs = engine.whole(&engine.tensor(&picture)?)?;
    let mut objects = engine.objects(&outputs)?;
    flip_objects(&mut objects, &sample.placement, &engine.info);
    for object in &mut objects {
        sample.placement.to_frame(object);
    }
    Ok(objects)
}
