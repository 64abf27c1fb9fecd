// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a pad's task pushes: results as lines of JSON, or as metadata on pictures where the edge sends these and whoever is
//! behind the pad takes them.

use gst::prelude::*;
use gst::subclass::prelude::*;
use splitinfer_meta::FrameResult;
use splitinfer_wire::SendFrames;

use super::picture::Canvas;
use super::queue::Item;
use super::told::{Source, Told};
use super::{lines_caps, pictures_caps};
use crate::server::ServerElement;
use crate::server::imp::Server;

/// What a stream is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Lines,
    /// Of every so many frames a picture was asked for; 0: the edge sends them unasked.
    Pictures(u32),
    /// Whoever is behind the pad takes nothing that this edge gives.
    Nothing,
}

/// What a pad's task remembers.
pub(super) struct Flow {
    source: Source,
    /// What the present stream began with.
    start: Option<gst::Event>,
    /// Of the present stream, once there is something to push.
    form: Option<Form>,
    canvas: Canvas,
    discont: bool,
    /// Whoever is behind the pad wants no more.
    ended: bool,
}

impl Flow {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            source: Source::nobody(),
            start: None,
            form: None,
            canvas: Canvas::new(most_bytes),
            discont: false,
            ended: false,
        }
    }

    /// `wanted`: of every how many frames somebody behind the pad wants pictures, where that was said.
    pub(super) fn handle(&mut self, pad: &gst::Pad, item: Item, wanted: impl Fn() -> Option<u32>) {
        match item {
            _ if self.ended => {}
            Item::Begin { stream_id, source } => {
                self.source = source;
                self.form = None;
                self.canvas.clear();
                self.discont = true;
                let start = gst::event::StreamStart::builder(&stream_id);
                let start = start.group_id(gst::GroupId::next()).build();
                pad.push_event(start.clone());
                self.start = Some(start);
            }
            Item::Told(told, time) => self.told(pad, *told, time, wanted),
            Item::End => {
                pad.push_event(gst::event::Eos::new());
                self.ended = true;
            }
        }
    }

    fn told(
        &mut self,
        pad: &gst::Pad,
        told: Told,
        time: Option<gst::ClockTime>,
        wanted: impl Fn() -> Option<u32>,
    ) {
        if pad.check_reconfigure() {
            self.form = None;
        }
        let form = match self.form {
            Some(form) => self.asked(pad, form, wanted()),
            None => self.begin(pad, wanted),
        };
        self.form = Some(form);
        if form == Form::Nothing {
            return;
        }
        let (result, pts, jpeg) = match told.into_parts(&self.source) {
            Ok(parts) => parts,
            Err(problem) => {
                let peer = &self.source.peer;
                return gst::warning!(crate::server::CAT, obj = pad, "edge {peer}: {problem}");
            }
        };
        let buffer = match form {
            Form::Lines => Some(line(&result, pts)),
            _ => self.picture(pad, &result, &jpeg),
        };
        if let Some(buffer) = buffer {
            self.push(pad, buffer, time);
        }
    }

    /// Chooses the form of the stream, and tells it to what is behind the pad.
    fn begin(&mut self, pad: &gst::Pad, wanted: impl Fn() -> Option<u32>) -> Form {
        // Who was linked after the stream began has not heard of it, and says what it wants when it does. Nobody gets the
        // same event twice.
        if let Some(start) = &self.start {
            pad.push_event(start.clone());
        }
        let wanted = wanted();
        let peer = pad.peer_query_caps(None);
        let takes = |caps: &gst::Caps| peer.can_intersect(caps);
        let form = choose(
            self.source.pictures,
            takes(&pictures_caps()),
            takes(&lines_caps()),
            wanted,
        );
        gst::debug!(crate::server::CAT, obj = pad, "{form:?} for {peer:?}");
        match form {
            Form::Lines => {
                pad.push_event(gst::event::Caps::new(&lines_caps()));
                segment(pad);
            }
            // Their caps come with the first one.
            Form::Pictures(every) => self.ask(pad, every),
            Form::Nothing => {}
        }
        if self.source.pictures == SendFrames::Never
            && (form == Form::Nothing || wanted.is_some_and(|every| every > 0))
        {
            let peer = &self.source.peer;
            complain(
                pad,
                &format!(
                    "behind pad {} pictures are wanted, and the edge {peer} sends none; set send-frames=on-request there",
                    pad.name()
                ),
            );
        }
        form
    }

    /// Passes on what somebody behind the pad wants meanwhile.
    fn asked(&mut self, pad: &gst::Pad, form: Form, wanted: Option<u32>) -> Form {
        match (form, wanted) {
            (Form::Pictures(every), Some(wanted)) if every != wanted => {
                self.ask(pad, wanted);
                Form::Pictures(wanted)
            }
            // It was said only after the first frame.
            (Form::Lines, Some(_)) if self.source.pictures == SendFrames::OnRequest => {
                self.begin(pad, || wanted)
            }
            _ => form,
        }
    }

    fn ask(&self, pad: &gst::Pad, every: u32) {
        if self.source.pictures == SendFrames::OnRequest
            && let Some(element) = server(pad)
        {
            Server::from_obj(&element).request_pictures(pad, every);
        }
    }

    /// A frame's picture, or, where none came with it, the last one as a gap; `None` before the first.
    fn picture(
        &mut self,
        pad: &gst::Pad,
        result: &FrameResult,
        jpeg: &[u8],
    ) -> Option<gst::Buffer> {
        let mut buffer = match self.canvas.paint(jpeg) {
            Ok(painted) => {
                if let Some(caps) = painted.caps {
                    pad.push_event(gst::event::Caps::new(&caps));
                    segment(pad);
                }
                painted.buffer?
            }
            Err(problem) => {
                let peer = &self.source.peer;
                gst::warning!(
                    crate::server::CAT,
                    obj = pad,
                    "edge {peer}, picture of frame {}: {problem}",
                    result.frame
                );
                return None;
            }
        };
        splitinfer_meta::attach(buffer.make_mut(), result);
        Some(buffer)
    }

    fn push(&mut self, pad: &gst::Pad, mut buffer: gst::Buffer, time: Option<gst::ClockTime>) {
        let writable = buffer.make_mut();
        writable.set_pts(time);
        if std::mem::take(&mut self.discont) {
            writable.set_flags(gst::BufferFlags::DISCONT);
        }
        match pad.push(buffer) {
            Ok(_) | Err(gst::FlowError::Flushing) => {}
            // Not linked, or not linked any more: the edge is served all the same.
            Err(gst::FlowError::NotLinked) => {
                self.form = None;
                self.ask(pad, 0);
            }
            Err(e) => {
                gst::info!(
                    crate::server::CAT,
                    obj = pad,
                    "nothing more goes out here: {e}"
                );
                self.ended = true;
            }
        }
    }
}

