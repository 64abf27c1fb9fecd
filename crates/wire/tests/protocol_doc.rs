// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! docs/protocol.md tells the truth: its test vectors are what this crate writes and reads, its limits and
//! codes are those of the code.

use bytes::Bytes;
use splitinfer_wire::close::{connection_code, stream_code};
use splitinfer_wire::message::{
    MESSAGE_PREFIX_BYTES, NeedModel, Pong, ServerStatus, Upload, WeightsData, WeightsOffer,
};
use splitinfer_wire::{
    ALPN, Beginning, BodyKind, ByeReason, Content, FrameHeader, Hello, Load, Message, Patience,
    Refuse, RefuseCode, ResultHeader, SendFrames, ServerPhase, Status, Token, Version, VideoHeader,
    Wants, WeightsCode, WeightsRefuse, Welcome, WireObject, limits, objects, trailer,
};

const DOC: &str = include_str!("../../../docs/protocol.md");

/// The bytes of the fenced block that begins with "```hex NAME"; what follows a `;` is a comment.
fn vector(name: &str) -> Vec<u8> {
    let start = format!("```hex {name}\n");
    let (_, rest) = DOC
        .split_once(&start)
        .unwrap_or_else(|| panic!("no vector {name}"));
    let (block, _) = rest.split_once("```").unwrap();
    let bytes = block
        .lines()
        .flat_map(|line| line.split(';').next().unwrap().split_whitespace());
    bytes
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    let lines = bytes
        .chunks(16)
        .map(|line| line.iter().map(|b| format!("{b:02x} ")).collect());
    lines.collect::<Vec<String>>().join("\n")
}

fn assert_vector(name: &str, written: &[u8]) {
    assert_eq!(hex(&vector(name)), hex(written), "vector {name}");
}

fn hello() -> Hello {
    Hello {
        version: Version::OURS,
        agent: "edge/0.1".into(),
        token: Token::from("secret"),
        model_hash: std::array::from_fn(|i| i as u8),
        model_size: 3_658_732,
        sidecar: "[modelinfo]\n".into(),
        input_name: "images".into(),
        input_shape: vec![1, 3, 416, 416],
        candidates: vec![vec!["c1".into()], vec!["p3".into(), "p4".into()]],
        wants: Wants::Objects,
        send_frames: SendFrames::OnRequest,
        max_result_bytes: 1 << 20,
    }
}

fn load() -> Load {
    Load {
        queue: 2,
        utilisation_permille: 345,
        whole_us: 42_000,
        tail_us: vec![30_000, 12_000],
    }
}

fn messages() -> Vec<(&'static str, Message)> {
    vec![
        ("Hello", Message::Hello(Box::new(hello()))),
        (
            "Welcome",
            Message::Welcome(Welcome {
                version: Version::OURS,
                server: "server/0.1".into(),
                session_id: 7,
                max_frame_bytes: 16 << 20,
                max_in_flight: 8,
                monitor_port: 5051,
                video: true,
            }),
        ),
        (
            "NeedModel",
            Message::NeedModel(NeedModel { max_bytes: 1 << 28 }),
        ),
        (
            "Upload",
            Message::Upload(Upload {
                offset: 32_768,
                chunk: Bytes::from_static(b"\x08\x08\x12\x04"),
            }),
        ),
        ("UploadDone", Message::UploadDone),
        ("UploadAck", Message::UploadAck { received: 32_772 }),
        (
            "Refuse",
            Message::Refuse(Refuse {
                code: RefuseCode::Auth,
                text: "wrong token".into(),
            }),
        ),
        ("Ping", Message::Ping { id: 1 }),
        (
            "Pong",
            Message::Pong(Pong {
                id: 1,
                load: load(),
            }),
        ),
        (
            "ServerStatus",
            Message::ServerStatus(ServerStatus {
                phase: ServerPhase::Draining,
                text: String::new(),
                load: Load::default(),
            }),
        ),
        ("RequestFrames", Message::RequestFrames { every: 10 }),
        (
            "Bye",
            Message::Bye {
                reason: ByeReason::Done,
                text: "eos".into(),
            },
        ),
        (
            "WeightsOffer",
            Message::WeightsOffer(WeightsOffer {
                version: 4,
                size: 6000,
                hash: std::array::from_fn(|i| i as u8),
            }),
        ),
        (
            "WeightsData",
            Message::WeightsData(WeightsData {
                version: 4,
                offset: 4096,
                chunk: Bytes::from_static(b"\x53\x49\x57\x55"),
            }),
        ),
        (
            "WeightsAck",
            Message::WeightsAck {
                version: 4,
                received: 4100,
            },
        ),
        ("WeightsReady", Message::WeightsReady { version: 4 }),
        (
            "WeightsRefuse",
            Message::WeightsRefuse(WeightsRefuse {
                version: 4,
                code: WeightsCode::Missing,
                text: "no version 3".into(),
            }),
        ),
        ("WeightsRetire", Message::WeightsRetire { below: 4 }),
    ]
}

