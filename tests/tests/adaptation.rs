// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The whole loop on a scene that the student does not know: gate, teacher, training, new weights on the running student.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_tests::process::Server;

/// What a training may take before a test calls it a hang.
const PATIENCE: Duration = Duration::from_secs(180);

fn model(name: &str) -> String {
    let path = splitinfer_tests::repository().join("models").join(name);
    path.to_string_lossy().into_owned()
}

/// A street by night, which the traffic student was not trained on, under a camera; its frames' numbers and versions.
struct Loop {
    pipeline: gst::Pipeline,
    frames: Receiver<(u64, u64)>,
    /// Element messages that came while another was waited for: they come from several threads, in any order.
    passed_over: RefCell<Vec<gst::Structure>>,
}

impl Loop {
    fn start(teacher: &str, finetune: &str) -> Self {
        Self::start_with(teacher, "", finetune)
    }

    /// `labels`: settings of the teacher.
    fn start_with(teacher: &str, labels: &str, finetune: &str) -> Self {
        let made = Self::make(teacher, labels, finetune);
        made.play();
        made
    }

    fn play(&self) {
        self.pipeline
            .set_state(gst::State::Playing)
            .expect("the pipeline starts");
    }

    fn make(teacher: &str, labels: &str, finetune: &str) -> Self {
        splitinfer_tests::init();
        let (student, teacher) = (model("traffic-student.onnx"), model(teacher));
        let launch = format!(
            "scenesrc scene=traffic domain=night scenario=repetitive is-live=true ! video/x-raw,width=320,height=176,framerate=10/1 \
             ! splitinfer-edge name=edge model={student} mirror-check=2 \
             ! svdgate name=gate window=10 threshold=0.05 cooldown=10 ! appsink name=out sync=false \
             gate.adapt ! queue leaky=downstream ! teacherlabel name=teacher model={teacher} {labels} \
             ! finetune name=finetune model={student} {finetune}"
        );
        let pipeline = gst::parse::launch(&launch)
            .unwrap()
            .downcast::<gst::Pipeline>()
            .unwrap();
        let sink = pipeline
            .by_name("out")
            .unwrap()
            .downcast::<gst_app::AppSink>()
            .unwrap();
        let (sender, frames) = channel();
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            if let Some(result) = sample.buffer().and_then(splitinfer_meta::read) {
                let _ = sender.send((result.frame, result.model_version));
            }
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_callbacks(callbacks.build());
        Self {
            pipeline,
            frames,
            passed_over: RefCell::default(),
        }
    }

