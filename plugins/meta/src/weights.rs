// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! New weights on their way upstream: from whoever trains to `splitinfer-edge` or `splitinfer-server`, as a custom event.
//! docs/weight-update.md has it for other languages.

use gst::glib;

/// Name of the event's structure.
pub const WEIGHTS_EVENT: &str = "splitinfer-weights";

/// Name of the structure of the event that asks for weights from the file on.
pub const WEIGHTS_MISSING_EVENT: &str = "splitinfer-weights-missing";

/// An update of the weights of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsUpdate {
    /// SHA-256 of the model file that is in use, as `splitinfer_graph::Model::hash` gives it.
    pub base: [u8; 32],
    /// The version that it gives.
    pub version: u64,
    /// As `splitinfer_weights::encode` gives it.
    pub update: glib::Bytes,
}

/// What is wrong with an event of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsEventError {
    #[error("the event {WEIGHTS_EVENT} has no field 'update' of type GBytes or GstBuffer")]
    NoUpdate,
    #[error("the event {WEIGHTS_EVENT} has no field 'version' of type guint64")]
    NoVersion,
    #[error(
        "the event {WEIGHTS_EVENT} has no field 'base' with the 64 hexadecimal digits of a SHA-256"
    )]
    NoBase,
}

/// The event to send upstream (`gst::Element::send_event` on a sink, or `gst::Pad::push_event` on a sink pad).
pub fn weights_event(update: &WeightsUpdate) -> gst::Event {
    let base: String = update.base.iter().map(|b| format!("{b:02x}")).collect();
    let structure = gst::Structure::builder(WEIGHTS_EVENT)
        .field("base", base)
        .field("version", update.version)
        .field("update", &update.update)
        .build();
    gst::event::CustomUpstream::new(structure)
}

/// The event that goes downstream, beside the stream, where an update built on a version that whoever uses the weights has
/// not: it should be sent from the file on.
pub fn weights_missing_event() -> gst::Event {
    let structure = gst::Structure::new_empty(WEIGHTS_MISSING_EVENT);
    gst::event::CustomDownstreamOob::new(structure)
}

/// Whether this is that event.
pub fn is_weights_missing_event(event: &gst::EventRef) -> bool {
    event.type_() == gst::EventType::CustomDownstreamOob && event.has_name(WEIGHTS_MISSING_EVENT)
}

/// What an event says about weights; `None` if it is about something else.
pub fn read_weights_event(
    event: &gst::EventRef,
) -> Option<Result<WeightsUpdate, WeightsEventError>> {
    let structure = event.structure()?;
    let ours = event.type_() == gst::EventType::CustomUpstream && structure.has_name(WEIGHTS_EVENT);
    ours.then(|| read(structure))
}

fn read(structure: &gst::StructureRef) -> Result<WeightsUpdate, WeightsEventError> {
    let base = structure.get::<&str>("base").ok().and_then(sha256);
    Ok(WeightsUpdate {
        base: base.ok_or(WeightsEventError::NoBase)?,
        version: version(structure).ok_or(WeightsEventError::NoVersion)?,
        update: bytes(structure).ok_or(WeightsEventError::NoUpdate)?,
    })
}

/// Languages without types for numbers may send another one.
fn version(structure: &gst::StructureRef) -> Option<u64> {
    let value = structure.value("version").ok()?;
    let value = value.transform::<u64>().ok()?;
    value.get().ok()
}

fn bytes(structure: &gst::StructureRef) -> Option<glib::Bytes> {
    if let Ok(bytes) = structure.get::<glib::Bytes>("update") {
        return Some(bytes);
    }
    let buffer = structure.get::<gst::Buffer>("update").ok()?;
    let map = buffer.map_readable().ok()?;
    Some(glib::Bytes::from(map.as_slice()))
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (i, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update() -> WeightsUpdate {
        WeightsUpdate {
            base: std::array::from_fn(|i| 8 * i as u8),
            version: 7,
            update: glib::Bytes::from(&[1, 2, 3][..]),
        }
    }

    #[test]
    fn what_was_sent_is_read() {
        gst::init().unwrap();
        let event = weights_event(&update());
        assert_eq!(event.type_(), gst::EventType::CustomUpstream);
        assert_eq!(read_weights_event(&event), Some(Ok(update())));
    }

    #[test]
    fn a_buffer_and_a_plain_number_do_too() {
        gst::init().unwrap();
        let mut event = weights_event(&update());
        let structure = event.make_mut().structure_mut();
        structure.set("update", gst::Buffer::from_slice([1, 2, 3]));
        structure.set("version", 7i32);
        assert_eq!(read_weights_event(&event), Some(Ok(update())));
    }

    #[test]
    fn what_is_missing_is_named_and_other_events_are_none_of_ours() {
        gst::init().unwrap();
        for (field, error) in [
            ("update", WeightsEventError::NoUpdate),
            ("version", WeightsEventError::NoVersion),
            ("base", WeightsEventError::NoBase),
        ] {
            let mut event = weights_event(&update());
            event.make_mut().structure_mut().remove_field(field);
            assert_eq!(read_weights_event(&event), Some(Err(error)));
        }
        assert!(is_weights_missing_event(&weights_missing_event()));
        assert!(!is_weights_missing_event(&weights_event(&update())));
        let structure = gst::Structure::new_empty("something-else");
        let event = gst::event::CustomUpstream::new(structure);
        assert_eq!(read_weights_event(&event), None);
        assert_eq!(read_weights_event(&gst::event::Eos::new()), None);
    }
}
