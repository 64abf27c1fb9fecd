// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The upstream event by which a pipeline behind `splitinfer-server` says of how many frames it wants pictures.

/// Name of the event's structure.
pub const PICTURES_EVENT: &str = "splitinfer-pictures";

/// The event that asks for the picture of every n-th frame, 0: of none.
pub fn pictures_event(every: u32) -> gst::Event {
    let structure = gst::Structure::builder(PICTURES_EVENT)
        .field("every", every)
        .build();
    gst::event::CustomUpstream::new(structure)
}

/// Of every how many frames an event asks for pictures; `None` if it is about something else.
pub fn read_pictures_event(event: &gst::EventRef) -> Option<u32> {
    let structure = event.structure()?;
    let ours =
        event.type_() == gst::EventType::CustomUpstream && structure.has_name(PICTURES_EVENT);
    // Languages without types for numbers may send another one.
    let every = ours.then(|| structure.value("every").ok()).flatten()?;
    every.transform::<u32>().ok()?.get().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_is_read_and_other_events_are_none_of_ours() {
        gst::init().unwrap();
        let mut event = pictures_event(7);
        assert_eq!(read_pictures_event(&event), Some(7));
        event.make_mut().structure_mut().set("every", 3i32);
        assert_eq!(read_pictures_event(&event), Some(3));
        let structure = gst::Structure::new_empty("something-else");
        let other = gst::event::CustomUpstream::new(structure);
        assert_eq!(read_pictures_event(&other), None);
        assert_eq!(read_pictures_event(&gst::event::Eos::new()), None);
    }
}
