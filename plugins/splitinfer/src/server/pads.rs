// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The pads behind which the pipeline sees each edge's results, each with a queue and a task of its own.
//!
//! A pad appears with the first edge that needs it and stays when its edge leaves: the next edge takes it over (the
//! one that had it before has the first choice), so a pipeline that was built once goes on working when an edge
//! reconnects. Whatever is behind a pad, it delays nobody: its queue is bounded and drops its oldest lines.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, Weak};

use gst::glib;
use gst::prelude::*;

use crate::net::fair_queue::ClientId;

/// Bounds of a queue, whichever comes first.
const MOST_LINES: usize = 200;
const MOST_BYTES: usize = 8 << 20;

/// The caps of every pad: one JSON object a buffer, ended by a line feed.
pub fn caps() -> gst::Caps {
    gst::Caps::new_empty_simple("application/x-json")
}

/// What waits for a pad's task.
enum Item {
    /// A new edge: its results are a new stream.
    Begin {
        stream_id: String,
    },
    Line {
        text: String,
        pts: Option<gst::ClockTime>,
    },
    End,
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Line { text, .. } => text.len(),
            _ => 0,
        }
    }
}

#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Default)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
    dropped: u64,
    closed: bool,
}

impl Queue {
    fn push(&self, item: Item) {
        let mut waiting = self.state.lock().unwrap();
        if waiting.closed {
            return;
        }
        waiting.bytes += item.bytes();
        waiting.items.push_back(item);
        while waiting.items.len() > MOST_LINES || waiting.bytes > MOST_BYTES {
            if !waiting.drop_oldest_line() {
                break;
            }
        }
        self.filled.notify_one();
    }

    /// `None` once the queue is closed.
    fn pop(&self) -> Option<Item> {
        let mut waiting = self.state.lock().unwrap();
        loop {
            if waiting.closed {
                return None;
            }
            if let Some(item) = waiting.items.pop_front() {
                waiting.bytes -= item.bytes();
                return Some(item);
            }
            waiting = self.filled.wait(waiting).unwrap();
        }
    }

    fn close(&self) {
        self.state.lock().unwrap().closed = true;
        self.filled.notify_all();
    }
}

impl Waiting {
    /// Leaves what is not a line: streams must begin and end.
    fn drop_oldest_line(&mut self) -> bool {
        let line = |item: &Item| matches!(item, Item::Line { .. });
        let Some(at) = self.items.iter().position(line) else {
            return false;
        };
        if let Some(item) = self.items.remove(at) {
            self.bytes -= item.bytes();
            self.dropped += 1;
        }
        true
    }
}

struct Slot {
    pad: gst::Pad,
    queue: Arc<Queue>,
    user: Option<ClientId>,
    last_peer: IpAddr,
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

    /// Whether anybody would see a line.
    pub fn is_linked(&self) -> bool {
        self.pad.is_linked()
    }

    /// `text` without a line feed; never waits.
    pub fn push(&self, mut text: String, pts: Option<gst::ClockTime>) {
        if let Some(queue) = self.queue.upgrade() {
            text.push('\n');
            queue.push(Item::Line { text, pts });
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
    ) -> Result<Outlet, glib::BoolError> {
        let (outlet, added) = self.reserve(element, client, peer)?;
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
        slot.queue.push(Item::Begin { stream_id });
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
            .build();
        pad.set_active(true)?;
        let queue = Arc::new(Queue::default());
        let mut flow = Flow::default();
        pad.start_task({
            let (pad, queue) = (pad.downgrade(), queue.clone());
            move || {
                let Some(pad) = pad.upgrade() else { return };
                match queue.pop() {
                    Some(item) => flow.handle(&pad, item),
                    None => drop(pad.pause_task()),
                }
            }
        })?;
        Ok(Self {
            pad,
            queue,
            user: None,
            last_peer: peer,
        })
    }
}

/// What a pad's task remembers.
#[derive(Default)]
struct Flow {
    discont: bool,
    /// Whoever is behind the pad wants no more.
    ended: bool,
}

impl Flow {
    fn handle(&mut self, pad: &gst::Pad, item: Item) {
        match item {
            _ if self.ended => {}
            Item::Begin { stream_id } => {
                pad.push_event(
                    gst::event::StreamStart::builder(&stream_id)
                        .group_id(gst::GroupId::next())
                        .build(),
                );
                pad.push_event(gst::event::Caps::new(&caps()));
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                pad.push_event(gst::event::Segment::new(&segment));
                self.discont = true;
            }
            Item::Line { text, pts } => self.push(pad, text, pts),
            Item::End => {
                pad.push_event(gst::event::Eos::new());
                self.ended = true;
            }
        }
    }

    fn push(&mut self, pad: &gst::Pad, text: String, pts: Option<gst::ClockTime>) {
        let mut buffer = gst::Buffer::from_mut_slice(text.into_bytes());
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(pts);
            if std::mem::take(&mut self.discont) {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        match pad.push(buffer) {
            // Not linked, or not linked any more: the edge is served all the same.
            Ok(_) | Err(gst::FlowError::NotLinked | gst::FlowError::Flushing) => {}
            Err(e) => {
                gst::info!(super::CAT, obj = pad, "nothing more goes out here: {e}");
                self.ended = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: usize) -> Item {
        Item::Line {
            text: "x".repeat(n),
            pts: None,
        }
    }

    #[test]
    fn a_queue_nobody_empties_stays_small_and_keeps_its_beginning() {
        let queue = Queue::default();
        queue.push(Item::Begin {
            stream_id: "s".into(),
        });
        for _ in 0..10 * MOST_LINES {
            queue.push(line(1));
        }
        queue.push(line(MOST_BYTES));
        let waiting = queue.state.lock().unwrap();
        assert!(waiting.items.len() <= MOST_LINES && waiting.bytes <= MOST_BYTES);
        assert!(matches!(waiting.items[0], Item::Begin { .. }));
        assert_eq!(
            waiting.dropped as usize + waiting.items.len(),
            10 * MOST_LINES + 2
        );
    }

    #[test]
    fn closing_ends_the_wait() {
        let queue = Arc::new(Queue::default());
        let waiter = std::thread::spawn({
            let queue = queue.clone();
            move || queue.pop().is_none()
        });
        queue.close();
        assert!(waiter.join().unwrap());
    }
}
