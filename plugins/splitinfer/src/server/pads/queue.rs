// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What waits for a pad's task, bounded.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};

use super::told::{Source, Told};

/// Bounds of a queue, whichever comes first.
const MOST_FRAMES: usize = 200;
const MOST_BYTES: usize = 8 << 20;

/// What waits for a pad's task.
pub(super) enum Item {
    /// A new edge: its results are a new stream.
    Begin {
        stream_id: String,
        source: Source,
    },
    Told(Box<Told>, Option<gst::ClockTime>),
    End,
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Told(told, _) => told.bytes(),
            _ => 0,
        }
    }
}

#[derive(Default)]
pub(super) struct Queue {
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
    pub(super) fn push(&self, item: Item) {
        let mut waiting = self.state.lock().unwrap();
        if waiting.closed {
            return;
        }
        waiting.bytes += item.bytes();
        waiting.items.push_back(item);
        while waiting.items.len() > MOST_FRAMES || waiting.bytes > MOST_BYTES {
            if !waiting.drop_oldest_frame() {
                break;
            }
        }
        self.filled.notify_one();
    }

    /// `None` once the queue is closed.
    pub(super) fn pop(&self) -> Option<Item> {
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

    pub(super) fn close(&self) {
        self.state.lock().unwrap().closed = true;
        self.filled.notify_all();
    }
}

impl Waiting {
    /// Leaves what is not a frame: streams must begin and end.
    fn drop_oldest_frame(&mut self) -> bool {
        let frame = |item: &Item| matches!(item, Item::Told(..));
        let Some(at) = self.items.iter().position(frame) else {
            return false;
        };
        if let Some(item) = self.items.remove(at) {
            self.bytes -= item.bytes();
            self.dropped += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::server::Report;
    use bytes::Bytes;
    use std::sync::Arc;

    fn frame(bytes: usize) -> Item {
        let told = Told::Report(Report {
            frame: 0,
            result: vec![b'x'; bytes].into(),
            picture: Bytes::new(),
        });
        Item::Told(Box::new(told), None)
    }

    #[test]
    fn a_queue_nobody_empties_stays_small_and_keeps_its_beginning() {
        let queue = Queue::default();
        queue.push(Item::Begin {
            stream_id: "s".into(),
            source: Source::nobody(),
        });
        for _ in 0..10 * MOST_FRAMES {
            queue.push(frame(1));
        }
        queue.push(frame(MOST_BYTES));
        let waiting = queue.state.lock().unwrap();
        assert!(waiting.items.len() <= MOST_FRAMES && waiting.bytes <= MOST_BYTES);
        assert!(matches!(waiting.items[0], Item::Begin { .. }));
        assert_eq!(
            waiting.dropped as usize + waiting.items.len(),
            10 * MOST_FRAMES + 2
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
