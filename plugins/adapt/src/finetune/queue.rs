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

#[derive(Default)]
struct Inner {
    frames: VecDeque<(gst::Buffer, gst_video::VideoInfo)>,
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
    pub(super) fn push(&self, buffer: gst::Buffer, video: gst_video::VideoInfo) {
        let mut inner = self.inner.lock().unwrap();
        if inner.frames.len() >= MOST {
            inner.frames.pop_front();
            inner.dropped += 1;
        }
        inner.frames.push_back((buffer, video));
        self.changed.notify_all();
    }

    /// Waits for a frame; `None` once stopped.
    pub(super) fn next(&self) -> Option<(gst::Buffer, gst_video::VideoInfo)> {
        let mut inner = self.inner.lock().unwrap();
        loop {
            if inner.stopped {
                return None;
            }
            if let Some(frame) = inner.frames.pop_front() {
                return Some(frame);
            }
            inner = self.changed.wait(inner).unwrap();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inner.lock().unwrap().frames.is_empty()
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

    #[test]
    fn the_oldest_of_too_many_go_and_stopping_ends_every_wait() {
        gst::init().unwrap();
        let video = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, 2, 2)
            .build()
            .unwrap();
        let queue = Queue::default();
        for n in 0..MOST as u64 + 3 {
            let mut buffer = gst::Buffer::new();
            buffer.get_mut().unwrap().set_offset(n);
            queue.push(buffer, video.clone());
        }
        assert_eq!(queue.next().unwrap().0.offset(), 3);
        assert_eq!(queue.dropped(), 3);
        queue.stop();
        assert!(queue.next().is_none());
        assert!(!queue.rest(Duration::from_secs(1000)));
    }
}
