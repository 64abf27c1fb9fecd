// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The thread that prepares versions, one after the other, and changes to them.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use splitinfer_graph::Model;
use splitinfer_weights::{Header, Versions};
use splitinfer_wire::{WeightsCode, WeightsEvent};

use super::report::{Refused, Report, Swapped, Times};
use super::{Current, Element, Origin, Task, Tasks};
use crate::edge::engine::Engine;
use crate::edge::link::Link;
use crate::net::client::WeightsOrder;
use crate::weights::code;

/// How often it is looked whether the last frame of an old version has left.
const LOOK: Duration = Duration::from_millis(20);

const NOT_HERE: &str = "remote-only is set, and the model is not in memory here";

/// Engines of old versions that may still have frames when the next version is prepared.
const MOST_OLD: usize = 2;

/// An update that nobody has looked at.
struct Waiting {
    update: Bytes,
    at: Instant,
    origin: Origin,
}

/// A version that is ready here and waits for the server.
struct Pending {
    engine: Arc<Engine>,
    bytes: usize,
    at: Instant,
    origin: Origin,
    times: Times,
    built: Instant,
}

pub(super) struct Worker {
    tasks: Tasks,
    current: Arc<Current>,
    link: Option<Weak<Link>>,
    element: Element,
    /// `None` where the model is not in memory: no other weights are taken then.
    versions: Option<Versions>,
    connected: bool,
    /// The last offer to the server started from the file: there is no other that it might take.
    offered_full: bool,
    queue: VecDeque<Waiting>,
    pending: Option<Pending>,
    /// Engines whose last frames are on their way. They end here: not where frames would wait for that.
    old: Vec<Arc<Engine>>,
    stopped: bool,
}

