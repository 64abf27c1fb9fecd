// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Labelled frames that wait for the trainer. Whoever brings one never waits: of too many the oldest go.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Frames that wait at most; training may take minutes, and the newest matter most.
const MOST: usize = 64;

/// What the trainer has to deal with next.
pub(super) enum Next {
    /// Whoever is upstream is there, and sends a stream.
    Stream,
    Frame(gst::Buffer, gst_video::VideoInfo),
}

#[derive(Default)]
struct Inner {
    /// A stream has begun, and the trainer does not know yet.
    begun: bool,
    frames: VecDeque<(gst::Buffer, gst_video::VideoInfo)>,
    /// Whether the trainer waits for a frame.
    waited_for: bool,
    stopped: bool,
    dropped: u64,
}

/// Between the streaming thread and the trainer's.
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Queue {
    pub(super) fn begin(&self) {
        self.inner.lock().unwrap().begun = true;
        self.changed.notify_all();
    }

    pub(super) fn push(&self, buffer: gst::Buffer, video: gst_video::VideoInfo) {
        let mut inner = self.inner.lock().unwrap();
        if inner.frames.len() >= MOST {
            inner.frames.pop_front();
            inner.dropped += 1;
        }
        inner.frames.push_back((buffer, video));
        self.changed.notify_all();
    }

    /// Waits for a stream or a frame; `None` once stopped.
    pub(super) fn next(&self) -> Option<Next> {
        let mut inner = self.inner.lock().unwrap();
        loop {
            if inner.stopped {
                return None;
            }
            if std::mem::take(&mut inner.begun) {
                inner.waited_for = false;
                return Some(Next::Stream);
            }
            if let Some((buffer, video)) = inner.frames.pop_front() {
                inner.waited_for = false;
                return Some(Next::Frame(buffer, video));
            }
            inner.waited_for = true;
            inner = self.changed.wait(inner).unwrap();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inner.lock().unwrap().frames.is_empty()
    }

    /// Whether nothing is left to do: no frame waits, and the trainer has asked for the next.
    pub(super) fn is_idle(&self) -> bool {
        let inner = self.inner.lock().unwrap();
        inner.waited_for && inner.frames.is_empty() && !inner.begun
    }

    pub(super) fn dropped(&self) -> u64 {
        self.inner.lock().unwrap().dropped
    }

    /// Rests for so long, less if stopped meanwhile; whether to go on.
    pub(super) fn rest(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut inner = self.inner.lock().unwrap();
        while !inner.stopped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            inner = self.changed.wait_timeout(inner, left).unwrap().0;
        }
        false
    }

    pub(super) fn stop(&self) {
        self.inner.lock().unwrap().stopped = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video() -> gst_video::VideoInfo {
        gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, 2, 2)
            .build()
            .unwrap()
    }

    #[test]
    fn it_is_idle_only_while_the_trainer_waits_for_a_frame() {
        gst::init().unwrap();
        let queue = Queue::default();
        assert!(!queue.is_idle(), "the trainer is still being prepared");
        queue.push(gst::Buffer::new(), video());
        assert!(!queue.is_idle(), "a frame waits");
        assert!(queue.next().is_some());
        assert!(!queue.is_idle(), "a frame was taken and is worked on");
        std::thread::scope(|threads| {
            let trainer = threads.spawn(|| queue.next().is_some());
            while !queue.is_idle() {
                std::thread::yield_now();
            }
            queue.stop();
            assert!(!trainer.join().unwrap());
        });
    }

    #[test]
    fn a_stream_is_told_of_before_its_frames_however_late_the_trainer_is() {
        gst::init().unwrap();
        let queue = Queue::default();
        queue.begin();
        queue.push(gst::Buffer::new(), video());
        assert!(matches!(queue.next(), Some(Next::Stream)));
        assert!(matches!(queue.next(), Some(Next::Frame(..))));
    }

    #[test]
    fn the_oldest_of_too_many_go_and_stopping_ends_every_wait() {
        gst::init().unwrap();
        let (queue, video) = (Queue::default(), video());
        for n in 0..MOST as u64 + 3 {
            let mut buffer = gst::Buffer::new();
            buffer.get_mut().unwrap().set_offset(n);
            queue.push(buffer, video.clone());
        }
        let Some(Next::Frame(buffer, _)) = queue.next() else {
            panic!("no frame");
        };
        assert_eq!(buffer.offset(), 3);
        assert_eq!(queue.dropped(), 3);
        queue.stop();
        assert!(queue.next().is_none());
        assert!(!queue.rest(Duration::from_secs(1000)));
    }
}