#[test]
fn control_messages_are_as_documented() {
    for (name, message) in messages() {
        assert_vector(name, &message.encode().unwrap());
        let body = &vector(name)[MESSAGE_PREFIX_BYTES..];
        assert_eq!(
            Message::decode(message.code(), body),
            Ok(Some(message.clone()))
        );
        let row = format!("| {} | `{name}` |", message.code());
        assert!(DOC.contains(&row), "no row {row}");
    }
}

#[test]
fn the_frame_header_is_as_documented() {
    let header = FrameHeader {
        number: 41,
        content: Content::Candidate(1),
        model_version: 3,
        pts_ns: Some(1_366_666_666),
        budget_us: 80_000,
        placement: [0.65, 0.65, 0.0, 91.0, 640.0, 360.0],
        picture_size: (416, 416),
        payload_len: 7312,
        attachment_len: 0,
        patience: None,
        longest_us: None,
    };
    assert_vector("FrameHeader", &header.encode().unwrap());
    let bytes = vector("FrameHeader");
    assert_eq!(FrameHeader::decode(&bytes), Ok(Some((header.clone(), 68))));

    let patience = Some(Patience {
        wait_us: 25_000,
        least_permille: 500,
    });
    let header = FrameHeader { patience, ..header };
    assert_vector("PatientFrameHeader", &header.encode().unwrap());
    let payload = [7; 1100];
    let short = FrameHeader {
        payload_len: 1100,
        ..header.clone()
    };
    let end = trailer(&short.encode().unwrap(), &payload);
    assert_vector("Trailer", &end);
    let beginning = Beginning::read(&end, 74 + 1100 + end.len()).unwrap();
    assert_eq!(beginning.header, short);

    let bytes = vector("PatientFrameHeader");
    assert_eq!(FrameHeader::decode(&bytes), Ok(Some((header.clone(), 74))));

    let header = FrameHeader {
        patience: None,
        longest_us: Some(45_000),
        ..header
    };
    assert_vector("HurriedFrameHeader", &header.encode().unwrap());
    let bytes = vector("HurriedFrameHeader");
    assert_eq!(FrameHeader::decode(&bytes), Ok(Some((header, 78))));
}

#[test]
fn the_header_of_a_video_is_as_documented() {
    let header = VideoHeader {
        sequence: 300,
        answer_us: 80_000,
        key: true,
    };
    assert_vector("VideoHeader", &header.encode());
    assert!(DOC.contains(&format!("| 0x{:X} *video* |", Content::Video.code())));
}

#[test]
fn the_result_header_is_as_documented() {
    let header = ResultHeader {
        number: 41,
        status: Status::Ok,
        body: BodyKind::Objects,
        model_version: 3,
        queue_us: 150,
        decode_us: 900,
        compute_us: 12_000,
        body_len: 101,
        missing: 0,
    };
    assert_vector("ResultHeader", &header.encode());
    let bytes = vector("ResultHeader");
    assert_eq!(ResultHeader::decode(&bytes), Ok(Some((header.clone(), 36))));

    let header = ResultHeader {
        missing: 2412,
        ..header
    };
    assert_vector("PartialResultHeader", &header.encode());
    let bytes = vector("PartialResultHeader");
    assert_eq!(ResultHeader::decode(&bytes), Ok(Some((header, 40))));

    let (header, body) = ResultHeader::failure(42, Status::BadInput, "bad tensor 0");
    assert_vector("failure", &[header.encode(), body].concat());
}