impl Worker {
    pub(super) fn new(
        base: Option<Model>,
        tasks: Tasks,
        current: Arc<Current>,
        link: Option<Weak<Link>>,
        element: Element,
    ) -> Self {
        Self {
            tasks,
            current,
            link,
            element,
            versions: base.map(Versions::new),
            connected: false,
            offered_full: false,
            queue: VecDeque::new(),
            pending: None,
            old: Vec::new(),
            stopped: false,
        }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Task>) {
        while !self.stopped {
            match self.next(inbox) {
                Ok(task) => self.handle(task),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    self.retire();
                    if self.may_prepare()
                        && let Some(next) = self.queue.pop_front()
                    {
                        self.tasks.taken();
                        self.prepare(next);
                    }
                }
            }
        }
    }

    fn may_prepare(&self) -> bool {
        self.pending.is_none() && self.old.len() < MOST_OLD && !self.queue.is_empty()
    }

    /// The next task; a timeout when there is something else to do. What was told goes first: it may concern what is next.
    fn next(&self, inbox: &Receiver<Task>) -> Result<Task, RecvTimeoutError> {
        if self.may_prepare() {
            inbox.recv_timeout(Duration::ZERO)
        } else if self.old.is_empty() {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            inbox.recv_timeout(LOOK)
        }
    }

    fn handle(&mut self, task: Task) {
        match task {
            Task::Update { update, at, origin } => {
                self.queue.push_back(Waiting { update, at, origin });
            }
            Task::Connected => {
                self.connected = true;
                self.offer_all();
            }
            Task::Disconnected => {
                self.connected = false;
                self.swap(false);
            }
            Task::Answer(WeightsEvent::Ready { version }) => {
                if self.waits_for(version) {
                    self.swap(true);
                } else if self.current.get().version() == version && self.old.is_empty() {
                    // It has caught up, and needs nothing older.
                    self.order(WeightsOrder::Retire { below: version });
                }
            }
            Task::Answer(WeightsEvent::Refused(refuse)) => {
                if refuse.code == WeightsCode::Missing && !self.offered_full {
                    self.offer_all();
                } else {
                    self.alone(refuse.version, &refuse.text);
                }
            }
            Task::Answer(WeightsEvent::Unanswered { version }) => {
                self.alone(version, "it does not answer");
            }
            Task::Answer(WeightsEvent::Received { .. }) => {}
            Task::Stop => self.stopped = true,
        }
    }

    fn waits_for(&self, version: u64) -> bool {
        let pending = self.pending.as_ref();
        pending.is_some_and(|p| p.engine.version() == version)
    }

    /// Decodes an update and makes everything that its version needs.
    fn prepare(&mut self, waiting: Waiting) {
        let Waiting { update, at, origin } = waiting;
        let begun = Instant::now();
        if self.has(&update) {
            // It was sent again, to whoever may not have had it.
            if let (Origin::Server, Ok(header)) = (origin, Header::read(&update)) {
                self.order(WeightsOrder::Ready { version: header.to });
            }
            return;
        }
        let read = match &self.versions {
            Some(versions) => versions
                .read(&update)
                .map_err(|e| (code(&e), e.to_string())),
            None => Err((WeightsCode::Unusable, NOT_HERE.to_owned())),
        };
        let (header, model) = match read {
            Ok(read) => read,
            Err((code, text)) => {
                let version = Header::read(&update).ok().map(|h| h.to);
                return self.refuse(origin, version, code, text);
            }
        };
        let decoded = Instant::now();
        // The server prepares while this side does.
        if self.connected {
            self.offer(header.to, update.clone(), header.from == 0);
        }
        let engine = match self.current.get().with_weights(&model, header.to) {
            Ok(engine) => Arc::new(engine),
            Err(e) => {
                let version = Some(header.to);
                return self.refuse(origin, version, WeightsCode::Unusable, e.to_string());
            }
        };
        if let Some(versions) = &mut self.versions {
            versions.adopt(header.to, model);
        }
        self.tasks.prepared(header.to, header.digest);
        let built = Instant::now();
        self.pending = Some(Pending {
            engine,
            bytes: update.len(),
            at,
            origin,
            times: Times {
                waited: begun.saturating_duration_since(at),
                decode: decoded.saturating_duration_since(begun),
                build: built.saturating_duration_since(decoded),
                ..Times::default()
            },
            built,
        });
        if !self.connected {
            self.swap(false);
        }
    }

    /// Whether the version that an update gives is here.
    fn has(&self, update: &[u8]) -> bool {
        let versions = self.versions.as_ref();
        versions.is_some_and(|v| Header::read(update).is_ok_and(|header| v.holds(&header)))
    }

    /// The next frame begins with the version that is ready here. `server`: it is ready there, too.
    fn swap(&mut self, server: bool) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let new = pending.engine.version();
        let old = self.current.replace(pending.engine);
        let now = Instant::now();
        let times = Times {
            server: now.saturating_duration_since(pending.built),
            total: now.saturating_duration_since(pending.at),
            ..pending.times
        };
        (self.element.tell)(Report::Swapped(Swapped {
            old: old.version(),
            new,
            bytes: pending.bytes,
            server,
            times,
        }));
        self.old.push(old);
        if pending.origin == Origin::Server {
            self.order(WeightsOrder::Ready { version: new });
        }
    }

    /// The server will not have this version.
    fn alone(&mut self, version: u64, why: &str) {
        let waited = self.waits_for(version);
        if !waited && self.current.get().version() != version {
            return;
        }
        self.swap(false);
        let server = self.link().map_or_else(String::new, |link| link.server());
        let text = format!(
            "server {server} does not take version {version} of the weights: {why}; frames are completed here until it has \
             a version that this element uses"
        );
        (self.element.tell)(Report::Alone(text));
    }

    fn refuse(&self, origin: Origin, version: Option<u64>, code: WeightsCode, text: String) {
        if let (Origin::Server, Some(version)) = (origin, version) {
            let text = text.clone();
            self.order(WeightsOrder::Refuse {
                version,
                code,
                text,
            });
        }
        (self.element.tell)(Report::Refused(Refused {
            version,
            code,
            text,
        }));
    }

    /// Offers the newest version to a server that has nothing but the file.
    fn offer_all(&mut self) {
        let Some(versions) = &self.versions else {
            return;
        };
        match versions.full() {
            Ok(Some(full)) => self.offer(full.header.to, full.bytes.into(), true),
            Ok(None) => {}
            Err(e) => self.alone(versions.newest().0, &e.to_string()),
        }
    }

    fn offer(&mut self, version: u64, update: Bytes, full: bool) {
        self.offered_full = full;
        let rate = (self.element.rate)();
        self.order(WeightsOrder::Offer {
            version,
            update,
            rate,
        });
    }

    /// Ends engines whose last frame has left, and tells the server.
    fn retire(&mut self) {
        let before = self.old.len();
        self.old.retain(|engine| Arc::strong_count(engine) > 1);
        if self.old.is_empty() && before > 0 {
            let below = self.current.get().version();
            self.order(WeightsOrder::Retire { below });
        }
    }

    /// Without a session there is nobody to tell; a new one begins with [`Task::Connected`].
    fn order(&self, order: WeightsOrder) {
        if let Some(link) = self.link() {
            link.order_weights(order);
        }
    }

    fn link(&self) -> Option<Arc<Link>> {
        self.link.as_ref().and_then(Weak::upgrade)
    }
}
