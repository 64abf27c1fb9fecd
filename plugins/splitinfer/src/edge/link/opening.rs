// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a client needs to know at its start.

use std::path::PathBuf;

use splitinfer_wire::{Hello, Token, Version, Wants};

use super::MAX_RESULT_BYTES;
use crate::edge::SendFrames;
use crate::edge::engine::Engine;
use crate::edge::settings::Settings;
use crate::net::trust::Trust;

pub(super) fn trust(settings: &Settings) -> Trust {
    let path = |file: &Option<String>| file.as_ref().map(PathBuf::from);
    Trust {
        ca_file: path(&settings.ca_file),
        fingerprint: settings.server_fingerprint.clone(),
        token: settings.auth_token.clone(),
        certificate_file: path(&settings.certificate_file),
        private_key_file: path(&settings.private_key_file),
    }
}

/// How the edge introduces itself.
pub(super) fn hello(engine: &Engine, settings: &Settings) -> Hello {
    let shape = engine.info.input.shape();
    Hello {
        version: Version::OURS,
        agent: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).into(),
        token: Token::default(),
        model_hash: engine.file.hash,
        model_size: engine.file.size,
        sidecar: engine.info.to_text(),
        input_name: engine.info.input.name.clone(),
        input_shape: shape
            .iter()
            .map(|d| u32::try_from(*d).unwrap_or(u32::MAX))
            .collect(),
        candidates: engine
            .candidates()
            .iter()
            .map(|cut| cut.tensors.iter().map(|t| t.name.clone()).collect())
            .collect(),
        wants: if engine.keeps_outputs() {
            Wants::Tensors
        } else {
            Wants::Objects
        },
        send_frames: match settings.send_frames {
            SendFrames::Never => splitinfer_wire::SendFrames::Never,
            SendFrames::OnRequest => splitinfer_wire::SendFrames::OnRequest,
            SendFrames::Always => splitinfer_wire::SendFrames::Always,
        },
        max_result_bytes: MAX_RESULT_BYTES,
    }
}
