// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Published models: read without loss, and measured as their authors say.

use std::path::PathBuf;

use splitinfer_graph::{Dim, Facts, Model};

/// The folder of real models, or `None` where it is absent.
fn folder() -> Option<PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let data = std::env::var_os("SPLITINFER_DATA")
        .map_or_else(|| PathBuf::from(root).join("../shared/data"), PathBuf::from);
    let folder = data.join("models");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no real models in {}", folder.display());
    None
}

#[test]
fn loading_and_saving_changes_no_byte() {
    let Some(folder) = folder() else { return };
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().path());
    let mut models = 0;
    for file in files.filter(|f| f.extension().is_some_and(|e| e == "onnx")) {
        let model = Model::load(&file).unwrap();
        assert!(
            model.to_bytes() == std::fs::read(&file).unwrap(),
            "{}",
            file.display()
        );
        let probe = Model::from_bytes(&model.probe_model().to_bytes(), None).unwrap();
        assert!(probe.outputs().len() > model.outputs().len());
        models += 1;
    }
    assert!(models > 0);
}

#[test]
fn parameters_and_inputs_are_as_published() {
    let Some(folder) = folder() else { return };
    for (file, input, shape, millions) in [
        ("FastestDet.onnx", "input.1", [1, 3, 352, 352], 0.24),
        ("yolox_nano_416.onnx", "images", [1, 3, 416, 416], 0.90),
        (
            "mobilenet_v2_1.0_224_f32.onnx",
            "input",
            [1, 224, 224, 3],
            3.5,
        ),
    ] {
        let model = Model::load(&folder.join(file)).unwrap();
        let inputs = model.inputs();
        assert_eq!(inputs.len(), 1);
        assert_eq!(inputs[0].name, input);
        assert_eq!(inputs[0].shape, Some(shape.map(Dim::Fixed).to_vec()));
        let found = model.parameters() as f64 / 1e6;
        assert!((found - millions).abs() < 0.02, "{file}: {found} M");
    }
}

#[test]
fn a_symbolic_batch_can_be_fixed() {
    let Some(folder) = folder() else { return };
    let model = Model::load(&folder.join("blazepose_landmark_lite.onnx")).unwrap();
    let name = model.inputs()[0].name.clone();
    assert!(matches!(
        &model.inputs()[0].shape.as_ref().unwrap()[0],
        Dim::Symbol(_)
    ));
    let fixed = model.with_input_shape(&name, &[1, 256, 256, 3]).unwrap();
    assert_eq!(fixed.inputs()[0].shape.as_ref().unwrap()[0], Dim::Fixed(1));
}

/// The tail of YOLOX-nano after its 32×52×52 stage, as a model of its own.
#[test]
fn parts_of_a_real_model_hold_what_they_need_and_no_more() {
    let Some(folder) = folder() else { return };
    let model = Model::load(&folder.join("yolox_nano_416.onnx")).unwrap();
    let facts = Facts::default();
    let [input, stage, output] = ["images", "725", "output"].map(|n| vec![n.to_owned()]);
    let head = model.part(&facts, &input, &stage).unwrap();
    let tail = model.part(&facts, &stage, &output).unwrap();
    let nodes = |m: &Model| m.proto().graph.as_ref().unwrap().node.len();
    assert_eq!(nodes(&head) + nodes(&tail), nodes(&model));
    assert_eq!(head.parameters() + tail.parameters(), model.parameters());
    assert_eq!(head.inputs(), model.inputs());
    assert_eq!(tail.outputs(), model.outputs());
}
