// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A bounded queue for each client, served in turn, so that a client that sends much delays only itself.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// Names one connection of one client; never used twice while the server runs.
pub type ClientId = u64;

/// Jobs of many clients for a few workers.
pub struct FairQueue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    per_client: usize,
}

struct State<T> {
    waiting: HashMap<ClientId, VecDeque<T>>,
    /// Clients that have something waiting, the next one to be served first.
    turn: VecDeque<ClientId>,
    len: usize,
    closed: bool,
}

impl<T> FairQueue<T> {
    /// Each client may have `per_client` jobs waiting.
    pub fn new(per_client: usize) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: HashMap::new(),
                turn: VecDeque::new(),
                len: 0,
                closed: false,
            }),
            filled: Condvar::new(),
            per_client,
        }
    }

    /// # Errors
    /// Gives the job back when this client's queue is full, or the queue is closed.
    pub fn push(&self, client: ClientId, job: T) -> Result<(), T> {
        let mut state = self.state.lock().unwrap();
        if state.closed {
            return Err(job);
        }
        let queue = state.waiting.entry(client).or_default();
        if queue.len() >= self.per_client {
            return Err(job);
        }
        queue.push_back(job);
        if queue.len() == 1 {
            state.turn.push_back(client);
        }
        state.len += 1;
        self.filled.notify_one();
        Ok(())
    }

    /// The next job, of the client whose turn it is; waits for one. `None` once the queue is closed.
    pub fn pop(&self) -> Option<T> {
        let mut state = self.state.lock().unwrap();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.take() {
                return Some(job);
            }
            state = self.filled.wait(state).unwrap();
        }
    }

    pub fn is_closed(&self) -> bool {
        self.state.lock().unwrap().closed
    }

    /// Jobs waiting, of all clients.
    pub fn len(&self) -> usize {
        self.state.lock().unwrap().len
    }

    /// What is served before one more job of this client would be, were it put here now.
    pub fn ahead_of(&self, client: ClientId, work: impl Fn(&T) -> Duration) -> Duration {
        let state = self.state.lock().unwrap();
        let own = state.waiting.get(&client).map_or(0, VecDeque::len);
        let ahead = state.waiting.iter().flat_map(|(other, queue)| {
            let most = match *other == client {
                true => own,
                false => own + 1,
            };
            queue.iter().take(most)
        });
        ahead.map(work).sum()
    }

    /// Drops what a client that left had waiting.
    pub fn forget(&self, client: ClientId) {
        let mut state = self.state.lock().unwrap();
        let dropped = state.waiting.remove(&client).map_or(0, |q| q.len());
        state.len -= dropped;
        state.turn.retain(|c| *c != client);
    }

    /// Drops everything and sends the workers home.
    pub fn close(&self) {
        let mut state = self.state.lock().unwrap();
        state.closed = true;
        state.waiting.clear();
        state.turn.clear();
        state.len = 0;
        self.filled.notify_all();
    }
}

impl<T> State<T> {
    fn take(&mut self) -> Option<T> {
        let client = self.turn.pop_front()?;
        let queue = self.waiting.get_mut(&client)?;
        let job = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&client);
        } else {
            self.turn.push_back(client);
        }
        self.len -= usize::from(job.is_some());
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_client_that_sends_much_delays_only_itself() {
        let queue = FairQueue::new(100);
        for i in 0..100 {
            queue.push(1, (1, i)).unwrap();
        }
        queue.push(2, (2, 0)).unwrap();
        queue.push(3, (3, 0)).unwrap();
        let first: Vec<_> = (0..4).map(|_| queue.pop().unwrap()).collect();
        assert_eq!(first, [(1, 0), (2, 0), (3, 0), (1, 1)]);
    }

    #[test]
    fn each_other_client_has_a_turn_before_a_clients_next_job() {
        let queue = FairQueue::new(9);
        for (client, ms) in [(1, 10), (1, 20), (1, 40), (2, 100), (3, 1000)] {
            queue.push(client, ms).unwrap();
        }
        let ahead = |client| queue.ahead_of(client, |ms| Duration::from_millis(*ms));
        assert_eq!(ahead(4).as_millis(), 10 + 100 + 1000);
        assert_eq!(ahead(3).as_millis(), 10 + 20 + 100 + 1000);
        assert_eq!(ahead(1).as_millis(), 70 + 100 + 1000);
        let served: Vec<_> = std::iter::from_fn(|| (queue.len() > 0).then(|| queue.pop()))
            .flatten()
            .collect();
        assert_eq!(served, [10, 100, 1000, 20, 40]);
    }

    #[test]
    fn a_full_queue_gives_the_job_back_and_others_still_have_room() {
        let queue = FairQueue::new(2);
        assert_eq!(queue.push(1, 'a'), Ok(()));
        assert_eq!(queue.push(1, 'b'), Ok(()));
        assert_eq!(queue.push(1, 'c'), Err('c'));
        assert_eq!(queue.push(2, 'd'), Ok(()));
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn what_a_lost_client_had_waiting_is_dropped() {
        let queue = FairQueue::new(9);
        queue.push(1, 'a').unwrap();
        queue.push(2, 'b').unwrap();
        queue.push(1, 'c').unwrap();
        queue.forget(1);
        queue.forget(1);
        assert_eq!((queue.len(), queue.pop()), (1, Some('b')));
        queue.push(1, 'd').unwrap();
        assert_eq!(queue.pop(), Some('d'));
    }

    #[test]
    fn closing_wakes_every_worker() {
        let queue = Arc::new(FairQueue::<u8>::new(1));
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                std::thread::spawn(move || queue.pop())
            })
            .collect();
        queue.close();
        for worker in workers {
            assert_eq!(worker.join().unwrap(), None);
        }
        assert_eq!(queue.push(1, 0), Err(0));
    }
}
