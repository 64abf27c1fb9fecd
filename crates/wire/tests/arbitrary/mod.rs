// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Any message, header and object the protocol can carry.

#![allow(dead_code, reason = "each test file uses its own part")]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use splitinfer_wire::message::{NeedModel, Pong, ServerStatus, Upload, WeightsData, WeightsOffer};
use splitinfer_wire::{
    BodyKind, ByeReason, Content, FrameHeader, Hello, Load, Message, Patience, Refuse, RefuseCode,
    ResultHeader, SendFrames, ServerPhase, Status, Token, Version, Wants, WeightsCode,
    WeightsRefuse, Welcome, WireObject,
};

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

fn name() -> impl Strategy<Value = String> {
    "\\PC{1,20}"
}

fn load() -> impl Strategy<Value = Load> {
    let fields = (
        any::<u32>(),
        any::<u16>(),
        any::<u32>(),
        vec(any::<u32>(), 0..20),
    );
    fields.prop_map(|(queue, utilisation_permille, whole_us, tail_us)| Load {
        queue,
        utilisation_permille,
        whole_us,
        tail_us,
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    let identity = (
        any::<u16>(),
        text(),
        vec(any::<u8>(), 0..64),
        any::<[u8; 32]>(),
        any::<u64>(),
    );
    let model = (
        text(),
        name(),
        vec(any::<u32>(), 0..=8),
        vec(vec(name(), 1..4), 0..6),
    );
    let wishes = (
        prop_oneof![Just(Wants::Objects), Just(Wants::Tensors)],
        prop_oneof![
            Just(SendFrames::Never),
            Just(SendFrames::OnRequest),
            Just(SendFrames::Always)
        ],
        any::<u32>(),
    );
    (identity, model, wishes).prop_map(|(identity, model, wishes)| Hello {
        version: Version {
            minor: identity.0,
            ..Version::OURS
        },
        agent: identity.1,
        token: Token::new(identity.2),
        model_hash: identity.3,
        model_size: identity.4,
        sidecar: model.0,
        input_name: model.1,
        input_shape: model.2,
        candidates: model.3,
        wants: wishes.0,
        send_frames: wishes.1,
        max_result_bytes: wishes.2,
    })
}

fn welcome() -> impl Strategy<Value = Welcome> {
    let fields = (
        any::<(u16, u16)>(),
        text(),
        any::<u64>(),
        any::<u32>(),
        any::<u32>(),
        any::<u16>(),
    );
    fields.prop_map(
        |((major, minor), server, session_id, bytes, frames, port)| {
            let version = Version { major, minor };
            Welcome {
                version,
                server,
                session_id,
                max_frame_bytes: bytes,
                max_in_flight: frames,
                monitor_port: if version.has_monitor() { port } else { 0 },
                video: version.has_video() && bytes % 2 == 1,
            }
        },
    )
}

fn weights() -> impl Strategy<Value = Message> {
    prop_oneof![
        any::<(u64, u64, [u8; 32])>().prop_map(|(version, size, hash)| {
            Message::WeightsOffer(WeightsOffer {
                version,
                size,
                hash,
            })
        }),
        (any::<(u64, u64)>(), vec(any::<u8>(), 0..200)).prop_map(|((version, offset), chunk)| {
            Message::WeightsData(WeightsData {
                version,
                offset,
                chunk: Bytes::from(chunk),
            })
        }),
        any::<(u64, u64)>()
            .prop_map(|(version, received)| Message::WeightsAck { version, received }),
        any::<u64>().prop_map(|version| Message::WeightsReady { version }),
        (any::<u64>(), any::<u16>(), text()).prop_map(|(version, code, text)| {
            Message::WeightsRefuse(WeightsRefuse {
                version,
                code: WeightsCode::from_code(code),
                text,
            })
        }),
        any::<u64>().prop_map(|below| Message::WeightsRetire { below }),
    ]
}

/// Every kind of control message.
pub fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        weights(),
        hello().prop_map(|m| Message::Hello(Box::new(m))),
        welcome().prop_map(Message::Welcome),
        any::<u64>().prop_map(|max_bytes| Message::NeedModel(NeedModel { max_bytes })),
        (any::<u64>(), vec(any::<u8>(), 0..200)).prop_map(|(offset, chunk)| {
            Message::Upload(Upload {
                offset,
                chunk: Bytes::from(chunk),
            })
        }),
        Just(Message::UploadDone),
        any::<u64>().prop_map(|received| Message::UploadAck { received }),
        (any::<u16>(), text()).prop_map(|(code, text)| Message::Refuse(Refuse {
            code: RefuseCode::from_code(code),
            text
        })),
        any::<u64>().prop_map(|id| Message::Ping { id }),
        (any::<u64>(), load()).prop_map(|(id, load)| Message::Pong(Pong { id, load })),
        (any::<u8>(), text(), load()).prop_map(|(phase, text, load)| {
            Message::ServerStatus(ServerStatus {
                phase: ServerPhase::from_code(phase),
                text,
                load,
            })
        }),
        any::<u32>().prop_map(|every| Message::RequestFrames { every }),
        (any::<u16>(), text()).prop_map(|(reason, text)| Message::Bye {
            reason: ByeReason::from_code(reason),
            text
        }),
    ]
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        Just(Content::Picture),
        Just(Content::Video),
        Just(Content::Report),
        (0u16..4096).prop_map(Content::Candidate),
    ]
}