#[test]
fn objects_are_as_documented() {
    let plain = WireObject {
        class: 2,
        label: "car".into(),
        score: 0.75,
        box_: [10.0, 20.0, 30.0, 40.0],
        track: None,
        keypoints: Vec::new(),
        quality: None,
    };
    let full = WireObject {
        track: Some(5),
        quality: Some(0.5),
        keypoints: vec![[11.0, 21.0, 0.25]],
        ..plain.clone()
    };
    let both = vec![plain, full];
    let bytes = objects::encode(&both).unwrap();
    assert_vector("objects", &bytes);
    assert_eq!(objects::decode(&vector("objects")), Ok(both));
    assert_eq!(
        bytes.len(),
        101,
        "the length that the result header's vector announces"
    );
}

#[test]
fn limits_and_codes_are_as_documented() {
    use limits::*;
    let alpn = format!("`{}`", std::str::from_utf8(ALPN).unwrap());
    assert!(DOC.contains(&alpn));
    for (name, value) in [
        ("MAX_CONTROL_BYTES", MAX_CONTROL_BYTES),
        ("MAX_TEXT_BYTES", MAX_TEXT_BYTES),
        ("MAX_TOKEN_BYTES", MAX_TOKEN_BYTES),
        ("MAX_SIDECAR_BYTES", MAX_SIDECAR_BYTES),
        ("MAX_NAME_BYTES", MAX_NAME_BYTES),
        ("MAX_DIMS", MAX_DIMS),
        ("MAX_CANDIDATES", MAX_CANDIDATES),
        ("MAX_CUT_TENSORS", MAX_CUT_TENSORS),
        ("MAX_UPLOAD_CHUNK_BYTES", MAX_UPLOAD_CHUNK_BYTES),
        ("MAX_WEIGHTS_CHUNK_BYTES", MAX_WEIGHTS_CHUNK_BYTES),
        ("MAX_HEADER_BYTES", MAX_HEADER_BYTES),
        ("MAX_OBJECTS", MAX_OBJECTS),
        ("MAX_LABELS", MAX_LABELS),
        ("MAX_LABEL_BYTES", MAX_LABEL_BYTES),
        ("MAX_KEYPOINTS", MAX_KEYPOINTS),
    ] {
        let row = format!("| `{name}` | {value} |");
        assert!(DOC.contains(&row), "no row {row}");
    }
    for (code, name) in [
        (RefuseCode::Version.code(), "version"),
        (RefuseCode::Auth.code(), "auth"),
        (RefuseCode::ModelUnknown.code(), "model unknown"),
        (RefuseCode::ModelTooLarge.code(), "model too large"),
        (RefuseCode::ModelInvalid.code(), "model invalid"),
        (RefuseCode::Busy.code(), "busy"),
        (RefuseCode::CandidatesMismatch.code(), "candidates mismatch"),
        (RefuseCode::Internal.code(), "internal"),
        (RefuseCode::Protocol.code(), "protocol"),
        (WeightsCode::WrongBase.code(), "wrong base"),
        (WeightsCode::Missing.code(), "missing"),
        (WeightsCode::Damaged.code(), "damaged"),
        (WeightsCode::Mismatch.code(), "mismatch"),
        (WeightsCode::Unusable.code(), "unusable"),
        (WeightsCode::TooLarge.code(), "too large"),
        (WeightsCode::Outdated.code(), "outdated"),
        (WeightsCode::Internal.code(), "internal"),
        (ByeReason::Done.code(), "done"),
        (ByeReason::Shutdown.code(), "shutdown"),
        (ByeReason::Timeout.code(), "timeout"),
        (Status::Ok.code().into(), "ok"),
        (Status::Dropped.code().into(), "dropped"),
        (Status::Overloaded.code().into(), "overloaded"),
        (Status::BadInput.code().into(), "bad input"),
        (Status::WrongModel.code().into(), "wrong model"),
        (Status::NoReference.code().into(), "no reference"),
    ] {
        let row = format!("| {code} | {name} |");
        assert!(DOC.contains(&row), "no row {row}");
    }
    for (code, name) in [
        (connection_code::DONE, "DONE"),
        (connection_code::REFUSED, "REFUSED"),
        (connection_code::PROTOCOL, "PROTOCOL"),
        (connection_code::TIMEOUT, "TIMEOUT"),
        (stream_code::DEADLINE, "DEADLINE"),
        (stream_code::CANCELLED, "CANCELLED"),
        (stream_code::REFUSED, "REFUSED"),
        (stream_code::ENDED, "ENDED"),
    ] {
        let row = format!("| 0x{code:02x} | {name} |");
        assert!(DOC.contains(&row), "no row {row}");
    }
}
