// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the network's thread tells of frames and of the session, and whom it tells.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use splitinfer_plan::{Change, Choice, Health, Round};
use splitinfer_wire::{Status, WeightsEvent};

use super::reports::Reports;
use super::sent::{Requests, Sent};
use super::{News, Notice, Tell};
use crate::edge::crossing::Feedback;
use crate::edge::flow::Flow;
use crate::edge::frame::{Answer, Found, ServerTimes};
use crate::edge::swap::{Origin, Task, Tasks};
use crate::net::client::{Body, ClientEvent, Failure, FrameReply};
use std::sync::Arc;

/// Answers kept for the plan.
const MOST_NEWS: usize = 128;

/// What the callback of the network thread and the element's threads share.
pub(super) struct Shared {
    pub(super) flow: Arc<Flow>,
    pub(super) health: Mutex<Health>,
    pub(super) tell: Tell,
    /// As the user named the server in use, or all of them while there is none.
    pub(super) server: Mutex<String>,
    /// Requests whose answers would tell something, and what answers told since the plan last asked.
    pub(super) sent: Mutex<Requests>,
    pub(super) news: Mutex<Vec<News>>,
    pub(super) feedback: Mutex<Feedback>,
    /// The newest frame of each choice that the server has all of, in this session.
    pub(super) newest: Mutex<HashMap<Choice, u64>>,
    /// Whether the server takes pictures as a video, and has not failed to read one.
    pub(super) video: AtomicBool,
    /// Whether it keeps what tensors are predicted from of each candidate, and not only of the last one.
    pub(super) keeps_each_candidate: AtomicBool,
    /// Versions of the weights that the server has ready.
    pub(super) versions: Mutex<Vec<u64>>,
    pub(super) reports: Reports,
    /// The server's pipeline is told of frames, with the picture of every n-th unless it asks for others.
    pub(super) unasked: Option<u32>,
    pub(super) tasks: Tasks,
    pub(super) model_picture: (u16, u16),
}

impl Shared {
    /// On the network thread.
    pub(super) fn on_event(&self, event: ClientEvent) {
        match event {
            ClientEvent::Connected {
                server,
                peer,
                welcome,
            } => {
                gst::info!(
                    crate::edge::imp::CAT,
                    "session {} with {} at {peer}",
                    welcome.session_id,
                    welcome.server
                );
                *self.server.lock().unwrap() = server.to_string();
                self.video.store(welcome.video, Ordering::Relaxed);
                let each = welcome.version.keeps_each_candidate();
                self.keeps_each_candidate.store(each, Ordering::Relaxed);
                let mut feedback = self.feedback.lock().unwrap();
                feedback.lost();
                feedback.video_lost(u64::MAX);
                drop(feedback);
                self.newest.lock().unwrap().clear();
                *self.versions.lock().unwrap() = vec![0];
                let reported = self.unasked.is_some() && welcome.version.has_reports();
                self.reports.connected(reported, self.unasked.unwrap_or(0));
                let change = self.health.lock().unwrap().connected();
                self.announce(change, "");
                self.tasks.tell(Task::Connected);
            }
            ClientEvent::Refused { text, fatal: true } => {
                self.gone();
                self.health.lock().unwrap().disconnected();
                self.flow.give_up_waiting(Instant::now());
                (self.tell)(Notice::Refused(text));
            }
            ClientEvent::Refused { text: reason, .. } | ClientEvent::Disconnected { reason } => {
                self.gone();
                let change = self.health.lock().unwrap().disconnected();
                self.flow.give_up_waiting(Instant::now());
                if change == Some(Change::Lost) {
                    (self.tell)(Notice::Lost(reason));
                }
            }
            ClientEvent::Result(reply) if self.reports.ended(reply.number) => {}
            ClientEvent::Failed { number, reason } if self.reports.ended(number) => {
                gst::debug!(crate::edge::imp::CAT, "a report did not arrive: {reason}");
            }
            ClientEvent::PicturesWanted { every } => self.reports.wanted(every),
            ClientEvent::Result(reply) => self.on_result(reply),
            ClientEvent::Weights(event) => self.on_weights(event),
            ClientEvent::Failed { number, reason } => {
                self.failed(number, &reason);
                let answer = match reason {
                    Failure::Refused { queue, round } => {
                        self.refused(number, round, queue);
                        Answer::Refused
                    }
                    _ => Answer::Failed,
                };
                if self.flow.answer(number, answer) {
                    gst::debug!(
                        crate::edge::imp::CAT,
                        "frame {number} failed on the server: {reason}"
                    );
                }
            }
        }
    }

    /// It answers, so that it can be relied on for all that.
    fn refused(&self, number: u64, taken: Duration, queue: Duration) {
        self.tell_plan(News::Refused {
            number,
            taken,
            queue,
            at: Instant::now(),
        });
        let change = self.health.lock().unwrap().answered();
        self.announce(change, "");
    }

    /// What that means for the frames after it.
    fn failed(&self, number: u64, reason: &Failure) {
        let status = match reason {
            Failure::Server { status, .. } => Some(*status),
            _ => None,
        };
        match self.forget(number) {
            // It cannot even read what stands alone.
            Some(Sent {
                choice: Choice::Video,
                alone: true,
                ..
            }) if status == Some(Status::BadInput) => {
                self.video.store(false, Ordering::Relaxed);
                gst::warning!(crate::edge::imp::CAT, "no more pictures as video: {reason}");
            }
            Some(Sent {
                choice: Choice::Video,
                ..
            }) => {}
            Some(sent)
                if status == Some(Status::NoReference)
                    && !self.is_overtaken(number, sent.choice) =>
            {
                self.feedback.lock().unwrap().lost();
            }
            _ => {}
        }
    }

