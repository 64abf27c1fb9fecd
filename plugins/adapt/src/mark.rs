// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What `svdgate` and `teacherlabel` tell each other, by way of GStreamer: why a frame was sent down the branch, as
//! metadata; how wrong the student was on a frame of the canary, as an event that goes back up.

/// Name of the custom metadata, whose fields docs/elements/svdgate.md lists.
const META_NAME: &str = "SplitInferGate";

/// Name of the event's structure.
const CANARY_EVENT: &str = "splitinfer-canary-error";

/// Why a frame was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It belongs to windows that were gated.
    Gate,
    /// Drawn at random from those accepted.
    Canary,
    /// The canary's test noticed that the student has become worse.
    Alarm,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Canary => "canary",
            Self::Alarm => "alarm",
        }
    }
}

/// Marks a frame. `windows` are the structures of the messages that told of the windows it belongs to.
pub(crate) fn attach(
    buffer: &mut gst::BufferRef,
    frame: u64,
    reason: Reason,
    windows: &[gst::Structure],
) -> Result<(), gst::glib::BoolError> {
    splitinfer_meta::register_custom(META_NAME);
    let mut meta = gst::meta::CustomMeta::add(buffer, META_NAME)?;
    let structure = meta.mut_structure();
    structure.set("frame", frame);
    structure.set("reason", reason.as_str());
    structure.set("windows", gst::Array::new(windows));
    Ok(())
}

/// Whether a frame was sent for the canary.
pub(crate) fn is_canary(buffer: &gst::BufferRef) -> bool {
    splitinfer_meta::register_custom(META_NAME);
    let meta = gst::meta::CustomMeta::from_buffer(buffer, META_NAME).ok();
    meta.is_some_and(|m| m.structure().get::<&str>("reason") == Ok(Reason::Canary.as_str()))
}

/// The event that says how wrong the student was on a frame of the canary.
pub(crate) fn canary_event(error: f64) -> gst::Event {
    let structure = gst::Structure::builder(CANARY_EVENT);
    gst::event::CustomUpstream::new(structure.field("error", error).build())
}

/// What such an event says; `None` if it is about something else, an error in words if it does not say it.
pub(crate) fn read_canary_event(event: &gst::EventRef) -> Option<Result<f64, String>> {
    let structure = event.structure().filter(|s| s.name() == CANARY_EVENT)?;
    let error = structure.get::<f64>("error");
    Some(error.map_err(|_| format!("{CANARY_EVENT} without a number `error`: {structure}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_errors_are_read_as_they_were_written() {
        gst::init().unwrap();
        for (reason, canary) in [(Reason::Gate, false), (Reason::Canary, true)] {
            let mut buffer = gst::Buffer::new();
            assert!(!is_canary(&buffer));
            attach(buffer.get_mut().unwrap(), 3, reason, &[]).unwrap();
            assert_eq!(is_canary(&buffer), canary);
        }
        assert_eq!(read_canary_event(&canary_event(0.25)), Some(Ok(0.25)));
        assert_eq!(read_canary_event(&gst::event::Eos::new()), None);
        let empty = gst::event::CustomUpstream::new(gst::Structure::new_empty(CANARY_EVENT));
        assert!(read_canary_event(&empty).is_some_and(|e| e.is_err()));
    }
}