    /// The first element message of this name that is `wanted`.
    fn wait(&self, name: &str, wanted: impl Fn(&gst::StructureRef) -> bool) -> gst::Structure {
        let is_it = |s: &gst::StructureRef| s.name() == name && wanted(s);
        let mut passed_over = self.passed_over.borrow_mut();
        if let Some(at) = passed_over.iter().position(|s| is_it(s)) {
            return passed_over.remove(at);
        }
        drop(passed_over);
        let found = self.message(|message| match message.view() {
            gst::MessageView::Element(m) => {
                let structure = m.structure()?.to_owned();
                if is_it(&structure) {
                    return Some(structure);
                }
                self.passed_over.borrow_mut().push(structure);
                None
            }
            gst::MessageView::Error(e) => panic!("{}: {:?}", e.error(), e.debug()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no message '{name}'"))
    }

    fn message<T>(&self, read: impl Fn(&gst::Message) -> Option<T>) -> Option<T> {
        let bus = self.pipeline.bus().unwrap();
        let begun = Instant::now();
        while let Some(left) = PATIENCE.checked_sub(begun.elapsed()) {
            let left = gst::ClockTime::from_nseconds(left.as_nanos() as u64);
            let message = bus.timed_pop(left)?;
            if let Some(found) = read(&message) {
                return Some(found);
            }
        }
        None
    }

    fn warning(&self) -> String {
        let found = self.message(|message| match message.view() {
            gst::MessageView::Warning(w) => Some(w.error().to_string()),
            gst::MessageView::Error(e) => panic!("{}: {:?}", e.error(), e.debug()),
            _ => None,
        });
        found.expect("a warning")
    }

    fn stats(&self, element: &str) -> gst::Structure {
        self.pipeline.by_name(element).unwrap().property("stats")
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

const QUICK: &str = "new-frames=10 max-steps=12 batch-size=4 cpu-share=1 learning-rate=0.001 trainable=after:features4";

#[test]
fn a_student_learns_its_scene_while_it_runs_and_no_frame_is_lost() {
    let adapting = Loop::start("traffic-teacher.onnx", QUICK);
    let accepted = adapting.wait("finetune", |s| s.get::<&str>("outcome") == Ok("accepted"));
    let loss = |name| accepted.get::<f64>(name).unwrap();
    assert!(loss("loss-after") < loss("loss-before"), "{accepted}");
    assert_eq!(accepted.get::<bool>("taken"), Ok(true));
    let swap = adapting.wait("splitinfer-model", |_| true);
    assert_eq!(swap.get::<u64>("new-version"), Ok(1));
    let mut next = 0;
    let mut version = 0;
    while version < 1 {
        let (frame, of) = adapting
            .frames
            .recv_timeout(PATIENCE)
            .expect("frames go on");
        assert_eq!(frame, next, "a frame was lost, or came out of turn");
        assert!(of >= version, "an old version came back");
        (next, version) = (frame + 1, of);
    }
    let teacher = adapting.stats("teacher");
    let labelled = teacher.get::<u64>("labelled-frames").unwrap();
    assert!(labelled > 0 && labelled <= next + 100, "{teacher}");
    assert!(adapting.stats("finetune").get::<u64>("steps").unwrap() >= 12);
}

#[test]
fn a_student_learns_from_the_objects_that_its_teacher_finds() {
    let adapting = Loop::start_with("traffic-teacher.onnx", "labels=decoded", QUICK);
    let accepted = adapting.wait("finetune", |s| s.get::<&str>("outcome") == Ok("accepted"));
    let loss = |name| accepted.get::<f64>(name).unwrap();
    assert!(loss("loss-after") < loss("loss-before"), "{accepted}");
    let swap = adapting.wait("splitinfer-model", |_| true);
    assert_eq!(swap.get::<u64>("new-version"), Ok(1));
}

#[test]
fn a_student_learns_from_a_teacher_on_a_server() {
    let server = Server::listening(&[&format!("model={}", model("traffic-teacher.onnx"))]);
    let settings = format!("server={}", server.address());
    let adapting = Loop::start_with("traffic-teacher.onnx", &settings, QUICK);
    let accepted = adapting.wait("finetune", |s| s.get::<&str>("outcome") == Ok("accepted"));
    let loss = |name| accepted.get::<f64>(name).unwrap();
    assert!(loss("loss-after") < loss("loss-before"), "{accepted}");
    let swap = adapting.wait("splitinfer-model", |_| true);
    assert_eq!(swap.get::<u64>("new-version"), Ok(1));
    let teacher = adapting.stats("teacher");
    assert!(
        teacher.get::<u64>("labelled-frames").unwrap() > 0,
        "{teacher}"
    );
    assert_eq!(teacher.get("unanswered-frames"), Ok(0u64), "{teacher}");
}

#[test]
fn objects_that_the_student_does_not_know_are_named() {
    let adapting = Loop::start_with("walker-teacher.onnx", "labels=decoded", QUICK);
    let warning = adapting.warning();
    assert!(
        warning.contains("found person") && warning.contains("car, van, truck, bus"),
        "{warning}"
    );
}

#[test]
fn a_later_run_begins_with_the_weights_of_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let settings = format!("{QUICK} checkpoint-dir={}", folder.path().display());
    let first = Loop::start("traffic-teacher.onnx", &settings);
    first.wait("finetune", |s| s.get::<&str>("outcome") == Ok("accepted"));
    // The checkpoint is there before anybody hears of the weights: whoever is killed now must not number others like them.
    let files: Vec<PathBuf> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    let model = files
        .iter()
        .find(|f| f.extension().is_some_and(|e| e == "onnx"))
        .expect("a model was kept");
    splitinfer_graph::Model::load(model).unwrap();
    drop(first);
    let second = Loop::make("traffic-teacher.onnx", "", &settings);
    // The trainer is ready before the student has started, as it may be on a busy machine.
    let finetune = second.pipeline.by_name("finetune").unwrap();
    finetune.set_state(gst::State::Paused).unwrap();
    let begun = Instant::now();
    while second.stats("finetune").get("idle") != Ok(true) {
        assert!(begun.elapsed() < PATIENCE, "the trainer is not ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    second.play();
    let resumed = second.wait("finetune", |_| true);
    assert_eq!(resumed.get::<&str>("outcome"), Ok("resumed"), "{resumed}");
    assert!(
        resumed.get::<u64>("model-version").unwrap() >= 2,
        "{resumed}"
    );
    assert_eq!(resumed.get("taken"), Ok(true), "{resumed}");
    second.wait("splitinfer-model", |_| true);
}

#[test]
fn a_teacher_of_another_kind_is_named_and_the_stream_goes_on() {
    let adapting = Loop::start("walker-teacher.onnx", QUICK);
    let warning = adapting.warning();
    assert!(
        warning.contains("walker-teacher.onnx") && warning.contains("the student"),
        "{warning}"
    );
    let last = adapting
        .frames
        .try_iter()
        .last()
        .map_or(0, |(frame, _)| frame);
    let begun = Instant::now();
    while adapting
        .frames
        .recv_timeout(PATIENCE)
        .expect("frames go on")
        .0
        < last + 5
    {
        assert!(begun.elapsed() < PATIENCE);
    }
}

#[test]
fn stopping_does_not_wait_for_a_training() {
    // It rests for a hundred times as long as it works: the training would take minutes.
    let slow = "new-frames=10 max-steps=1000 batch-size=4 cpu-share=0.01 trainable=after:features4";
    let adapting = Loop::start("traffic-teacher.onnx", slow);
    let begun = Instant::now();
    while adapting
        .stats("finetune")
        .get::<f64>("training-ms")
        .unwrap()
        == 0.0
    {
        assert!(begun.elapsed() < PATIENCE, "no training began");
        std::thread::sleep(Duration::from_millis(20));
    }
    let stopping = Instant::now();
    drop(adapting);
    // Not a matter of speed: of not waiting for a thousand steps.
    assert!(stopping.elapsed() < Duration::from_secs(60));
}

#[test]
fn what_is_missing_is_said_before_anything_plays() {
    splitinfer_tests::init();
    let error = |launch: &str| {
        let pipeline = gst::parse::launch(launch).unwrap();
        let failed = pipeline.set_state(gst::State::Playing);
        let message = pipeline
            .bus()
            .unwrap()
            .timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Error]);
        let _ = pipeline.set_state(gst::State::Null);
        let message = message.unwrap_or_else(|| panic!("no error, but {failed:?}"));
        match message.view() {
            gst::MessageView::Error(e) => e.error().to_string(),
            _ => unreachable!("only errors were asked for"),
        }
    };
    let student = model("traffic-student.onnx");
    let e = error("videotestsrc ! finetune");
    assert!(e.contains("set the property 'model'"), "{e}");
    let e = error("videotestsrc ! teacherlabel ! fakesink");
    assert!(e.contains("set the property 'model'"), "{e}");
    let e = error("videotestsrc ! teacherlabel model=/nowhere/teacher.onnx ! fakesink");
    assert!(e.contains("/nowhere/teacher.onnx"), "{e}");
    let e = error(&format!(
        "videotestsrc ! finetune model={student} optimizer=lion"
    ));
    assert!(e.contains("'lion'") && e.contains("adamw"), "{e}");
    let e = error(&format!(
        "videotestsrc ! finetune model={student} trainable=nose.*"
    ));
    assert!(
        e.contains("no weight of the model is called like 'nose.*'"),
        "{e}"
    );
    let e = error(&format!(
        "videotestsrc ! finetune model={student} loss=heatmap_logits=l1"
    ));
    assert!(e.contains("heatmap_logits=l1"), "{e}");
}
