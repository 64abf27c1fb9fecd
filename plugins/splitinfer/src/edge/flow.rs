// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The frames and serialized events on their way through the element, in order.
//!
//! The streaming thread of the sink pad adds frames whose inference has begun; the task of the source pad takes them
//! off the front as they become ready. A frame that waits for the server becomes ready when its answer arrives
//! or when there is just enough time left to complete it here, whichever comes first. So no wait in here is longer
//! than the latency budget, and a flush ends every one of them at once, and completion, too.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use splitinfer_runtime::Stop;

use super::frame::{Answer, Frame};
use super::race::Race;

/// What the source pad's task has to do next.
pub(super) enum Step {
    /// A frame is ready to leave; if it still waits for the server, it has to be completed here.
    Frame(Box<Frame>),
    Event(gst::Event),
}

enum Item {
    Frame(Box<Frame>),
    Event(gst::Event),
}

#[derive(Default)]
struct Inner {
    items: VecDeque<Item>,
    /// Frames in `items`, and the one that the task is pushing.
    frames: usize,
    /// Frames that came in, and those of them that left, since the last start or flush.
    entered: u64,
    left: u64,
    /// The task works on what it took off the front.
    busy: bool,
    /// That is a frame to which an answer may still come.
    race: Race,
    flushing: bool,
    /// What pushing downstream returned, once it failed.
    failed: Option<gst::FlowError>,
    /// An EOS event was queued: upstream will send no buffer that could carry an error back.
    eos: bool,
}

/// The element's only queue; bounded by `max-in-flight`.
#[derive(Default)]
pub(super) struct Flow {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Flow {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Empties the queue and takes frames again, after READY or a flush.
    pub(super) fn start(&self) {
        *self.lock() = Inner::default();
        self.changed.notify_all();
    }

    /// Empties the queue, ends every wait and refuses everything until [`start`](Self::start).
    pub(super) fn stop(&self) {
        let mut inner = self.lock();
        inner.race.abandon();
        *inner = Inner {
            flushing: true,
            ..Inner::default()
        };
        drop(inner);
        self.changed.notify_all();
    }

    /// Waits until fewer than `limit` frames are under way.
    pub(super) fn wait_for_room(&self, limit: usize) -> Result<(), gst::FlowError> {
        let mut inner = self.lock();
        loop {
            inner.check()?;
            if inner.frames < limit.max(1) {
                return Ok(());
            }
            inner = self.changed.wait(inner).unwrap();
        }
    }

    /// Waits until everything queued so far has been pushed downstream.
    pub(super) fn wait_until_empty(&self) -> Result<(), gst::FlowError> {
        let mut inner = self.lock();
        loop {
            inner.check()?;
            if inner.items.is_empty() && !inner.busy {
                return Ok(());
            }
            inner = self.changed.wait(inner).unwrap();
        }
    }

    pub(super) fn push_frame(&self, frame: Box<Frame>) -> Result<(), gst::FlowError> {
        let mut inner = self.lock();
        inner.check()?;
        inner.frames += 1;
        inner.entered += 1;
        inner.items.push_back(Item::Frame(frame));
        self.changed.notify_all();
        Ok(())
    }

    pub(super) fn push_event(&self, event: gst::Event) -> Result<(), gst::FlowError> {
        let mut inner = self.lock();
        inner.check()?;
        inner.eos |= event.type_() == gst::EventType::Eos;
        inner.items.push_back(Item::Event(event));
        self.changed.notify_all();
        Ok(())
    }

    /// Frames that came in and neither left nor are here, since the last start or flush.
    pub(super) fn lost(&self) -> u64 {
        let inner = self.lock();
        inner
            .entered
            .saturating_sub(inner.left + inner.frames as u64)
    }

    /// Hands an answer of the server to the frame it belongs to, in the queue or being completed; `false` if no frame waits for it
    /// (any more).
    pub(super) fn answer(&self, number: u64, answer: Answer) -> bool {
        let mut inner = self.lock();
        let frame = inner.items.iter_mut().find_map(|item| match item {
            Item::Frame(frame) if frame.number == number => Some(frame),
            _ => None,
        });
        let taken = match frame {
            Some(frame) => frame.take_answer(answer),
            None => inner.race.answer(number, answer),
        };
        self.changed.notify_all();
        taken
    }

    /// The frame that [`next`](Self::next) gave is completed here from now on; its answer, or a flush, ends that.
    pub(super) fn race(&self, stop: &Arc<Stop>) -> Result<(), gst::FlowError> {
        let mut inner = self.lock();
        inner.check()?;
        inner.race.run(stop);
        Ok(())
    }

    /// Completion has ended: the answer, if that came first.
    pub(super) fn end_race(&self) -> Result<Option<Answer>, gst::FlowError> {
        let mut inner = self.lock();
        inner.check()?;
        Ok(inner.race.end())
    }

    /// No answer will come for frames under way: each is completed here as soon as its turn comes.
    pub(super) fn give_up_waiting(&self, now: Instant) {
        for item in &mut self.lock().items {
            if let Item::Frame(frame) = item {
                frame.give_up_at(now);
            }
        }
        self.changed.notify_all();
    }

    /// What the task of the source pad does next. Every `next` is followed by [`done`](Self::done).
    pub(super) fn next(&self) -> Result<Step, gst::FlowError> {
        let mut inner = self.lock();
        loop {
            inner.check()?;
            let wait_until = match inner.items.front() {
                None => None,
                Some(Item::Event(_)) => break,
                Some(Item::Frame(frame)) => match frame.waits_until() {
                    Some(deadline) if deadline > Instant::now() => Some(deadline),
                    _ => break,
                },
            };
            inner = match wait_until {
                None => self.changed.wait(inner).unwrap(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.changed.wait_timeout(inner, left).unwrap().0
                }
            };
        }
        inner.busy = true;
        match inner.items.pop_front() {
            Some(Item::Frame(frame)) => {
                if frame.waits_until().is_some() {
                    inner.race.begin(frame.number);
                }
                Ok(Step::Frame(frame))
            }
            Some(Item::Event(event)) => Ok(Step::Event(event)),
            None => Err(gst::FlowError::Error),
        }
    }

    /// The last step was done; `result` is what downstream said. `true` if the failure has to be posted on the bus,
    /// because no buffer is left that could carry it upstream.
    pub(super) fn done(&self, was_frame: bool, result: Result<(), gst::FlowError>) -> bool {
        let mut inner = self.lock();
        inner.busy = false;
        inner.race.end();
        if was_frame {
            inner.frames = inner.frames.saturating_sub(1);
            inner.left += 1;
        }
        let eos = inner.eos;
        if let Err(error) = result
            && !inner.flushing
        {
            inner.items.clear();
            inner.frames = 0;
            inner.failed = Some(error);
        }
        self.changed.notify_all();
        eos && result.is_err_and(|e| !matches!(e, gst::FlowError::Flushing | gst::FlowError::Eos))
    }
}

impl Inner {
    fn check(&self) -> Result<(), gst::FlowError> {
        match self.failed {
            _ if self.flushing => Err(gst::FlowError::Flushing),
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
