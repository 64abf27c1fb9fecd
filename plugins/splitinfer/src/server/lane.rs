// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames that have come to the same session of ONNX Runtime, which runs for one of the workers at a time: they wait here, and
//! whoever's turn it is takes as many of them as are best computed together.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The frames that wait for one session.
pub struct Lane<T> {
    state: Mutex<State<T>>,
    /// Something has come, gone, or ended.
    changed: Condvar,
}

struct State<T> {
    waiting: VecDeque<T>,
    running: bool,
}

/// Frames to compute, and the right to. The next turn begins when it is dropped.
pub struct Turn<'a, T> {
    lane: &'a Lane<T>,
    pub frames: Vec<T>,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                running: false,
            }),
            changed: Condvar::new(),
        }
    }
}

impl<T> Lane<T> {
    /// Adds a frame. While others are being computed no more than `room` wait; beyond that the caller does, for the next
    /// turn to begin. True if it had to.
    pub fn put(&self, frame: T, room: usize) -> bool {
        let mut state = self.lock();
        let mut waited = false;
        while state.running && state.waiting.len() >= room {
            waited = true;
            state = self.wait(state);
        }
        state.waiting.push_back(frame);
        self.changed.notify_all();
        waited
    }

    /// The oldest frames, of which `choose` says how many when it is told how many wait (and are about to); `None` if none
    /// wait, or another worker computes, which will see to them when it is done. Never blocks.
    pub fn take(&self, choose: impl FnOnce(usize) -> usize) -> Option<Turn<'_, T>> {
        let state = self.lock();
        if state.running || state.waiting.is_empty() {
            return None;
        }
        Some(self.begin(state, choose))
    }

    /// As [`take`](Self::take), but waits until `wanted` frames are there, or the time is over that `until` says when it is
    /// shown the oldest one. Others may go on to bring frames meanwhile; `None` where another worker waits already.
    pub fn gather(
        &self,
        wanted: usize,
        until: impl FnOnce(&T) -> Instant,
        choose: impl FnOnce(usize) -> usize,
    ) -> Option<Turn<'_, T>> {
        let mut state = self.lock();
        if state.running {
            return None;
        }
        let until = until(state.waiting.front()?);
        state.running = true;
        while state.waiting.len() < wanted {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(self.begin(state, choose))
    }

    fn begin(
        &self,
        mut state: MutexGuard<'_, State<T>>,
        choose: impl FnOnce(usize) -> usize,
    ) -> Turn<'_, T> {
        let waiting = state.waiting.len();
        let count = choose(waiting).clamp(1, waiting);
        state.running = true;
        let frames = state.waiting.drain(..count).collect();
        // There is room again.
        self.changed.notify_all();
        Turn { lane: self, frames }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        let state = self.changed.wait(state);
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Every change is a single step, so what a thread that failed has left is sound.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.lane.lock().running = false;
        self.lane.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn whoever_comes_meanwhile_is_taken_by_the_next_turn_in_order() {
        let lane = Lane::default();
        lane.put(1, 4);
        let turn = lane.take(|n| n).unwrap();
        assert_eq!(turn.frames, [1]);
        lane.put(2, 4);
        lane.put(3, 4);
        lane.put(4, 4);
        assert!(lane.take(|n| n).is_none(), "another computes");
        drop(turn);
        let mut told = 0;
        let turn = lane.take(|n| {
            told = n;
            2
        });
        assert_eq!((told, &turn.unwrap().frames[..]), (3, &[2, 3][..]));
        assert_eq!(lane.take(|n| n).unwrap().frames, [4]);
        assert!(lane.take(|n| n).is_none(), "nothing is left");
    }

    #[test]
    fn without_room_the_frame_waits_for_the_turn_to_end() {
        let lane = Lane::default();
        assert!(!lane.put(1, 0), "nothing is computed");
        let turn = lane.take(|n| n).unwrap();
        std::thread::scope(|scope| {
            let blocked = scope.spawn(|| lane.put(2, 0));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!blocked.is_finished() && lane.lock().waiting.is_empty());
            drop(turn);
            assert!(blocked.join().unwrap());
        });
        assert_eq!(lane.take(|n| n).unwrap().frames, [2]);
    }

    #[test]
    fn a_worker_waits_for_company_and_no_longer_than_it_may() {
        let lane = Lane::default();
        lane.put(1, 4);
        let long = |_: &i32| Instant::now() + Duration::from_secs(60);
        let turn = std::thread::scope(|scope| {
            let gathering = scope.spawn(|| lane.gather(2, long, |n| n));
            while !lane.lock().running {
                std::thread::yield_now();
            }
            assert!(lane.gather(2, long, |n| n).is_none());
            lane.put(2, 4);
            gathering.join().unwrap()
        });
        assert_eq!(turn.unwrap().frames, [1, 2]);
        lane.put(3, 4);
        let over = |_: &i32| Instant::now();
        assert_eq!(lane.gather(2, over, |n| n).unwrap().frames, [3]);
    }

    #[test]
    fn a_turn_ends_even_where_its_worker_fails() {
        let lane = Lane::default();
        lane.put(1, 1);
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _turn = lane.take(|n| n).unwrap();
            panic!("as a library might");
        }));
        assert!(failed.is_err());
        lane.put(2, 1);
        assert!(lane.take(|n| n).is_some());
    }

    #[test]
    fn no_frame_is_lost_or_computed_twice_whatever_the_workers_do() {
        const EACH: usize = 500;
        let lane = Lane::default();
        let sum = AtomicUsize::new(0);
        let count = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (lane, sum, count) = (&lane, &sum, &count);
                scope.spawn(move || {
                    for i in 0..EACH {
                        lane.put(worker * EACH + i, worker);
                        while let Some(turn) = lane.take(|n| n.div_ceil(2)) {
                            count.fetch_add(turn.frames.len(), Ordering::Relaxed);
                            sum.fetch_add(turn.frames.iter().sum(), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let all = 4 * EACH;
        assert_eq!(count.into_inner(), all);
        assert_eq!(sum.into_inner(), all * (all - 1) / 2);
    }
}
