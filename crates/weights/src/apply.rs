// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The receiving side: coded values to weights.

use std::collections::HashMap;

use crate::range::Reader;
use splitinfer_graph::Model;
use splitinfer_graph::proto::TensorProto;

use crate::digest::digest;
use crate::error::UpdateError;
use crate::header::{Header, Row, table};
use crate::tensors::{Kind, Weight, elements, initializers, read, replace};
use crate::values::Values;

/// Decodes what `bytes` hold behind `header`, against the base and the version it builds on. Takes memory for the
/// tensors that change, which are those of `base`, whatever the bytes announce.
pub(crate) fn apply(
    header: &Header,
    bytes: &[u8],
    base: &Model,
    from: &Model,
) -> Result<Model, UpdateError> {
    let (rows, coded) = table(header, bytes)?;
    let (base, old) = (initializers(base), initializers(from));
    for row in &rows {
        check(row, base)?;
        check(row, old)?;
    }
    let mut reader = Reader::new(coded);
    let mut values = Values::new();
    let mut new = HashMap::new();
    for row in rows {
        let (base, old) = (weight(&base[row.index])?, weight(&old[row.index])?);
        let decoded = values.code(&mut reader, row.coding, &base, &old, &old);
        new.insert(row.index, decoded);
    }
    let model = replace(from, &new)?;
    match digest(&model)? == header.digest {
        true => Ok(model),
        false => Err(UpdateError::Digest),
    }
}

fn weight(tensor: &TensorProto) -> Result<Weight, UpdateError> {
    read(tensor)?.ok_or_else(|| UpdateError::NotAWeight(tensor.name().to_owned()))
}

fn check(row: &Row, tensors: &[TensorProto]) -> Result<(), UpdateError> {
    let (index, count) = (row.index, tensors.len());
    let tensor = tensors
        .get(index)
        .ok_or(UpdateError::NoSuchTensor { index, count })?;
    let (has, given) = (elements(tensor), row.elements);
    if has as u64 != given {
        let name = tensor.name().to_owned();
        return Err(UpdateError::Shape { name, has, given });
    }
    match Kind::of(tensor) {
        Some(_) => Ok(()),
        None => Err(UpdateError::NotAWeight(tensor.name().to_owned())),
    }
}
