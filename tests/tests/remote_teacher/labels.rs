// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a teacher on a server says is what it says here, but for what the picture loses on the way.

use splitinfer_meta::Object;
use splitinfer_runtime::SessionOptions;
use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{Limits, picture};
use splitinfer_tests::labelling::{Frame, Labelling, model, server};
use splitinfer_tests::model::{LocalModel, largest_difference};
use splitinfer_vision::Picture;
use std::path::Path;

const FRAMES: usize = 12;
const SIZE: [u32; 2] = [320, 176];

/// The quality of the JPEGs that an edge sends, docs/elements/splitinfer-edge.md.
const QUALITY: u8 = 90;

/// The same frames in every run.
fn frames(scene: &str, settings: &str) -> Vec<Frame> {
    let source = format!(
        "scenesrc scene={scene} seed=900001 num-buffers={FRAMES} \
         ! video/x-raw,format=RGB,width=320,height=176,framerate=2/1"
    );
    let teacher = format!("{scene}-teacher.onnx");
    let labelling = Labelling::start_as(&teacher, &source, settings);
    let (frames, _) = labelling.end();
    assert_eq!(frames.len(), FRAMES);
    assert!(
        frames.iter().all(Frame::is_labelled),
        "{}",
        labelling.stats()
    );
    assert_eq!(labelling.count("labelled-frames"), FRAMES as u64);
    assert_eq!(labelling.count("unanswered-frames"), 0);
    frames
}

fn tensors(frame: &Frame) -> Vec<(String, Tensor)> {
    let all = frame.labels.tensors.iter();
    all.map(|t| (t.name.clone(), t.tensor().unwrap())).collect()
}

/// What the teacher says here of the picture as a server gets it.
fn after_jpeg(teacher: &mut LocalModel, frame: &Frame) -> Vec<(String, Tensor)> {
    let mapped = frame.buffer.map_readable().unwrap();
    let (picture, _) = teacher.picture_of_rgb(&mapped, SIZE).unwrap();
    let sent = picture::encode_jpeg(&picture.rgb, picture.width, picture.height, QUALITY).unwrap();
    let (width, height, rgb) = picture::decode_jpeg(&sent, &Limits::default()).unwrap();
    let tensor = teacher
        .tensor(&Picture::new(width, height, rgb).unwrap())
        .unwrap();
    teacher.split.whole(&tensor).unwrap()
}

/// Euclidean, of all frames, relative to what is expected.
fn relative_error(found: &[Frame], expected: &[Frame], output: usize) -> f64 {
    let (mut difference, mut size) = (0.0, 0.0);
    for (a, b) in found.iter().zip(expected) {
        let (a, b) = (&tensors(a)[output].1, &tensors(b)[output].1);
        assert_eq!(a.shape(), b.shape());
        for (a, b) in a.to_f32_vec().into_iter().zip(b.to_f32_vec()) {
            difference += f64::from(a - b).powi(2);
            size += f64::from(b).powi(2);
        }
    }
    (difference / size).sqrt()
}

/// `most`: what the JPEG may change of an output, by docs/elements/teacherlabel.md.
fn dense(scene: &str, most: f64) {
    splitinfer_tests::init();
    let server = server();
    let remote = frames(scene, &format!("server={}", server.address()));
    let local = frames(scene, "");
    let path = model(&format!("{scene}-teacher.onnx"));
    let mut teacher = LocalModel::load(Path::new(&path), &SessionOptions::default()).unwrap();
    for (there, here) in remote.iter().zip(&local) {
        assert_eq!(there.labels.teacher, here.labels.teacher);
        assert_eq!(there.pts, here.pts);
        // Outputs come back bit for bit, so all that may differ is the order in which threads add.
        let same = after_jpeg(&mut teacher, here);
        let difference = largest_difference(&tensors(there), &same);
        assert!(difference < 1e-3, "{difference}");
    }
    // The JPEG is all that is left.
    for (output, (name, _)) in tensors(&local[0]).iter().enumerate() {
        let error = relative_error(&remote, &local, output);
        eprintln!("{scene}, {name}: {error:.4}");
        assert!(error > 0.0 && error < most, "{name}: {error}");
    }
}

#[test]
fn dense_labels_are_those_of_the_teacher_here_on_the_picture_that_the_server_gets() {
    dense("traffic", 0.1);
}

#[test]
fn and_so_are_those_of_people() {
    dense("walker", 0.1);
}

fn found(frame: &Frame) -> &[Object] {
    frame.labels.objects.as_deref().unwrap()
}

fn overlap(a: &Object, b: &Object) -> f32 {
    let side = |i: usize| {
        let end = (a.box_[i] + a.box_[i + 2]).min(b.box_[i] + b.box_[i + 2]);
        (end - a.box_[i].max(b.box_[i])).max(0.0)
    };
    let both = side(0) * side(1);
    both / (a.box_[2] * a.box_[3] + b.box_[2] * b.box_[3] - both)
}

/// Those that `of` is sure of and `by` has found, too; and how many it is sure of.
fn agreed(of: &[Frame], by: &[Frame]) -> (usize, usize) {
    let (mut agreed, mut all) = (0, 0);
    for (a, b) in of.iter().zip(by) {
        for object in found(a).iter().filter(|o| o.score >= 0.5) {
            let same =
                |other: &&Object| other.label == object.label && overlap(other, object) > 0.8;
            agreed += usize::from(found(b).iter().any(|o| same(&o)));
            all += 1;
        }
    }
    (agreed, all)
}

#[test]
fn decoded_labels_are_the_objects_that_the_teacher_finds_here() {
    let server = server();
    let remote = frames(
        "traffic",
        &format!("labels=decoded server={}", server.address()),
    );
    let local = frames("traffic", "labels=decoded");
    assert!(remote.iter().all(|f| f.labels.tensors.is_empty()));
    for (a, b) in [(&remote, &local), (&local, &remote)] {
        let (agreed, all) = agreed(a, b);
        eprintln!("{agreed} of {all}");
        assert!(all > FRAMES && agreed * 20 >= all * 19, "{agreed} of {all}");
    }
}

#[test]
fn the_students_result_stays_on_its_frame() {
    let server = server();
    let student = |settings: &str| {
        let source = format!(
            "scenesrc scene=traffic seed=900001 num-buffers={FRAMES} \
             ! video/x-raw,format=RGB,width=320,height=176,framerate=2/1 \
             ! splitinfer-edge model={}",
            model("traffic-student.onnx")
        );
        let labelling = Labelling::start(&source, settings);
        labelling.end().0
    };
    let (remote, local) = (
        student(&format!("server={}", server.address())),
        student(""),
    );
    assert_eq!(remote.len(), FRAMES);
    for (n, (there, here)) in remote.iter().zip(&local).enumerate() {
        let (there, here) = (
            there.result.as_ref().unwrap(),
            here.result.as_ref().unwrap(),
        );
        assert_eq!((there.frame, &there.split[..]), (n as u64, "edge"));
        assert_eq!(there.objects, here.objects);
        assert!(there.tensors.is_empty());
    }
}
