// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Models that are run on scenes and videos.

use crate::common::{Folder, assert_one_line, data, number, report, runtime, shipped};

#[test]
fn the_shipped_student_on_scenes_of_two_domains() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let model = shipped("traffic-student.onnx");
    let plots = folder.0.path().join("plots");
    let arguments = [
        "--model",
        &model,
        "--scene",
        "traffic",
        "--domain",
        "day",
        "--domain",
        "night",
        "--seed",
        "900000",
        "--scenes",
        "3",
        "--frames",
        "10",
        "--rate",
        "6/5",
        "--min-size",
        "12",
        "--min-visible",
        "0.3",
        "--plots",
        plots.to_str().unwrap(),
    ];
    let (table, json) = report(&arguments, folder.0.path());
    assert!(table.contains("| day | traffic-student | 30 |"), "{table}");
    assert!(
        table.contains("at least 0.3."),
        "the sidecar's threshold: {table}"
    );
    let [day, night] = [0, 1].map(|i| &json["runs"][i]);
    assert_eq!(
        (&day["domain"], &night["domain"]),
        (&"day".into(), &"night".into())
    );
    assert_eq!(number(day, "/score"), 0.3);
    for run in [day, night] {
        assert_eq!(number(run, "/frames"), 30.0);
        assert_eq!(run["moments"].as_array().unwrap().len(), 30);
        assert!(number(run, "/detection/any_label/objects") > 100.0);
        assert!(number(run, "/detection/ap") <= number(run, "/detection/ap50"));
        assert!(number(run, "/detection/boxes/mae") <= 100.0);
        assert!(run["detection"]["classes"]["car"]["ap50"].is_number());
        assert!(run["pose"].is_null());
    }
    // It was trained by day, and sees little at night: docs/models.md.
    let ap = |run| number(run, "/detection/any_label/ap50");
    assert!(
        ap(day) > 0.5 && ap(night) < 0.2,
        "{} {}",
        ap(day),
        ap(night)
    );
    assert!(number(day, "/detection/boxes/mae") < 40.0);
    assert!(plots.join("precision-recall.png").exists());
    // The same seed gives the same scenes, and so the same figures.
    let (again, _) = report(&arguments, folder.0.path());
    assert_eq!(again, table);
}

#[test]
fn a_pose_is_judged_by_its_joints_and_knees() {
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let model = shipped("walker-student.onnx");
    let arguments = [
        "--model",
        &model,
        "--scene",
        "walker",
        "--seed",
        "900000",
        "--scenes",
        "2",
        "--frames",
        "15",
        "--rate",
        "5",
        "--largest",
        "--min-visible",
        "0.3",
        "--set",
        "threads=1",
    ];
    let (table, json) = report(&arguments, folder.0.path());
    assert!(
        table.contains("PCK@0.05") && table.contains("knee °"),
        "{table}"
    );
    let run = &json["runs"][0];
    let pose = |path: &str| number(run, &format!("/pose/{path}"));
    assert!((20.0..=30.0).contains(&pose("people")), "{table}");
    assert!(
        pose("pck/0/all") > 0.6 && pose("pck/2/all") > pose("pck/0/all"),
        "{table}"
    );
    assert!(
        pose("joint_error") > 0.0 && pose("joint_error") < 40.0,
        "{table}"
    );
    assert!(pose("ap50") > 0.5, "{table}");
    assert!(
        pose("knee/in_picture") < 45.0 && pose("knee/of_projection") < pose("knee/in_space"),
        "{table}"
    );
    assert_eq!(run["pose"]["pck_curve"].as_array().unwrap().len(), 51);
}

#[test]
fn a_real_model_on_a_real_video_with_a_mot_file() {
    let (Some(model), Some(video), Some(truth)) = (
        data("models/yolox_nano_416.onnx"),
        data("videos/car-detection.mp4"),
        data("truth/car-detection.machine_boxes.txt"),
    ) else {
        return;
    };
    if !runtime() {
        return;
    }
    let folder = Folder::new();
    let arguments = [
        "--model",
        &model,
        "--video",
        &video,
        "--truth",
        &truth,
        "--class-agnostic",
        "--frames",
        "100",
        "--min-size",
        "40",
    ];
    let (table, json) = report(&arguments, folder.0.path());
    let run = &json["runs"][0];
    assert_eq!(number(run, "/frames"), 100.0);
    assert!(number(run, "/detection/ap50") > 0.4, "{table}");
    assert!(run["tracking"].is_null(), "the model does not track");
}

#[test]
fn models_and_scenes_that_do_not_fit_are_refused_in_one_line() {
    let folder = Folder::new();
    let text = folder.file("notes.txt", "this is a text");
    let scene = |model: &str, more: &[&str], parts: &[&str]| {
        let arguments = [
            &["--model", model, "--scene", "traffic", "--frames", "2"],
            more,
        ]
        .concat();
        assert_one_line(&arguments, parts);
    };
    scene(
        "/does/not/exist.onnx",
        &[],
        &["/does/not/exist.onnx", "No such file"],
    );
    scene(&text, &[], &["notes.txt", "not an ONNX model"]);
    if !runtime() {
        return;
    }
    let (traffic, walker) = (
        shipped("traffic-student.onnx"),
        shipped("walker-student.onnx"),
    );
    scene(&walker, &[], &["results have person", "truth has"]);
    scene(&traffic, &["--domain", "mars"], &["mars", "night"]);
    scene(&traffic, &["--scenario", "daily"], &["daily", "scenario"]);
    scene(
        &traffic,
        &["--set", "speed=9"],
        &["splitinfer-edge", "no property speed"],
    );
    scene(&traffic, &["--set", "threads=many"], &["many", "threads"]);
    let truth = folder.mot();
    assert_one_line(
        &[
            "--model",
            &traffic,
            "--video",
            "/does/not/exist.mp4",
            "--truth",
            &truth,
        ],
        &["/does/not/exist.mp4", "No such file"],
    );
    assert_one_line(
        &["--model", &traffic, "--video", &text, "--truth", &truth],
        &["notes.txt"],
    );
}
