// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is on its way to a pad that a task of its own pushes on. Whoever adds to it never waits: when it is full, the oldest
//! frames are dropped. The task takes things out, however long what it does with them takes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub(crate) enum Item {
    Frame(gst::Buffer),
    Event(gst::Event),
}

#[derive(Default)]
struct Inner {
    items: VecDeque<Item>,
    frames: usize,
    running: bool,
    /// Frames that were dropped since the element started.
    dropped: u64,
}

#[derive(Default)]
pub(crate) struct Branch {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Branch {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Takes things from now on.
    pub(crate) fn start(&self) {
        self.lock().running = true;
    }

    /// Empties it, and ends the wait of [`next`](Self::next).
    pub(crate) fn stop(&self) {
        let mut inner = self.lock();
        inner.running = false;
        inner.items.clear();
        inner.frames = 0;
        self.changed.notify_all();
    }

    /// Adds a frame without waiting; of more than `most` the oldest are dropped.
    pub(crate) fn push_frame(&self, buffer: gst::Buffer, most: usize) {
        let mut inner = self.lock();
        if !inner.running {
            return;
        }
        while inner.frames >= most.max(1) {
            let oldest = inner.items.iter().position(|i| matches!(i, Item::Frame(_)));
            let Some(oldest) = oldest else { break };
            inner.items.remove(oldest);
            inner.frames -= 1;
            inner.dropped += 1;
        }
        inner.frames += 1;
        inner.items.push_back(Item::Frame(buffer));
        self.changed.notify_all();
    }

    pub(crate) fn push_event(&self, event: gst::Event) {
        let mut inner = self.lock();
        if inner.running {
            inner.items.push_back(Item::Event(event));
            self.changed.notify_all();
        }
    }

    /// Waits for the next thing; `None` once stopped.
    pub(crate) fn next(&self) -> Option<Item> {
        let mut inner = self.lock();
        loop {
            if !inner.running {
                return None;
            }
            if let Some(item) = inner.items.pop_front() {
                inner.frames -= usize::from(matches!(item, Item::Frame(_)));
                return Some(item);
            }
            inner = self.changed.wait(inner).unwrap();
        }
    }

    /// Rests for so long, less if stopped meanwhile; whether to go on.
    pub(crate) fn rest(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut inner = self.lock();
        while inner.running {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            inner = self.changed.wait_timeout(inner, left).unwrap().0;
        }
        false
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Before the element starts.
    pub(crate) fn reset(&self) {
        self.lock().dropped = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_branch_drops_its_oldest_frames_and_keeps_events_in_their_places() {
        gst::init().unwrap();
        let branch = Branch::default();
        branch.start();
        let frame = |n: u64| {
            let mut buffer = gst::Buffer::new();
            buffer.get_mut().unwrap().set_offset(n);
            buffer
        };
        branch.push_frame(frame(0), 2);
        branch.push_event(gst::event::StreamStart::new("here"));
        (1..4).for_each(|n| branch.push_frame(frame(n), 2));
        let Some(Item::Event(_)) = branch.next() else {
            panic!("the event is gone");
        };
        for n in [2, 3] {
            let Some(Item::Frame(buffer)) = branch.next() else {
                panic!("frame {n} is gone");
            };
            assert_eq!(buffer.offset(), n);
        }
        assert_eq!(branch.dropped(), 2);
        assert!(branch.rest(Duration::from_millis(1)));
        branch.stop();
        assert!(!branch.rest(Duration::from_secs(1000)));
        assert!(branch.next().is_none());
        branch.push_frame(frame(9), 2);
        assert!(branch.next().is_none());
    }
}
