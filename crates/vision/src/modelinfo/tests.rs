// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Sidecars read, completed, refused and written.

use std::path::Path;

use proptest::prelude::*;

use super::sidecar::Sidecar;
use super::words::Word;
use super::*;

const HEADER: &str = "[modelinfo]\nversion=1.0\n";
const INPUT: &str = "[in]\ndir=input\ntype=float32\ndims=1,3,416,416\n";
const OUTPUT: &str = "[out]\ndir=output\ntype=float32\ndims=1,3549,85\n";

fn tensor(name: &str, dtype: DType, dims: &[i64]) -> TensorInfo {
    TensorInfo {
        name: name.into(),
        dtype: Some(dtype),
        dims: dims.iter().map(|d| usize::try_from(*d).ok()).collect(),
    }
}

fn guess_head(input: &[i64], outputs: &[(&str, &[i64])]) -> ModelInfo {
    let input = tensor("in", DType::F32, input);
    let outputs: Vec<_> = outputs
        .iter()
        .map(|(name, dims)| tensor(name, DType::F32, dims))
        .collect();
    ModelInfo::guess(&[input], &outputs).unwrap().0
}

#[test]
fn what_is_written_is_what_was_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sidecars");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace(
            "labels-file=imagenet_labels.txt",
            "labels=tench, Tinca tinca;a\\;b",
        );
        let info = ModelInfo::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(ModelInfo::parse(&info.to_text()).unwrap(), info);
        count += 1;
    }
    assert!(count >= 10);
}

/// Whatever lies in `models/`; before the recipe has run that may be nothing.
#[test]
fn the_sidecars_of_shipped_models_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "modelinfo") {
            let text = std::fs::read_to_string(&path).unwrap();
            let info =
                ModelInfo::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!([HeadKind::Center, HeadKind::PoseHeatmaps].contains(&info.head.kind));
            assert!(!info.labels.is_empty());
        }
    }
}

#[test]
fn gstreamers_own_keys_are_enough() {
    let text = "[modelinfo]\nversion=1.0\ngroup-id=yolo-v8-out\n\n[images]\nid=yolo-v8-in\ntype=float32\n\
                dims=1,3,640,640\ndir=input\nranges=0.0,1.0;-1.0,1.0;0.0,255.0\n\n[output0]\nid=yolo-v8-out\n\
                type=float32\ndims=1,84,8400\ndir=output\ndims-order=col-major\n";
    let info = ModelInfo::parse(text).unwrap();
    assert_eq!(info.group_id.as_deref(), Some("yolo-v8-out"));
    assert_eq!(info.head.kind, HeadKind::Yolov8);
    assert_eq!(info.input.ranges, [[0.0, 1.0], [-1.0, 1.0], [0.0, 255.0]]);
    assert_eq!(info.labels.len(), 80);
    assert_eq!(info.tensors[1].dims_order, DimsOrder::ColMajor);
    assert_eq!(info.input.shape(), [1, 3, 640, 640]);
}

#[test]
fn common_models_are_recognised() {
    let image = [1, 3, 640, 640];
    let kind = |outputs: &[(&str, &[i64])]| guess_head(&image, outputs).head.kind;
    assert_eq!(kind(&[("o", &[1, 8400, 85])]), HeadKind::Yolox);
    assert_eq!(kind(&[("o", &[1, 25200, 85])]), HeadKind::Yolov5);
    assert_eq!(kind(&[("o", &[1, 84, 8400])]), HeadKind::Yolov8);
    assert_eq!(kind(&[("o", &[1, 56, 8400])]), HeadKind::Yolov8Pose);
    assert_eq!(kind(&[("o", &[1, 85, 40, 40])]), HeadKind::FastestDet);
    assert_eq!(kind(&[("o", &[1, 17, 160, 160])]), HeadKind::PoseHeatmaps);
    assert_eq!(kind(&[("o", &[-1, 1000])]), HeadKind::Classification);
    assert_eq!(kind(&[("o", &[1, 1, 17, 3])]), HeadKind::Keypoints);
    assert_eq!(kind(&[("o", &[1, 21, 640, 640])]), HeadKind::Raw);
    assert_eq!(kind(&[("x", &[1, 4]), ("y", &[1, 3])]), HeadKind::Raw);
    let two: &[(&str, &[i64])] = &[("heatmap", &[1, 3, 80, 80]), ("box", &[1, 4, 80, 80])];
    assert_eq!(kind(two), HeadKind::Center);
    let pose: &[(&str, &[i64])] = &[("heatmap", &[1, 17, 80, 80]), ("offset", &[1, 34, 80, 80])];
    assert_eq!(kind(pose), HeadKind::PoseHeatmaps);
    assert_eq!(guess_head(&image, pose).keypoints.len(), 17);
    let simcc: &[(&str, &[i64])] = &[("simcc_x", &[1, 17, 384]), ("simcc_y", &[1, 17, 512])];
    assert_eq!(kind(simcc), HeadKind::SimCc);
    let ssd: &[(&str, &[i64])] = &[
        ("TFLite_Detection_PostProcess", &[1, 10, 4]),
        ("TFLite_Detection_PostProcess:1", &[1, 10]),
        ("TFLite_Detection_PostProcess:2", &[1, 10]),
        ("TFLite_Detection_PostProcess:3", &[1]),
    ];
    let info = guess_head(&image, ssd);
    assert_eq!(info.head.kind, HeadKind::SsdNms);
    assert_eq!(info.head.roles["count"], "TFLite_Detection_PostProcess:3");
}

