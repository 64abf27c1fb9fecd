// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What `svdgate` tells the elements of its branch, by way of GStreamer: why a frame was sent, as metadata.

/// Name of the custom metadata, whose fields docs/elements/svdgate.md lists.
const META_NAME: &str = "SplitInferGate";

/// The reason of frames that the teacher is to judge the student on.
const CANARY: &str = "canary";

/// Why a frame was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It belongs to windows that were gated.
    Gate,
    /// The teacher is to say how wrong the student was on it; whether there is something to learn from it as well.
    Canary { teaches: bool },
    /// To be learnt from: the student has become worse.
    Drift,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Canary { .. } => CANARY,
            Self::Drift => "drift",
        }
    }
}

/// Marks a frame. `windows` are the structures of the messages that told of the windows it belongs to; with `complete` it
/// is the last of those that are to be learnt from together.
pub(crate) fn attach(
    buffer: &mut gst::BufferRef,
    frame: u64,
    reason: Reason,
    windows: &[gst::Structure],
    complete: bool,
) -> Result<(), gst::glib::BoolError> {
    splitinfer_meta::register_custom(META_NAME);
    let mut meta = gst::meta::CustomMeta::add(buffer, META_NAME)?;
    let structure = meta.mut_structure();
    structure.set("frame", frame);
    structure.set("reason", reason.as_str());
    structure.set("windows", gst::Array::new(windows));
    structure.set(
        "teaches",
        !matches!(reason, Reason::Canary { teaches: false }),
    );
    structure.set("complete", complete);
    Ok(())
}

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// As the result counts.
    pub(crate) frame: u64,
    /// The teacher is to say how wrong the student was.
    pub(crate) canary: bool,
    /// There is something to learn from it.
    pub(crate) teaches: bool,
    /// The last of those that are to be learnt from together.
    pub(crate) complete: bool,
}

/// The mark of a frame; `None` where no gate sent it.
pub(crate) fn read(buffer: &gst::BufferRef) -> Option<Mark> {
    splitinfer_meta::register_custom(META_NAME);
    let meta = gst::meta::CustomMeta::from_buffer(buffer, META_NAME).ok()?;
    let structure = meta.structure();
    Some(Mark {
        frame: structure.get("frame").unwrap_or_default(),
        canary: structure.get::<&str>("reason") == Ok(CANARY),
        teaches: structure.get("teaches").unwrap_or(true),
        complete: structure.get("complete").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_they_were_written() {
        gst::init().unwrap();
        let canary = |teaches| Reason::Canary { teaches };
        let cases = [
            (Reason::Gate, true, false),
            (canary(false), false, false),
            (canary(true), true, false),
            (Reason::Drift, true, true),
        ];
        for (reason, teaches, complete) in cases {
            let mut buffer = gst::Buffer::new();
            assert_eq!(read(&buffer), None);
            attach(buffer.get_mut().unwrap(), 3, reason, &[], complete).unwrap();
            let mark = Mark {
                frame: 3,
                canary: matches!(reason, Reason::Canary { .. }),
                teaches,
                complete,
            };
            assert_eq!(read(&buffer), Some(mark));
        }
    }
}
