// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The pads behind which the pipeline sees each edge's results, each with a queue and a task of its own.
//!
//! A pad appears with the first edge that needs it and stays when its edge leaves: the next edge takes it over (the
//! one that had it before has the first choice), so a pipeline that was built once goes on working when an edge
//! reconnects. Whatever is behind a pad, it delays nobody: its queue is bounded and drops its oldest frames.

mod flow;
mod picture;
mod queue;
mod told;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

use gst::glib;
use gst::prelude::*;

use crate::net::fair_queue::ClientId;
use flow::Flow;
use queue::{Item, Queue};
pub use told::{Source, Told};

/// A picture has to be decoded before it can be shown: what a sink that waits for clocks has to allow for.
const PICTURE_LATENCY: gst::ClockTime = gst::ClockTime::from_mseconds(50);

/// Nobody behind the pad has said of how many frames it wants pictures.
const NOTHING_SAID: u32 = u32::MAX;

/// One JSON object a buffer, ended by a line feed.
fn lines_caps() -> gst::Caps {
    gst::Caps::new_empty_simple("application/x-json")
}

/// Pictures, each with its result as metadata.
fn pictures_caps() -> gst::Caps {
    let builder = gst_video::VideoCapsBuilder::new();
    builder.format(gst_video::VideoFormat::Rgb).build()
}

/// What a pad may give.
pub fn caps() -> gst::Caps {
    let mut caps = pictures_caps();
    caps.merge(lines_caps());
    caps
}

struct Slot {
    pad: gst::Pad,
    queue: Arc<Queue>,
    user: Option<ClientId>,
    last_peer: IpAddr,
    /// Of every how many frames somebody behind the pad wants pictures.
    wanted: Arc<AtomicU32>,
}

/// The pads of one server element, from its start to its stop.
#[derive(Default)]
pub struct Pads {
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    all: Vec<Slot>,
    closed: bool,
}

/// One edge's way to its pad.
#[derive(Clone)]
pub struct Outlet {
    pad: gst::Pad,
    queue: Weak<Queue>,
}

impl Outlet {
    pub fn pad_name(&self) -> String {
        self.pad.name().to_string()
    }

    /// Whether anybody would see what is pushed.
    pub fn is_linked(&self) -> bool {
        self.pad.is_linked()
    }

    /// Tells what is behind the pad, beside the stream; whether anybody heard it.
    pub fn push_event(&self, event: gst::Event) -> bool {
        self.pad.push_event(event)
    }

    /// `time`: the element's running time. Never waits.
    pub fn push(&self, told: Told, time: Option<gst::ClockTime>) {
        if let Some(queue) = self.queue.upgrade() {
            queue.push(Item::Told(Box::new(told), time));
        }
    }
}

impl Pads {
    /// A pad for a client that has just connected; adds one to `element` if none is free.
    ///
    /// # Errors
    /// When the pad cannot be added, or the element is stopping.
    pub fn take(
        &self,
        element: &super::ServerElement,
        client: ClientId,
        peer: IpAddr,
        source: Source,
    ) -> Result<Outlet, glib::BoolError> {
        let (outlet, added) = self.reserve(element, client, peer, source)?;
        if added {
            // Without the lock: applications link in the signal's handler, and may ask this element for anything there.
            element.add_pad(&outlet.pad)?;
            if self.slots.lock().unwrap().closed {
                discard(element, &outlet.pad);
            }
        }
        Ok(outlet)
    }

    /// Also tells whether the pad is new.
    fn reserve(
        &self,
        element: &super::ServerElement,
        client: ClientId,
        peer: IpAddr,
        source: Source,
    ) -> Result<(Outlet, bool), glib::BoolError> {
        let mut slots = self.slots.lock().unwrap();
        if slots.closed {
            return Err(glib::bool_error!("the element is stopping"));
        }
        let slots = &mut slots.all;
        let free = |slot: &Slot| slot.user.is_none();
        let at = slots
            .iter()
            .position(|s| free(s) && s.last_peer == peer)
            .or_else(|| slots.iter().position(free));
        let added = at.is_none();
        let at = match at {
            Some(at) => at,
            None => {
                slots.push(Slot::new(element, slots.len(), peer)?);
                slots.len() - 1
            }
        };
        let slot = &mut slots[at];
        slot.user = Some(client);
        slot.last_peer = peer;
        let stream_id = slot
            .pad
            .create_stream_id(element, Some(&client.to_string()))
            .to_string();
        slot.queue.push(Item::Begin { stream_id, source });
        let outlet = Outlet {
            pad: slot.pad.clone(),
            queue: Arc::downgrade(&slot.queue),
        };
        Ok((outlet, added))
    }