    /// The server has answered one of the same choice after it: where it lacks what this one is predicted from, which came late, it
    /// is because that one needed nothing so old any more.
    fn is_overtaken(&self, number: u64, choice: Choice) -> bool {
        let newest = self.newest.lock().unwrap().get(&choice).copied();
        newest.is_some_and(|newest| newest > number)
    }

    /// A frame that was sent and has not been heard of is of use longer than its answer.
    pub(super) fn lives_on(&self, number: u64) -> bool {
        let sent = self.sent.lock().unwrap();
        sent.get(number).is_some_and(|s| s.expires > s.deadline)
    }

    /// The server does not have this frame.
    pub(super) fn forget(&self, number: u64) -> Option<Sent> {
        let sent = self.sent.lock().unwrap().take(number)?;
        if sent.choice == Choice::Video {
            self.feedback.lock().unwrap().video_lost(number);
        }
        Some(sent)
    }

    /// There is no session, and nothing of the last one is left on the server.
    fn gone(&self) {
        self.reports.gone();
        self.versions.lock().unwrap().clear();
        self.tell_plan(News::Disconnected);
        self.tasks.tell(Task::Disconnected);
    }

    fn on_weights(&self, event: WeightsEvent) {
        match event {
            WeightsEvent::Received { version, update } => {
                if !self.tasks.update(update, Origin::Server) {
                    gst::warning!(
                        crate::edge::imp::CAT,
                        "version {version} is too many: updates wait already"
                    );
                }
            }
            answer => {
                if let WeightsEvent::Ready { version } = &answer {
                    self.versions.lock().unwrap().push(*version);
                }
                self.tasks.tell(Task::Answer(answer));
            }
        }
    }

    fn on_result(&self, reply: FrameReply) {
        let number = reply.number;
        // The server keeps nothing of a frame that it had only a part of.
        if reply.part.is_none() {
            self.feedback.lock().unwrap().decoded(number);
        }
        let server = ServerTimes {
            queue: reply.queued,
            decode: reply.decoding,
            compute: reply.computing,
        };
        let taken = reply.round;
        let sent = self.sent.lock().unwrap().take(number);
        if let Some(sent) = sent.as_ref().filter(|_| reply.part.is_none()) {
            let mut newest = self.newest.lock().unwrap();
            let newest = newest.entry(sent.choice).or_default();
            *newest = number.max(*newest);
        }
        let in_time = sent.as_ref().is_none_or(|s| Instant::now() <= s.deadline);
        let alone = sent.as_ref().filter(|s| s.alone && reply.part.is_none());
        if let Some(sent) = alone.filter(|_| !in_time) {
            self.tell_plan(News::Decoded(sent.choice));
        }
        let found = match reply.body {
            // In pixels of the frame already: the placement travelled with the request.
            Body::Objects(objects) => {
                Found::Objects(objects.into_iter().map(crate::convert::from_wire).collect())
            }
            Body::Tensors(bytes) => Found::Tensors(bytes),
            Body::None => {
                self.flow.answer(number, Answer::Failed);
                return;
            }
        };
        let model_version = reply.model_version;
        let answer = Answer::Completed {
            found,
            model_version,
            server,
            received: reply.part.map(|part| part.share),
        };
        self.flow.answer(number, answer);
        // Else it is of use only to those after it, as a picture of a video is, and tensors that stand alone.
        if !in_time {
            return;
        }
        if let Some(sent) = sent {
            match reply.part {
                Some(part) => self.learn_in_part(&sent, taken.saturating_sub(part.waited), server),
                None => self.learn(&sent, taken, server),
            }
        }
        let change = self.health.lock().unwrap().answered();
        self.announce(change, "");
    }

    fn learn(&self, sent: &Sent, taken: Duration, server: ServerTimes) {
        self.tell_plan(News::Answered(Round {
            number: sent.number,
            choice: sent.choice,
            bytes: sent.bytes,
            alone: sent.alone,
            taken,
            queue: server.queue,
            work: server.decode + server.compute,
        }));
    }

    /// `after` the time that the server was given to wait.
    fn learn_in_part(&self, sent: &Sent, after: Duration, server: ServerTimes) {
        self.tell_plan(News::AnsweredInPart {
            number: sent.number,
            choice: sent.choice,
            there: server.queue + server.decode + server.compute,
            after,
            at: Instant::now(),
        });
    }

    pub(super) fn tell_plan(&self, news: News) {
        let mut all = self.news.lock().unwrap();
        if all.len() < MOST_NEWS {
            all.push(news);
        }
    }

    pub(super) fn announce(&self, change: Option<Change>, reason: &str) {
        let server = || self.server.lock().unwrap().clone();
        match change {
            Some(Change::Lost) => {
                (self.tell)(Notice::Lost(format!("server {} {reason}", server())))
            }
            Some(Change::Back) => {
                (self.tell)(Notice::Back(format!("server {} answers again", server())))
            }
            None => {}
        }
    }
}
