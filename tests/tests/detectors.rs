// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Students that answer as YOLOX and FastestDet do learn from the objects that another model finds: small ones made here that know
//! nothing yet, and a real one with a real teacher where those are at hand.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_graph::Model;
use splitinfer_graph::build::{GraphBuilder, int, ints};
use splitinfer_runtime::random_tensor;
use splitinfer_tensor::{DType, Tensor};

/// What a training may take before a test calls it a hang.
const PATIENCE: Duration = Duration::from_secs(180);
const WIDTH: usize = 160;
const HEIGHT: usize = 96;
/// One grid, of eight pixels a cell; four numbers of a box, whether there is something, and four classes.
const CELLS: [usize; 2] = [HEIGHT / 8, WIDTH / 8];
const NUMBERS: usize = 9;

/// Three convolutions, then boxes, objectness and classes.
fn backbone() -> GraphBuilder {
    let conv = || vec![ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])];
    let mut builder = GraphBuilder::new(17).input("images", DType::F32, &[1, 3, HEIGHT, WIDTH]);
    let (mut from, mut channels) = ("images".to_owned(), 3);
    for (i, more) in [12, 24, 24].into_iter().enumerate() {
        let weight = format!("conv{i}.weight");
        builder = with_weight(builder, &weight, &[more, channels, 3, 3], i as u64)
            .node("Conv", &[&from, &weight], &[&format!("conv{i}")], conv())
            .node(
                "Relu",
                &[&format!("conv{i}")],
                &[&format!("relu{i}")],
                vec![],
            );
        (from, channels) = (format!("relu{i}"), more);
    }
    for (seed, (name, numbers, bias)) in
        (3..).zip([("box", 4, 0.0), ("object", 1, -3.0), ("class", 4, 0.0)])
    {
        let [weight, offset] = [format!("{name}.weight"), format!("{name}.bias")];
        builder = with_weight(builder, &weight, &[numbers, channels, 1, 1], seed)
            .weight(&offset, &[numbers], &vec![bias; numbers])
            .node("Conv", &[&from, &weight, &offset], &[name], vec![]);
    }
    builder
}

fn with_weight(builder: GraphBuilder, name: &str, shape: &[usize], seed: u64) -> GraphBuilder {
    let inputs: usize = shape[1..].iter().product();
    let spread = (6.0 / inputs as f32).sqrt();
    let values = random_tensor(DType::F32, shape, 1.0, seed).to_f32_vec();
    let values: Vec<f32> = values.iter().map(|v| spread * (2.0 * v - 1.0)).collect();
    builder.weight(name, shape, &values)
}

fn yolox() -> Model {
    let cells = CELLS[0] * CELLS[1];
    let shape = Tensor::new(vec![3], vec![1, NUMBERS as i64, cells as i64]).unwrap();
    backbone()
        .constant("shape", &shape)
        .node("Sigmoid", &["object"], &["there"], vec![])
        .node("Sigmoid", &["class"], &["classes"], vec![])
        .node(
            "Concat",
            &["box", "there", "classes"],
            &["maps"],
            vec![int("axis", 1)],
        )
        .node("Reshape", &["maps", "shape"], &["columns"], vec![])
        .node(
            "Transpose",
            &["columns"],
            &["output"],
            vec![ints("perm", &[0, 2, 1])],
        )
        .output("output", DType::F32, &[1, cells, NUMBERS])
        .model()
        .unwrap()
}

fn fastestdet() -> Model {
    backbone()
        .node("Sigmoid", &["object"], &["there"], vec![])
        .node("Softmax", &["class"], &["classes"], vec![int("axis", 1)])
        .node(
            "Concat",
            &["there", "box", "classes"],
            &["output"],
            vec![int("axis", 1)],
        )
        .output("output", DType::F32, &[1, NUMBERS, CELLS[0], CELLS[1]])
        .model()
        .unwrap()
}

fn written(model: &Model, head: &str, own: &str, folder: &Path) -> PathBuf {
    let path = folder.join("student.onnx");
    model.save(&path).unwrap();
    let sidecar = format!(
        "[modelinfo]\nversion=1.0\n[splitinfer]\nhead={head}\nlabels=car,van,truck,bus\n{own}"
    );
    std::fs::write(folder.join("student.onnx.modelinfo"), sidecar).unwrap();
    path
}