/// Pictures where somebody wants them and the edge sends them, else lines. Who takes anything gets pictures that were asked for,
/// or that come unasked.
fn choose(sent: SendFrames, takes_pictures: bool, takes_lines: bool, wanted: Option<u32>) -> Form {
    match sent {
        SendFrames::Always if takes_pictures => Form::Pictures(0),
        SendFrames::OnRequest if takes_pictures && (wanted.is_some() || !takes_lines) => {
            Form::Pictures(wanted.unwrap_or(1))
        }
        _ if takes_lines => Form::Lines,
        _ => Form::Nothing,
    }
}

fn line(result: &FrameResult, pts: Option<gst::ClockTime>) -> gst::Buffer {
    let mut text = splitinfer_meta::to_json(result, pts);
    text.push('\n');
    gst::Buffer::from_mut_slice(text.into_bytes())
}

fn segment(pad: &gst::Pad) {
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    pad.push_event(gst::event::Segment::new(&segment));
}

fn server(pad: &gst::Pad) -> Option<ServerElement> {
    pad.parent_element()?.downcast().ok()
}

fn complain(pad: &gst::Pad, text: &str) {
    if let Some(element) = server(pad) {
        gst::element_warning!(element, gst::StreamError::WrongType, ("{text}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SendFrames::{Always, Never, OnRequest};

    #[test]
    fn pictures_go_out_where_they_are_sent_and_taken() {
        for (sent, pictures, lines, wanted, form) in [
            (Never, true, true, None, Form::Lines),
            (Never, true, true, Some(1), Form::Lines),
            (Never, true, false, None, Form::Nothing),
            (OnRequest, true, true, None, Form::Lines),
            (OnRequest, true, true, Some(8), Form::Pictures(8)),
            (OnRequest, true, true, Some(0), Form::Pictures(0)),
            (OnRequest, true, false, None, Form::Pictures(1)),
            (OnRequest, false, true, Some(1), Form::Lines),
            (Always, true, true, None, Form::Pictures(0)),
            (Always, false, true, None, Form::Lines),
            (Always, false, false, None, Form::Nothing),
        ] {
            let got = choose(sent, pictures, lines, wanted);
            assert_eq!(got, form, "{sent:?} {pictures} {lines} {wanted:?}");
        }
    }
}
