// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is refused, in which words, and going back.

mod common;

use common::{singles, stored};
use splitinfer_graph::Model;
use splitinfer_weights::{
    Encoding, HEADER_BYTES, Header, Precision, UpdateError, Versions, encode, rollback,
};

const EXACT: Encoding = Encoding {
    precision: Precision::Exact,
    share: 1.0,
};

fn adopt(versions: &mut Versions, to: u64, values: &[f32]) {
    let coded = encode(versions, to, &singles(values), &EXACT).unwrap();
    versions.adopt(to, coded.model);
}

#[test]
fn updates_for_something_else_are_refused_and_say_what() {
    let mut versions = Versions::new(singles(&[1.0, 2.0]));
    let other = Versions::new(singles(&[1.0, 2.5]));
    let update = encode(&other, 1, &singles(&[1.0, 2.6]), &EXACT).unwrap();
    let e = versions.read(&update.bytes).unwrap_err();
    assert!(matches!(e, UpdateError::WrongBase { .. }), "{e}");

    let first = encode(&versions, 5, &singles(&[1.1, 2.0]), &EXACT).unwrap();
    versions.adopt(5, first.model);
    let e = versions.read(&first.bytes).unwrap_err();
    assert_eq!(e, UpdateError::NotNewer { to: 5, newest: 5 });

    let mut ahead = versions.clone();
    adopt(&mut ahead, 6, &[1.2, 2.0]);
    let second = encode(&ahead, 7, &singles(&[1.3, 2.0]), &EXACT).unwrap();
    let e = versions.read(&second.bytes).unwrap_err();
    assert_eq!(e, UpdateError::UnknownVersion { from: 6, newest: 5 });

    adopt(&mut versions, 6, &[9.0, 2.0]);
    let e = versions.read(&second.bytes).unwrap_err();
    assert_eq!(e, UpdateError::OtherVersion(6));
}

#[test]
fn what_is_not_weights_of_the_same_graph_is_refused() {
    let versions = Versions::new(singles(&[1.0, 2.0]));
    let longer = encode(&versions, 1, &singles(&[1.0, 2.0, 3.0]), &EXACT);
    assert!(longer.unwrap_err().to_string().contains("'singles'"));

    let mut proto = versions.base().proto().clone();
    let axes = &mut proto.graph.as_mut().unwrap().initializer[0];
    axes.raw_data = Some(vec![1, 0, 0, 0, 0, 0, 0, 0].into());
    let e = encode(&versions, 1, &Model::from_proto(proto).unwrap(), &EXACT).unwrap_err();
    assert_eq!(e, UpdateError::NotAWeight("axes".into()));
    for share in [0.0, -1.0, 1.1, f32::NAN] {
        let how = Encoding { share, ..EXACT };
        assert!(encode(&versions, 1, &singles(&[1.1, 2.0]), &how).is_err());
    }
}

#[test]
fn going_back_takes_no_more_than_a_header() {
    let mut versions = Versions::new(singles(&[1.0, 2.0]));
    adopt(&mut versions, 1, &[1.5, 2.5]);
    adopt(&mut versions, 2, &[7.0, 7.0]);
    let receiver = versions.clone();
    let back = rollback(&versions, 1, 3).unwrap();
    assert_eq!(back.bytes.len(), HEADER_BYTES);
    let (header, model) = receiver.read(&back.bytes).unwrap();
    assert_eq!((header.from, header.to), (1, 3));
    assert_eq!(stored(&model), [1.5, 2.5]);
    let to_the_file = rollback(&versions, 0, 3).unwrap();
    let (_, file) = receiver.read(&to_the_file.bytes).unwrap();
    assert_eq!(stored(&file), [1.0, 2.0]);
    versions.adopt(3, model);
    let e = rollback(&versions, 1, 4).unwrap_err();
    assert_eq!(e, UpdateError::UnknownVersion { from: 1, newest: 3 });
}

#[test]
fn a_later_format_is_named() {
    let versions = Versions::new(singles(&[1.0, 2.0]));
    let mut update = encode(&versions, 1, &singles(&[1.1, 2.0]), &EXACT).unwrap();
    update.bytes[4] = 2;
    let e = Header::read(&update.bytes).unwrap_err();
    assert_eq!(e, UpdateError::Format { got: 2, known: 1 });
    assert!(e.to_string().contains("update the older side"));
    assert!(matches!(Header::read(b"ONNX"), Err(UpdateError::Magic(_))));
}
