// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! New weights while frames pass: everything they need is made in the background, then edge and server change on the same
//! frame.
//!
//! A frame keeps the [`Engine`] it was begun with until it leaves, and names its version to the server, which answers with
//! that version or not at all. So all that a swap does to the stream is that the next frame begins with another engine.

mod report;
mod worker;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use splitinfer_meta::WeightsUpdate;
use splitinfer_weights::UpdateError;
use splitinfer_wire::WeightsEvent;

use super::engine::Engine;
use super::link::Link;
use crate::weights::header;
pub(super) use report::{Report, Swapped};
use worker::Worker;

/// Updates that may wait for one that is being prepared.
const MOST_WAITING: usize = 4;

/// A session that is being built is waited for; a very large one is left to end by itself.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Who wants an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Downstream.
    Event,
    /// The pipeline behind the server's pad.
    Server,
}

/// What the thread is told.
pub(super) enum Task {
    Update {
        update: Bytes,
        at: Instant,
        origin: Origin,
    },
    Connected,
    Disconnected,
    /// What the server said about an update.
    Answer(WeightsEvent),
    Stop,
}

/// The engine that the next frame begins with.
pub(super) struct Current(Mutex<Arc<Engine>>);

impl Current {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self(Mutex::new(engine))
    }

    pub(super) fn get(&self) -> Arc<Engine> {
        self.0.lock().unwrap().clone()
    }

    /// Gives the one before.
    fn replace(&self, engine: Arc<Engine>) -> Arc<Engine> {
        std::mem::replace(&mut self.0.lock().unwrap(), engine)
    }
}

/// What the thread needs of the element. Neither may hold the element alive.
pub(super) struct Element {
    pub(super) tell: Box<dyn Fn(Report) + Send>,
    /// Bytes a second for updates to the server; 0: as many as go.
    pub(super) rate: Box<dyn Fn() -> u64 + Send>,
}

/// The way to the thread, before there is one: the link needs it first.
#[derive(Clone)]
pub(super) struct Tasks {
    sender: Sender<Task>,
    waiting: Arc<AtomicUsize>,
    /// The highest version that was prepared, and the digest of its weights.
    newest: Arc<Mutex<(u64, [u8; 32])>>,
}

impl Tasks {
    pub(super) fn new() -> (Self, Receiver<Task>) {
        let (sender, inbox) = channel();
        let tasks = Self {
            sender,
            waiting: Arc::default(),
            newest: Arc::default(),
        };
        (tasks, inbox)
    }

    /// Without waiting. What is told after the thread has ended is of no interest.
    pub(super) fn tell(&self, task: Task) {
        let _ = self.sender.send(task);
    }

    /// `false` when too many updates wait already.
    pub(super) fn update(&self, update: Bytes, origin: Origin) -> bool {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let at = Instant::now();
        self.tell(Task::Update { update, at, origin });
        true
    }

    fn prepared(&self, version: u64, digest: [u8; 32]) {
        *self.newest.lock().unwrap() = (version, digest);
    }

    fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why an event's update goes no further.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rejected {
    #[error(transparent)]
    Update(#[from] UpdateError),
    #[error(
        "{MOST_WAITING} updates wait already; send the next one when the message splitinfer-model has come"
    )]
    TooMany,
}

/// Owns the thread. Dropping it ends the thread within bounded time.
pub(super) struct Swap {
    tasks: Tasks,
    base_hash: [u8; 32],
    ended: Mutex<Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Swap {
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start(
        (tasks, inbox): (Tasks, Receiver<Task>),
        current: Arc<Current>,
        link: Option<&Arc<Link>>,
        element: Element,
    ) -> std::io::Result<Self> {
        let file = Arc::clone(&current.get().file);
        let base = file.model().cloned();
        let link = link.map(Arc::downgrade);
        let worker = Worker::new(base, tasks.clone(), current, link, element);
        let (ending, ended) = channel();
        let thread = std::thread::Builder::new()
            .name("splitinfer-swap".into())
            .spawn(move || {
                worker.run(&inbox);
                drop(ending);
            })?;
        Ok(Self {
            tasks,
            base_hash: file.hash,
            ended: Mutex::new(ended),
            thread: Some(thread),
        })
    }

    /// Takes an update for work, without waiting. What is wrong with it is told here as far as its header shows that,
    /// later by [`Report::Refused`].
    pub(super) fn take(&self, update: &WeightsUpdate) -> Result<(), Rejected> {
        let header = header(update)?;
        if header.base != self.base_hash {
            let short = |hash: &[u8; 32]| hash[..6].iter().map(|b| format!("{b:02x}")).collect();
            return Err(Rejected::Update(UpdateError::WrongBase {
                theirs: short(&header.base),
                ours: short(&self.base_hash),
            }));
        }
        let (newest, digest) = *self.tasks.newest.lock().unwrap();
        if (header.to, header.digest) == (newest, digest) {
            // It was sent again, to whoever may not have had it.
            return Ok(());
        }
        if header.to <= newest {
            let to = header.to;
            return Err(Rejected::Update(UpdateError::NotNewer { to, newest }));
        }
        let update = Bytes::copy_from_slice(&update.update);
        match self.tasks.update(update, Origin::Event) {
            true => Ok(()),
            false => Err(Rejected::TooMany),
        }
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        self.tasks.tell(Task::Stop);
        let Some(thread) = self.thread.take() else {
            return;
        };
        let ended = self.ended.lock().unwrap().recv_timeout(STOP_LIMIT);
        if ended != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = thread.join();
        }
    }
}
