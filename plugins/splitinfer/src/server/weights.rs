// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! New weights as the server's element sees them: those of an edge are made ready for its frames, those of the pipeline
//! behind a pad go to the pad's edge.

use std::time::Instant;

use bytes::Bytes;
use gst::prelude::*;
use splitinfer_meta::{WeightsUpdate, weights_missing_event};
use splitinfer_weights::UpdateError;
use splitinfer_wire::{WeightsCode, WeightsEvent};

use super::ServerElement;
use super::service::{Served, Serving};
use crate::net::server::{ClientInfo, Errand, Update, WeightsRefusal};
use crate::weights::{header, reason};

/// Makes an edge's update ready for its frames.
///
/// # Errors
/// When it is not taken; the application has been told.
pub fn take(
    serving: &Serving,
    session: &Served,
    version: u64,
    update: &Bytes,
) -> Result<(), WeightsRefusal> {
    let begun = Instant::now();
    let taken = session.versions.take(version, update, &serving.versions);
    let client = &session.client;
    let message = structure(client, version).field("update-bytes", update.len() as u64);
    match &taken {
        Ok(()) => {
            let took = begun.elapsed().as_secs_f64() * 1e3;
            let message = message.field("event", "ready").field("prepare-ms", took);
            post(serving, message.build());
        }
        Err(refusal) => {
            let message = message
                .field("event", "refused")
                .field("reason", reason(refusal.code))
                .field("text", &refusal.text);
            post(serving, message.build());
        }
    }
    taken
}

/// Sends what the pipeline behind an edge's pad has trained to that edge, unless it has it.
///
/// # Errors
/// In words, when it is not for this edge's model, or the edge is gone.
pub fn send(session: &Served, update: &WeightsUpdate, rate: u64) -> Result<(), String> {
    let header = header(update).map_err(|e| e.to_string())?;
    let ours = session.versions.base_hash();
    if header.base != ours {
        let short = |hash: &[u8; 32]| super::models::short(hash);
        let (theirs, ours) = (short(&header.base), short(&ours));
        return Err(UpdateError::WrongBase { theirs, ours }.to_string());
    }
    if session.versions.holds(&header) {
        return Ok(());
    }
    let update = Update {
        version: header.to,
        bytes: Bytes::copy_from_slice(&update.update),
        rate,
    };
    match session
        .outbox
        .get()
        .is_some_and(|outbox| outbox.send(Errand::Update(update)))
    {
        true => Ok(()),
        false => Err("the edge has gone".to_owned()),
    }
}

/// Tells the application what an edge did with an update of the pipeline, and the pipeline where it is to send one that starts
/// from the file.
pub fn answered(serving: &Serving, client: &ClientInfo, session: &Served, event: &WeightsEvent) {
    match event {
        WeightsEvent::Ready { version } => {
            let message = structure(client, *version).field("event", "taken");
            post(serving, message.build());
        }
        WeightsEvent::Refused(refuse) => {
            let text = format!(
                "edge {} does not take version {}: {}",
                client.peer, refuse.version, refuse.text
            );
            let missing = refuse.code == WeightsCode::Missing;
            let outlet = session.outlet.as_ref().filter(|_| missing);
            if !outlet.is_some_and(|outlet| outlet.push_event(weights_missing_event())) {
                warn(serving, &text);
            }
            let message = structure(client, refuse.version)
                .field("event", "rejected")
                .field("reason", reason(refuse.code))
                .field("text", &refuse.text);
            post(serving, message.build());
        }
        WeightsEvent::Unanswered { version } => {
            warn(
                serving,
                &format!("edge {} says nothing about version {version}", client.peer),
            );
        }
        WeightsEvent::Received { .. } => {}
    }
}

fn structure(client: &ClientInfo, version: u64) -> gst::structure::Builder {
    gst::Structure::builder("splitinfer-model")
        .field("client", client.id)
        .field("peer", client.peer.to_string())
        .field("version", version)
}

fn post(serving: &Serving, structure: gst::Structure) {
    if let Some(element) = serving.element.upgrade() {
        let message = gst::message::Element::builder(structure).src(&element);
        let _ = element.post_message(message.build());
    }
}

fn warn(serving: &Serving, text: &str) {
    if let Some(element) = serving.element.upgrade() {
        refuse(&element, text);
    }
}

/// Says why an update goes no further.
pub fn refuse(element: &ServerElement, text: &str) {
    gst::element_warning!(element, gst::StreamError::Failed, ("new weights: {text}"));
}