/// The first training's outcome of a pipeline with a `finetune`.
fn first_training(launch: &str) -> gst::Structure {
    splitinfer_tests::init();
    let pipeline = gst::parse::launch(launch).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let begun = Instant::now();
    let outcome = loop {
        assert!(begun.elapsed() < PATIENCE, "no training came to its end");
        let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(100)) else {
            continue;
        };
        match message.view() {
            gst::MessageView::Error(e) => panic!("{}: {:?}", e.error(), e.debug()),
            gst::MessageView::Warning(e) => panic!("{}: {:?}", e.error(), e.debug()),
            gst::MessageView::Element(m) => {
                let structure = m.structure().filter(|s| s.name() == "finetune");
                if let Some(structure) = structure {
                    break structure.to_owned();
                }
            }
            _ => {}
        }
    };
    pipeline.set_state(gst::State::Null).unwrap();
    outcome
}

/// Takes away half of the loss and more, on frames that it was not trained on.
fn assert_learns(outcome: &gst::StructureRef) {
    let loss = |name| outcome.get::<f64>(name).unwrap();
    assert_eq!(outcome.get::<&str>("outcome"), Ok("accepted"), "{outcome}");
    assert!(loss("loss-after") < 0.5 * loss("loss-before"), "{outcome}");
}

fn learns_a_street(model: &Model, head: &str, own: &str) {
    let folder = tempfile::tempdir().unwrap();
    let student = written(model, head, own, folder.path());
    let teacher = splitinfer_tests::repository().join("models/traffic-teacher.onnx");
    let launch = format!(
        "scenesrc scene=traffic scenario=repetitive num-buffers=40 ! video/x-raw,width=320,height=176,framerate=10/1 \
         ! tee name=all ! queue ! splitinfer-edge model={student} ! fakesink \
         all. ! queue max-size-buffers=0 max-size-time=0 ! teacherlabel model={teacher} labels=decoded \
         ! finetune model={student} cpu-share=1 max-steps=80 learning-rate=0.005 async=false",
        student = student.display(),
        teacher = teacher.display()
    );
    assert_learns(&first_training(&launch));
}

#[test]
fn a_student_that_answers_as_yolox_does_learns_from_objects() {
    learns_a_street(&yolox(), "yolox", "strides=8\n");
}

#[test]
fn a_student_that_answers_as_fastestdet_does_learns_from_objects() {
    learns_a_street(&fastestdet(), "fastestdet", "");
}

#[test]
fn a_real_student_learns_from_a_real_teacher() {
    let find = |name: &str| splitinfer_tests::data::find(name);
    let (Some(student), Some(teacher), Some(video)) = (
        find("models/FastestDet.onnx"),
        find("models/yolox_nano_416.onnx"),
        find("videos/car-detection.mp4"),
    ) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // From above cars look like other things; how they are called is not the question here.
    let provide = |from: &Path, name: &str, head: &str| {
        let path = folder.path().join(format!("{name}.onnx"));
        std::os::unix::fs::symlink(from, &path).unwrap();
        let sidecar = format!(
            "[modelinfo]\nversion=1.0\n[splitinfer]\nhead={head}\nlabels=coco80\nremap=5:2,7:2,67:2\nclasses=2\n"
        );
        std::fs::write(
            folder.path().join(format!("{name}.onnx.modelinfo")),
            sidecar,
        )
        .unwrap();
        path
    };
    let student = provide(&student, "student", "fastestdet");
    let teacher = provide(&teacher, "teacher", "yolox");
    let launch = format!(
        "filesrc location={video} ! decodebin ! videoconvert ! tee name=all ! queue ! splitinfer-edge model={student} ! fakesink \
         all. ! queue max-size-buffers=0 max-size-time=0 ! videorate drop-only=true ! video/x-raw,framerate=5/2 \
         ! teacherlabel model={teacher} labels=decoded max-waiting=400 ! finetune model={student} cpu-share=1 async=false",
        video = video.display(),
        student = student.display(),
        teacher = teacher.display()
    );
    assert_learns(&first_training(&launch));
}
