// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Elements outside of any pipeline, between two pads of ours: buffers are pushed in by the caller's thread, and what comes
//! out is kept for it. Elements without a thread of their own have done their work when the push returns.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::VideoError;

pub(super) struct Through {
    elements: gst::Bin,
    /// Ours, before and behind the elements.
    before: gst::Pad,
    behind: gst::Pad,
    out: Arc<Out>,
}

/// What the elements have said.
#[derive(Default)]
struct Out {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Default)]
struct State {
    buffers: VecDeque<gst::Buffer>,
    caps: Option<gst::Caps>,
    error: Option<String>,
}

impl Out {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Each change is a single step, so what a thread that failed left behind is sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Through {
    /// `description`: as `gst-launch-1.0` takes it, with one free pad at either end; `caps`: of what goes in.
    ///
    /// # Errors
    /// When an element or a property does not exist, or the elements cannot be started.
    pub(super) fn new(description: &str, caps: &gst::Caps) -> Result<Self, VideoError> {
        let elements = gst::parse::bin_from_description(description, true)
            .map_err(|e| VideoError::new(format!("{}: {description}", e.message())))?;
        let out = Arc::<Out>::default();
        let this = Self {
            before: gst::Pad::builder(gst::PadDirection::Src).build(),
            behind: receiver(&out),
            elements,
            out,
        };
        this.start(caps)
            .map_err(|problem| this.explained(&problem, description))?;
        Ok(this)
    }

    fn start(&self, caps: &gst::Caps) -> Result<(), String> {
        let [first, last] = ["sink", "src"].map(|name| self.elements.static_pad(name));
        let (Some(first), Some(last)) = (first, last) else {
            return Err("it has to take one stream and to give one".to_owned());
        };
        let linked = |e: gst::PadLinkError| format!("it cannot be linked: {e}");
        self.before.link(&first).map_err(linked)?;
        last.link(&self.behind).map_err(linked)?;
        self.elements.set_bus(Some(&self.bus()));
        for pad in [&self.behind, &self.before] {
            pad.set_active(true).map_err(|e| e.to_string())?;
        }
        self.elements
            .set_state(gst::State::Playing)
            .map_err(|_| "it cannot be started".to_owned())?;
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        let events = [
            gst::event::StreamStart::new("splitinfer-video"),
            gst::event::Caps::new(caps),
            gst::event::Segment::new(&segment),
        ];
        match events
            .into_iter()
            .all(|event| self.before.push_event(event))
        {
            true => Ok(()),
            false => Err(format!("it does not take {caps}")),
        }
    }

    /// Keeps the first error and forgets everything else, so that nothing piles up.
    fn bus(&self) -> gst::Bus {
        let bus = gst::Bus::new();
        let out = Arc::downgrade(&self.out);
        bus.set_sync_handler(move |_, message| {
            if let (gst::MessageView::Error(error), Some(out)) = (message.view(), out.upgrade()) {
                let text = error.error().message().to_owned();
                out.lock().error.get_or_insert(text);
                out.came.notify_all();
            }
            gst::BusSyncReply::Drop
        });
        bus
    }

    /// # Errors
    /// When the elements refuse it.
    pub(super) fn push(&self, buffer: gst::Buffer) -> Result<(), VideoError> {
        let pushed = self.before.push(buffer);
        pushed
            .map(|_| ())
            .map_err(|e| self.explained(&e.to_string(), ""))
    }

    /// What has come out, waiting for it so long. `None` if nothing has.
    pub(super) fn take(&self, patience: Duration) -> Option<gst::Buffer> {
        let until = Instant::now() + patience;
        let mut state = self.out.lock();
        loop {
            if let Some(buffer) = state.buffers.pop_front() {
                return Some(buffer);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.error.is_some() {
                return None;
            }
            let waited = self.out.came.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Of what comes out; `None` before anything has.
    pub(super) fn caps(&self) -> Option<gst::Caps> {
        self.out.lock().caps.clone()
    }

    /// An event against the stream.
    pub(super) fn send_upstream(&self, event: impl Into<gst::Event>) -> bool {
        self.behind.push_event(event)
    }

    /// With what the elements said of it.
    pub(super) fn explained(&self, problem: &str, what: &str) -> VideoError {
        let said = self.out.lock().error.clone();
        let parts = [Some(problem.to_owned()), said, Some(what.to_owned())];
        let parts: Vec<_> = parts
            .into_iter()
            .flatten()
            .filter(|p| !p.is_empty())
            .collect();
        VideoError::new(parts.join(": "))
    }
}

/// The pad behind the elements.
fn receiver(out: &Arc<Out>) -> gst::Pad {
    let (buffers, events) = (Arc::clone(out), Arc::clone(out));
    gst::Pad::builder(gst::PadDirection::Sink)
        .chain_function(move |_, _, buffer| {
            buffers.lock().buffers.push_back(buffer);
            buffers.came.notify_all();
            Ok(gst::FlowSuccess::Ok)
        })
        .event_function(move |_, _, event| {
            if let gst::EventView::Caps(caps) = event.view() {
                events.lock().caps = Some(caps.caps_owned());
            }
            true
        })
        .build()
}

impl Drop for Through {
    fn drop(&mut self) {
        let _ = self.before.set_active(false);
        let _ = self.behind.set_active(false);
        let _ = self.elements.set_state(gst::State::Null);
    }
}