#[test]
fn a_sidecar_must_agree_with_its_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("m.onnx");
    let inputs = [tensor("in", DType::F32, &[-1, 3, -1, -1])];
    let outputs = [tensor("out", DType::F32, &[1, 3549, 85])];
    let load = |text: &str| {
        std::fs::write(folder.path().join("m.modelinfo"), format!("{HEADER}{text}")).unwrap();
        ModelInfo::load_or_guess(&model, &inputs, &outputs)
            .map(|(info, _)| info)
            .map_err(|e| e.to_string())
    };
    assert_eq!(load(INPUT).unwrap().head.kind, HeadKind::Yolox);
    let info = load("[splitinfer]\ninput-size=416x416\n").unwrap();
    assert_eq!(info.input.shape(), [1, 3, 416, 416]);
    let has = |text: &str, part: &str| {
        let e = load(text).unwrap_err();
        assert!(e.contains(part), "{e}");
        assert!(
            e.contains("m.modelinfo") || e.contains("m.onnx.modelinfo"),
            "{e}"
        );
    };
    has("", "input-size=WIDTHxHEIGHT");
    has(
        "[image]\ndir=input\n",
        ":3: [image] the model has no such tensor; it has in",
    );
    has(
        "[in]\ndims=1,1,9,9\n",
        ":4: [in] dims: [1, 1, 9, 9] does not match the model's [?, 3, ?, ?]",
    );
    has(
        "[in]\ntype=uint8\n",
        "type: uint8, but in the model it is float32",
    );
    // The more specific name is looked for first.
    std::fs::write(folder.path().join("m.onnx.modelinfo"), "no sidecar").unwrap();
    assert!(load(INPUT).unwrap_err().contains("m.onnx.modelinfo:"));
}

#[test]
fn without_a_sidecar_what_was_assumed_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = [tensor("in", DType::F32, &[1, 3, 416, 416])];
    let outputs = [tensor("out", DType::F32, &[1, 3549, 85])];
    let model = folder.path().join("m.onnx");
    let (info, assumed) = ModelInfo::load_or_guess(&model, &inputs, &outputs).unwrap();
    assert_eq!(info.head.kind, HeadKind::Yolox);
    for key in [
        "head=yolox",
        "colour=bgr",
        "ranges=0,255",
        "resize=letterbox",
        "filter=bilinear",
    ] {
        assert!(
            assumed.iter().any(|a| a.starts_with(key)),
            "{key}: {assumed:?}"
        );
    }
    assert_eq!(ModelInfo::load_for(&model), Ok(None));
}