fn placement() -> impl Strategy<Value = [f32; 6]> {
    let extent = || 1e-6f32..1e6;
    let offset = || -1e6f32..1e6;
    let fields = (extent(), extent(), offset(), offset(), extent(), extent());
    fields.prop_map(|(sx, sy, x, y, w, h)| [sx, sy, x, y, w, h])
}

pub fn frame_header() -> impl Strategy<Value = FrameHeader> {
    let identity = (any::<u64>(), content(), any::<u64>(), 0..u64::MAX);
    let rest = (
        any::<bool>(),
        any::<u32>(),
        placement(),
        any::<(u16, u16)>(),
        any::<u32>(),
        any::<u32>(),
        proptest::option::of((1u32.., 0u16..=1000)),
        proptest::option::of(1u32..),
    );
    (identity, rest).prop_map(
        |((number, content, model_version, pts), rest)| FrameHeader {
            number,
            content,
            model_version,
            pts_ns: rest.0.then_some(pts),
            budget_us: rest.1,
            placement: rest.2,
            picture_size: rest.3,
            payload_len: rest.4,
            attachment_len: rest.5,
            patience: rest.6.map(|(wait_us, least_permille)| Patience {
                wait_us,
                least_permille,
            }),
            longest_us: rest.7,
        },
    )
}

pub fn result_header() -> impl Strategy<Value = ResultHeader> {
    let body = prop_oneof![
        Just(BodyKind::None),
        Just(BodyKind::Objects),
        Just(BodyKind::Tensors),
        Just(BodyKind::Text)
    ];
    let fields = (
        any::<u64>(),
        any::<u8>(),
        body,
        any::<u64>(),
        any::<[u32; 5]>(),
    );
    fields.prop_map(|(number, status, body, model_version, v)| ResultHeader {
        number,
        status: Status::from_code(status),
        body,
        model_version,
        queue_us: v[0],
        decode_us: v[1],
        compute_us: v[2],
        body_len: v[3],
        missing: v[4],
    })
}

fn object() -> impl Strategy<Value = WireObject> {
    let finite = || proptest::num::f32::NORMAL | proptest::num::f32::ZERO;
    let fields = (
        any::<u32>(),
        prop_oneof![Just("car".to_owned()), text()],
        finite(),
        proptest::array::uniform4(finite()),
        any::<Option<u64>>(),
        vec(proptest::array::uniform3(finite()), 0..20),
        proptest::option::of(finite()),
    );
    fields.prop_map(|v| WireObject {
        class: v.0,
        label: v.1,
        score: v.2,
        box_: v.3,
        track: v.4,
        keypoints: v.5,
        quality: v.6,
    })
}

pub fn objects() -> impl Strategy<Value = Vec<WireObject>> {
    vec(object(), 0..20)
}
