// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The source waits until all that a frame has set going is done: nothing is in the pipeline, the teacher has labelled
//! what it was given, no training is under way, and the student has the newest weights. So results do not depend on how
//! fast the machine is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

/// A training that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(1);

/// Holds the source of a pipeline. Must be released before the pipeline is stopped.
pub struct Pace {
    state: Arc<State>,
}

struct State {
    /// Frames that left the source, and that reached the sink.
    passed: AtomicU64,
    arrived: AtomicU64,
    /// Frames that the branch got.
    offered: AtomicU64,
    released: AtomicBool,
    hung: AtomicBool,
    student: Option<gst::Element>,
    gate: Option<gst::Element>,
    teacher: Option<gst::Element>,
    finetune: Option<gst::Element>,
}

impl Pace {
    /// Of a pipeline by [`Case::launch`](super::plan::Case::launch). `admits`: whether the branch gets a frame.
    pub fn hold(
        pipeline: &gst::Pipeline,
        mut admits: impl FnMut(&gst::BufferRef) -> bool + Send + 'static,
    ) -> Self {
        let state = Arc::new(State {
            passed: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            offered: AtomicU64::new(0),
            released: AtomicBool::new(false),
            hung: AtomicBool::new(false),
            student: pipeline.by_name("edge"),
            gate: pipeline.by_name("gate"),
            teacher: pipeline.by_name("teacher"),
            finetune: pipeline.by_name("finetune"),
        });
        probe(pipeline, "source", "src", &state, |state, _| {
            state.wait();
            state.passed.fetch_add(1, Ordering::SeqCst);
            true
        });
        probe(pipeline, "out", "sink", &state, |state, _| {
            state.arrived.fetch_add(1, Ordering::SeqCst);
            true
        });
        let admits = Mutex::new(move |frame: &gst::BufferRef| admits(frame));
        probe(pipeline, "branch", "sink", &state, move |state, frame| {
            let admitted = admits.lock().unwrap_or_else(|e| e.into_inner())(frame);
            state
                .offered
                .fetch_add(u64::from(admitted), Ordering::SeqCst);
            admitted
        });
        Self { state }
    }

    /// Waits for the last frame's doings; whether they ended.
    pub fn settle(&self) -> bool {
        self.state.wait();
        !self.state.hung.load(Ordering::SeqCst)
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.state.released.store(true, Ordering::SeqCst);
    }
}

/// Calls `each` for every buffer of a pad, if there is such an element; drops those for which it says no.
fn probe(
    pipeline: &gst::Pipeline,
    element: &str,
    pad: &str,
    state: &Arc<State>,
    each: impl Fn(&State, &gst::BufferRef) -> bool + Send + Sync + 'static,
) {
    let pad = pipeline.by_name(element).and_then(|e| e.static_pad(pad));
    let Some(pad) = pad else { return };
    let state = Arc::clone(state);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if info.buffer().is_none_or(|buffer| each(&state, buffer)) {
            return gst::PadProbeReturn::Ok;
        }
        info.data = None;
        gst::PadProbeReturn::Handled
    });
}

impl State {
    fn wait(&self) {
        let begun = Instant::now();
        while !self.is_settled() && !self.released.load(Ordering::SeqCst) {
            if begun.elapsed() > PATIENCE {
                self.hung.store(true, Ordering::SeqCst);
                return;
            }
            std::thread::sleep(POLL);
        }
    }

    /// What the teacher says may make the gate send more while the branch is looked at.
    fn is_settled(&self) -> bool {
        let given = self.given();
        self.is_done(given) && self.given() == given
    }

    /// Looks along the way of the frames, so that one on its way is seen where it is or where it comes from.
    fn is_done(&self, given: u64) -> bool {
        let passed = self.passed.load(Ordering::SeqCst);
        if self.arrived.load(Ordering::SeqCst) < passed {
            return false;
        }
        let Some(teacher) = &self.teacher else {
            return true;
        };
        let teacher = stats(teacher);
        let [seen, labelled, unanswered] =
            ["frames", "labelled-frames", "unanswered-frames"].map(|f| count(&teacher, f));
        let labelled = labelled + unanswered;
        let passed_over = count(&teacher, "dropped-frames") + count(&teacher, "over-rate-frames");
        if seen < given || labelled + passed_over < seen {
            return false;
        }
        let Some(finetune) = &self.finetune else {
            return true;
        };
        let finetune = stats(finetune);
        let sent = count(&finetune, "model-version");
        let has = |student: &gst::Element| count(&stats(student), "model-version") >= sent;
        count(&finetune, "frames") >= labelled
            && finetune.get::<bool>("idle").unwrap_or(true)
            && self.student.as_ref().is_none_or(has)
    }

    /// Frames that were sent on the way to the teacher.
    fn given(&self) -> u64 {
        let Some(gate) = &self.gate else {
            return self.offered.load(Ordering::SeqCst);
        };
        let gate = stats(gate);
        let [sent, canaries, dropped] =
            ["sent-frames", "canary-frames", "dropped-frames"].map(|f| count(&gate, f));
        (sent + canaries).saturating_sub(dropped)
    }
}

/// Statistics of an element of the project.
pub fn stats(element: &gst::Element) -> gst::Structure {
    element.property("stats")
}

/// A counter among them; 0 if there is none.
pub fn count(stats: &gst::StructureRef, field: &str) -> u64 {
    stats.get::<u64>(field).unwrap_or(0)
}