#[test]
fn every_mistake_is_named_with_its_place() {
    for (text, expected) in [
        ("[x]\ndims=1\n", "no [modelinfo] section"),
        (
            "[modelinfo]\n",
            "sidecar:1: [modelinfo] version: is missing",
        ),
        (
            "[modelinfo]\nversion=2.0\n",
            "sidecar:2: [modelinfo] version: \"2.0\" is not supported",
        ),
        (
            "[modelinfo]\nversion=1.0\nversion=1.0\n",
            "[modelinfo] version: the key is there twice",
        ),
        (
            "a=b\n[modelinfo]\nversion=1.0\n",
            "sidecar:1: a: stands before the first [section]",
        ),
        ("[modelinfo\n", "not an INI file"),
    ] {
        let e = ModelInfo::parse(text).unwrap_err().to_string();
        assert!(e.contains(expected), "{e}");
    }
    for (own, expected) in [
        (
            "head=yolo9",
            "head: \"yolo9\" is not one of raw, classification",
        ),
        ("hed=yolox", "hed: there is no such key; known are head"),
        (
            "nms-threshold=0,45",
            "nms-threshold: \"0,45\" is not a number from 0 to 1",
        ),
        ("score-threshold=nan", "score-threshold"),
        ("pad=256", "pad: \"256\" is not a grey level"),
        (
            "colour=gray",
            "colour: gray does not go with an input of 3 channels",
        ),
        (
            "input-size=99x416",
            "input-size: 99 contradicts the 416 of the model",
        ),
        ("strides=8,0", "strides: \"0\" is not"),
        ("skeleton=0-1", "skeleton: 0-1: there are only 0 keypoints"),
        (
            "labels-file=/etc/passwd",
            "labels-file: no file can be opened here",
        ),
        (
            "tensor-box=out",
            "tensor-box: head=yolox has no role 'box'; it has: output",
        ),
        (
            "tensor-output=o",
            "tensor-output: the model has no output 'o'; it has out",
        ),
        (
            "head=center",
            "head: head=center needs an output for 'heatmap'; say tensor-heatmap=NAME",
        ),
    ] {
        let text = format!("{HEADER}{INPUT}{OUTPUT}[splitinfer]\n{own}\n");
        let e = ModelInfo::parse(&text).unwrap_err().to_string();
        assert!(
            e.contains("sidecar:12: [splitinfer]") || e.contains("sidecar:11:"),
            "{e}"
        );
        assert!(e.contains(expected), "{e}");
    }
}

#[test]
fn labels_come_from_a_file_beside_the_sidecar() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("names.txt"), "person\r\ncar, small\n").unwrap();
    let model = folder.path().join("m.onnx");
    let text = |file: &str| format!("{HEADER}{INPUT}{OUTPUT}[splitinfer]\nlabels-file={file}\n");
    let sidecar = folder.path().join("m.onnx.modelinfo");
    std::fs::write(&sidecar, text("names.txt")).unwrap();
    let info = ModelInfo::load_for(&model).unwrap().unwrap();
    assert_eq!(info.labels, ["person", "car, small"]);
    assert_eq!(info.label(1), "car, small");
    assert_eq!(info.label(9), "class 9");
    std::fs::write(&sidecar, text("other.txt")).unwrap();
    let e = ModelInfo::load_for(&model).unwrap_err().to_string();
    assert!(e.contains("other.txt cannot be read"), "{e}");
}

#[test]
fn only_pictures_can_be_fed() {
    let output = [tensor("out", DType::F32, &[1, 10])];
    let refused =
        |inputs: &[TensorInfo]| ModelInfo::guess(inputs, &output).unwrap_err().to_string();
    let picture = tensor("in", DType::F32, &[1, 3, 8, 8]);
    assert!(refused(&[]).contains("this one has 0"));
    assert!(refused(&[picture.clone(), picture]).contains("this one has 2"));
    assert!(refused(&[tensor("in", DType::F32, &[1, 10])]).contains("not one picture"));
    assert!(refused(&[tensor("in", DType::F32, &[1, 4, 8, 8])]).contains("layout=nchw or nhwc"));
    assert!(refused(&[tensor("in", DType::I64, &[1, 3, 8, 8])]).contains("its type is int64"));
    assert!(refused(&[tensor("in", DType::F32, &[1, 3, 8, 99_999])]).contains("1 to 8192"));
    let gray = ModelInfo::guess(&[tensor("in", DType::U8, &[1, 1, 28, 28])], &output)
        .unwrap()
        .0;
    assert_eq!(gray.input.colour, Colour::Gray);
    assert_eq!(gray.input.ranges, [[0.0, 255.0]]);
}

