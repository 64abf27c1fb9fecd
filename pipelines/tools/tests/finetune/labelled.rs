// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Pictures that come with labels.

use super::kit::{Folder, assert_one_line, run, runtime, shipped, stderr, succeed};
use splitinfer_scene::Kind;

/// A car on a picture, as COCO has it.
fn coco(picture: &str, category: &str, more: &str) -> String {
    format!(
        r#"{{"images": [{{"id": 5, "file_name": "street/{picture}"}}],
            "categories": [{{"id": 1, "name": "{category}"}}],
            "annotations": [{{"image_id": 5, "category_id": 1, "bbox": [100, 60, 80, 50]{more}}}]}}"#
    )
}

#[test]
fn a_student_learns_from_what_is_truly_there() {
    if !runtime() {
        return;
    }
    for (kind, student) in [
        (Kind::Walker, "walker-student.onnx"),
        (Kind::Traffic, "traffic-student.onnx"),
    ] {
        let folder = Folder::new();
        let pictures = folder.frames("fog", kind, "fog", 16);
        let said = succeed(&[
            &shipped(student),
            "--data",
            &pictures,
            "--truth",
            &folder.text("fog.jsonl"),
            "--min-visible",
            "0.3",
            "--steps",
            "12",
            "--batch",
            "4",
            "--output",
            &folder.text("out.onnx"),
        ]);
        assert!(
            said.contains("% less") && said.contains("12 steps on 13 examples"),
            "{said}"
        );
    }
}

#[test]
fn pictures_without_labels_are_left_out_and_counted() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let pictures = folder.frames("day", Kind::Traffic, "day", 4);
    let student = shipped("traffic-student.onnx");
    let truth = folder.text("truth.json");
    let output = folder.text("out.onnx");
    let learn = |more: &[&str]| {
        let mut line = vec![student.as_str(), "--data", &pictures, "--truth", &truth];
        line.extend([
            "--steps",
            "1",
            "--validation-share",
            "0",
            "--keep",
            "--force",
        ]);
        line.extend(["--output", &output]);
        line.extend(more);
        run(&line)
    };
    std::fs::write(&truth, coco("0002.png", "car", "")).unwrap();
    let output = learn(&[]);
    let said = stderr(&output);
    assert!(said.contains("3 of 4 pictures are not in"), "{said}");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("1 steps on 1 examples"), "{told}");
    // Another name for what the student knows.
    std::fs::write(&truth, coco("0002.png", "automobile", "")).unwrap();
    let output = learn(&["--map", "automobile=car"]);
    let said = stderr(&output);
    assert!(said.contains("3 of 4 pictures are not in"), "{said}");
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let pictures = folder.frames("day", Kind::Traffic, "day", 2);
    let [student, teacher] = ["traffic-student.onnx", "traffic-teacher.onnx"].map(shipped);
    let truth = folder.text("truth.json");
    let output = folder.text("out.onnx");
    let with = |model: &str, text: &str, more: &[&str], parts: &[&str]| {
        std::fs::write(&truth, text).unwrap();
        let mut line = vec![model, "--data", &pictures, "--truth", &truth];
        line.extend(["--output", &output]);
        line.extend(more);
        assert_one_line(&line, parts);
    };
    let car = coco("0000.png", "car", "");
    with(
        &student,
        &coco("0000.png", "dog", ""),
        &[],
        &["its objects are dog", "car, van", "--map"],
    );
    with(
        &student,
        &coco("9999.png", "car", ""),
        &[],
        &["nothing about any of the 2 pictures"],
    );
    with(
        &student,
        &car,
        &["--truth", "also.json"],
        &["given 2 times", "one for each"],
    );
    with(&student, &car, &["--teacher", &teacher], &["without truth"]);
    with(&student, "{", &[], &["truth.json", "COCO"]);
    with(
        &student,
        &car,
        &["--loss", "heatmap_logits=mse", "--weigh-by", "none"],
        &["objects do not tell what 'heatmap_logits' should be"],
    );
    let walker = shipped("walker-student.onnx");
    let pose = coco("0000.png", "person", r#", "keypoints": [1, 2, 2]"#);
    with(&walker, &pose, &[], &["1 keypoints", "answers 17"]);
}
