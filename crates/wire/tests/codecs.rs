// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What was encoded is decoded again, and what arrives damaged, cut or invented is survived.

mod arbitrary;
mod pair;

use arbitrary::{frame_header, message, objects, result_header};
use bytes::Bytes;
use pair::{Pair, edge_config, server_config};
use proptest::collection::vec;
use proptest::prelude::*;
use splitinfer_wire::message::MESSAGE_PREFIX_BYTES;
use splitinfer_wire::{
    FrameHeader, Message, MessageReader, ResultHeader, WireObject, objects as body,
};

/// Feeds bytes to a reader in pieces and takes messages until the end or an error.
fn read_all(bytes: &[u8], piece: usize) -> Vec<Message> {
    let mut reader = MessageReader::default();
    let mut messages = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.push(piece);
        while let Ok(Some(message)) = reader.next_message() {
            messages.push(message);
        }
    }
    messages
}

proptest! {
    #[test]
    fn messages_survive_the_wire_in_any_pieces(
        messages in vec(message(), 1..6),
        piece in 1usize..64,
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|m| m.encode().unwrap()).collect();
        prop_assert_eq!(read_all(&bytes, piece), messages);
    }

    #[test]
    fn a_cut_message_is_awaited_and_a_cut_body_is_an_error(
        message in message(),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = message.encode().unwrap();
        let cut = cut.index(bytes.len());
        let mut reader = MessageReader::default();
        reader.push(&bytes[..cut]);
        prop_assert_eq!(reader.next_message(), Ok(None));
        let body = &bytes[MESSAGE_PREFIX_BYTES..];
        let cut = cut.min(body.len());
        let decoded = Message::decode(message.code(), &body[..cut]);
        prop_assert_eq!(decoded.is_ok(), cut == body.len());
    }

    #[test]
    fn frame_headers_survive_the_wire(header in frame_header(), more in vec(any::<u8>(), 0..50)) {
        let mut bytes = header.encode().unwrap();
        let len = bytes.len();
        for cut in 0..len {
            prop_assert_eq!(FrameHeader::decode(&bytes[..cut]), Ok(None));
        }
        bytes.extend(more);
        prop_assert_eq!(FrameHeader::decode(&bytes), Ok(Some((header, len))));
    }

    #[test]
    fn result_headers_survive_the_wire(header in result_header(), more in vec(any::<u8>(), 0..50)) {
        let mut bytes = header.encode();
        let len = bytes.len();
        for cut in 0..len {
            prop_assert_eq!(ResultHeader::decode(&bytes[..cut]), Ok(None));
        }
        bytes.extend(more);
        prop_assert_eq!(ResultHeader::decode(&bytes), Ok(Some((header, len))));
    }

    #[test]
    fn headers_with_fields_of_later_versions_are_read(
        frame in frame_header(),
        result in result_header(),
        appended in vec(any::<u8>(), 1..100),
    ) {
        // Whoever has more to say says what this version knows first, be it nothing.
        let lengthen = |mut bytes: Vec<u8>, known: usize| {
            bytes.resize(known, 0);
            bytes.extend(&appended);
            let len = bytes.len() as u16;
            bytes[..2].copy_from_slice(&len.to_be_bytes());
            (bytes, usize::from(len))
        };
        let (bytes, len) = lengthen(frame.encode().unwrap(), 78);
        prop_assert_eq!(FrameHeader::decode(&bytes), Ok(Some((frame, len))));
        let (bytes, len) = lengthen(result.encode(), 40);
        prop_assert_eq!(ResultHeader::decode(&bytes), Ok(Some((result, len))));
    }

    #[test]
    fn objects_survive_the_wire(objects in objects()) {
        let bytes = body::encode(&objects).unwrap();
        prop_assert_eq!(body::decode(&bytes), Ok(objects));
        for cut in 0..bytes.len() {
            prop_assert!(body::decode(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn damaged_bytes_never_panic(
        message in message(),
        header in frame_header(),
        result in result_header(),
        objects in objects(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let damage = |mut bytes: Vec<u8>| {
            for (at, value) in &flips {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            bytes
        };
        let bytes = damage(message.encode().unwrap());
        read_all(&bytes, 1 << 20);
        let _ = FrameHeader::decode(&damage(header.encode().unwrap()));
        let _ = ResultHeader::decode(&damage(result.encode()));
        let _ = body::decode(&damage(body::encode(&objects).unwrap()));
    }

    #[test]
    fn arbitrary_bytes_never_panic(code in 0u16..16, bytes in vec(any::<u8>(), 0..400)) {
        let _ = Message::decode(code, &bytes);
        let _ = FrameHeader::decode(&bytes);
        let _ = ResultHeader::decode(&bytes);
        let _ = body::decode(&bytes);
        read_all(&bytes, 7);
    }

    /// Messages that are well formed but come at any time, in any order, from a peer that does as it likes.
    #[test]
    fn sessions_survive_any_sequence_of_messages(
        open in any::<bool>(),
        messages in vec(message(), 0..12),
        header in result_header(),
        frame in frame_header(),
        body in vec(any::<u8>(), 0..100),
    ) {
        let model = [1, 2, 3];
        let mut pair = if open {
            Pair::ready_with(edge_config(&model), server_config())
        } else {
            Pair::new(edge_config(&model), server_config())
        };
        for message in messages {
            let bytes = message.encode().unwrap();
            pair.edge.handle_control(pair.now, &bytes);
            pair.server.handle_control(pair.now, &bytes);
        }
        let _ = pair.server.admit_frame(pair.now, &frame);
        let number = header.number;
        pair.edge.handle_result(pair.now, number, header, Bytes::from(body));
        pair.run(std::time::Duration::from_secs(2));
    }
}

#[test]
fn missing_keypoints_stay_missing() {
    let mut object: WireObject = pair::object(1);
    object.keypoints = vec![[f32::NAN, f32::NAN, 0.0], [1.0, 2.0, 0.5]];
    object.quality = Some(f32::NAN);
    let bytes = body::encode(&[object]).unwrap();
    let decoded = body::decode(&bytes).unwrap();
    assert!(decoded[0].keypoints[0][0].is_nan());
    assert_eq!(decoded[0].keypoints[1], [1.0, 2.0, 0.5]);
    assert_eq!(body::encode(&decoded).unwrap(), bytes);
}

#[test]
fn a_label_stands_once_however_many_objects_have_it() {
    let one = body::encode(&[pair::object(1)]).unwrap().len();
    let two = body::encode(&[pair::object(1), pair::object(2)])
        .unwrap()
        .len();
    assert_eq!(two - one, 29);
}