#[test]
fn spellings_and_separators_that_people_use_are_understood() {
    let read = |own: &str| {
        ModelInfo::parse(&format!("{HEADER}{INPUT}{OUTPUT}[splitinfer]\n{own}\n")).unwrap()
    };
    let info = read("color=BGR\nresize=letterbox-centre\nlabels=car, van,truck");
    assert_eq!(info.input.colour, Colour::Bgr);
    assert_eq!(info.input.resize, Resize::LetterboxCenter);
    assert_eq!(info.labels, ["car", "van", "truck"]);
    assert_eq!(read("labels=car, small;van").labels, ["car, small", "van"]);
    assert_eq!(HeadKind::from_word("centre"), Some(HeadKind::Center));
}

#[test]
fn left_and_right_change_places_in_a_mirror() {
    let info = guess_head(&[1, 3, 64, 64], &[("o", &[1, 1, 17, 3])]);
    let partner = info.mirrored_keypoints();
    assert_eq!(partner[..5], [0, 2, 1, 4, 3]);
    assert!((0..17).all(|i| partner[partner[i]] == i));
}

#[test]
fn every_value_has_a_word() {
    fn round_trip<W: Word>() {
        for (word, value) in W::WORDS {
            assert_eq!(value.word(), *word);
            assert!(W::from_word(word) == Some(*value));
        }
    }
    round_trip::<HeadKind>();
    round_trip::<Filter>();
    round_trip::<Resize>();
    round_trip::<Activation>();
    // The compiler sees to it that this match, and so the table, is complete.
    let all = |k: HeadKind| match k {
        HeadKind::Raw | HeadKind::Classification | HeadKind::Yolox | HeadKind::Yolov5 => 13,
        HeadKind::Yolov8 | HeadKind::Yolov8Pose | HeadKind::FastestDet | HeadKind::SsdNms => 13,
        HeadKind::Center | HeadKind::PoseHeatmaps | HeadKind::SimCc | HeadKind::Keypoints => 13,
        HeadKind::BlazePose => 13,
    };
    assert_eq!(HeadKind::WORDS.len(), all(HeadKind::Raw));
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,20}",
        "\\[[a-z:/;=\\[\\]]{0,8}\\]?",
        "(head|dims|type|dir|ranges|labels|skeleton|remap|strides|input-size|pad|layout)[=:]\\PC{0,12}",
        "(head|dims|ranges|remap|strides|input-size)=[0-9,;:x-]{0,24}",
        prop::sample::select(
            &[
                "[modelinfo]",
                "version=1.0",
                "[in]",
                "dir=input",
                "type=float32",
                "dims=1,3,64,64",
                "[out]",
                "dir=output",
                "[splitinfer]",
                "head=yolox",
            ][..]
        )
        .prop_map(str::to_owned),
    ]
}

#[test]
fn a_scalar_output_survives_writing_and_reading() {
    let text = format!("{HEADER}{INPUT}{OUTPUT}[count]\ndir=output\ndims=\n[splitinfer]\n");
    let info = ModelInfo::parse(&text).unwrap();
    assert_eq!(ModelInfo::parse(&info.to_text()).unwrap(), info);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(lines in prop::collection::vec(line(), 0..20), whole: bool) {
        let body = lines.join("\n");
        let text = if whole { format!("{HEADER}{INPUT}{OUTPUT}[splitinfer]\n{body}") } else { body };
        if let Ok(info) = ModelInfo::parse(&text) {
            prop_assert_eq!(ModelInfo::parse(&info.to_text()).unwrap(), info);
        }
        let _ = Sidecar::parse(&text, Path::new("x"), None);
    }

    #[test]
    fn any_names_and_shapes_are_guessed_or_refused(
        shapes in prop::collection::vec(
            ("[a-z_:/0-9]{0,12}", prop::collection::vec(prop::option::of(0usize..5000), 0..6)), 1..5,
        ),
    ) {
        let tensors: Vec<_> = shapes
            .into_iter()
            .map(|(name, dims)| TensorInfo { name, dtype: Some(DType::F32), dims })
            .collect();
        let _ = ModelInfo::guess(&tensors[..1], &tensors[1..]);
        let image = tensor("in", DType::F32, &[1, 3, 64, 64]);
        ModelInfo::guess(&[image], &tensors).unwrap();
    }

    #[test]
    fn names_survive_being_listed(names in prop::collection::vec("[a-z;\\\\ ,=#]{0,8}", 0..6)) {
        let names: Vec<String> = names.iter().map(|n| n.trim().to_owned()).collect();
        prop_assert_eq!(own::split_names(&own::join_names(&names)), names);
    }
}