    /// The client left; its pad waits for the next one.
    pub fn give_back(&self, client: ClientId) {
        for slot in self.slots.lock().unwrap().all.iter_mut() {
            if slot.user == Some(client) {
                slot.user = None;
            }
        }
    }

    /// The client behind whose pad this is, if there is one.
    pub fn user(&self, pad: &gst::Pad) -> Option<ClientId> {
        let slots = self.slots.lock().unwrap();
        let slot = slots.all.iter().find(|slot| slot.pad == *pad);
        slot.and_then(|slot| slot.user)
    }

    /// Somebody behind a pad wants the picture of every n-th frame, 0: of none. `false` if it is no pad of ours.
    pub fn want(&self, pad: &gst::Pad, every: u32) -> bool {
        let slots = self.slots.lock().unwrap();
        let slot = slots.all.iter().find(|slot| slot.pad == *pad);
        slot.is_some_and(|slot| {
            slot.wanted
                .store(every.min(NOTHING_SAID - 1), Ordering::Relaxed);
            true
        })
    }

    /// Ends every stream. Returns whether anything is linked behind them.
    pub fn end(&self) -> bool {
        let slots = self.slots.lock().unwrap();
        for slot in &slots.all {
            slot.queue.push(Item::End);
        }
        slots.all.iter().any(|slot| slot.pad.is_linked())
    }

    /// Wakes all tasks so that they end, and gives out no more pads; before the pads are deactivated.
    pub fn close(&self) {
        let mut slots = self.slots.lock().unwrap();
        slots.closed = true;
        for slot in &slots.all {
            slot.queue.close();
        }
    }

    /// Takes all pads away; what is behind them must have stopped.
    pub fn remove_all(&self, element: &super::ServerElement) {
        let slots = std::mem::take(&mut self.slots.lock().unwrap().all);
        for slot in slots {
            slot.queue.close();
            discard(element, &slot.pad);
        }
    }
}

fn discard(element: &super::ServerElement, pad: &gst::Pad) {
    let _ = pad.set_active(false);
    let _ = pad.stop_task();
    if pad.parent_element().is_some() {
        let _ = element.remove_pad(pad);
    }
}

impl Slot {
    fn new(
        element: &super::ServerElement,
        index: usize,
        peer: IpAddr,
    ) -> Result<Self, glib::BoolError> {
        let template = element
            .pad_template("src_%u")
            .ok_or_else(|| glib::bool_error!("there is no pad template src_%u"))?;
        let pad = gst::Pad::builder_from_template(&template)
            .name(format!("src_{index}"))
            .event_function(super::imp::Server::pad_event)
            .query_function(pad_query)
            .build();
        pad.set_active(true)?;
        let queue = Arc::new(Queue::default());
        let wanted = Arc::new(AtomicU32::new(NOTHING_SAID));
        let mut flow = Flow::new(element.most_bytes());
        pad.start_task({
            let (pad, queue, wanted) = (pad.downgrade(), queue.clone(), wanted.clone());
            let wanted = move || {
                let every = wanted.load(Ordering::Relaxed);
                (every != NOTHING_SAID).then_some(every)
            };
            move || {
                let Some(pad) = pad.upgrade() else { return };
                match queue.pop() {
                    Some(item) => flow.handle(&pad, item, &wanted),
                    None => drop(pad.pause_task()),
                }
            }
        })?;
        Ok(Self {
            pad,
            queue,
            user: None,
            last_peer: peer,
            wanted,
        })
    }
}

/// What is behind a pad sees frames some time after their time stamps.
fn pad_query(pad: &gst::Pad, parent: Option<&gst::Object>, query: &mut gst::QueryRef) -> bool {
    match query.view_mut() {
        gst::QueryViewMut::Latency(latency) => {
            latency.set(true, PICTURE_LATENCY, gst::ClockTime::NONE);
            true
        }
        _ => gst::Pad::query_default(pad, parent, query),
    }
}
