// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The element: the streaming thread, and the source pad's task.

use std::time::Duration;

use splitinfer_plan::Choice;
use splitinfer_wire::VideoHeader;

use super::super::events::Event;
use super::server::Job;
use super::{Left, Order, Seen, World};

/// The request's header.
const HEADER: u64 = 60;

#[derive(Clone, Copy, Debug)]
pub(super) struct Working {
    pub(super) frame: u32,
    pub(super) begun: Duration,
    /// A probe that has been sent.
    pub(super) completing: bool,
    pub(super) order: Order,
    pub(super) bytes: u64,
    /// It was coded without an earlier frame.
    pub(super) alone: bool,
    /// In the video.
    pub(super) place: Option<VideoHeader>,
    pub(super) decode: Duration,
    pub(super) infer: Duration,
    pub(super) encode: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Progress {
    Done,
    Waiting {
        until: Duration,
    },
    Answered,
    /// Unless an answer comes first.
    Completing {
        took: Duration,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Flowing {
    pub(super) frame: u32,
    pub(super) choice: Choice,
    pub(super) bytes: u64,
    pub(super) progress: Progress,
}

impl World {
    /// The camera gives a frame; one that still waits is dropped.
    pub(super) fn captured(&mut self, frame: u32) {
        self.camera = Some(frame);
        self.so_far = frame + 1;
        if self.so_far < self.setting.frames {
            let next = self.setting.captured(frame + 1);
            self.events.add(next, Event::Captured(frame + 1));
        }
    }

    pub(super) fn completed(&mut self, frame: u32) {
        let Some(front) = self.flow.front().filter(|f| f.frame == frame).copied() else {
            return;
        };
        let (choice, Progress::Completing { took }) = (front.choice, front.progress) else {
            return;
        };
        self.seen.push(Seen::Completed { choice, took });
        self.miss(frame);
        self.flow.pop_front();
        self.leave(front, false);
        self.turn();
    }

    /// The frame that [`advance`](Self::advance) gave is begun.
    pub fn begin(&mut self, frame: u32, order: Order) {
        let now = self.now;
        let choice = order.choice;
        let reference = match choice {
            Choice::Video => self.stream.reference(),
            _ => self.encoder.reference(choice),
        };
        let place = (choice == Choice::Video).then(|| self.stream.coded(frame));
        let code = self.setting.code(choice, frame, reference, now);
        let infer = self.setting.head(choice, frame, now);
        self.events.add(now + infer + code.encode, Event::Begun);
        self.streaming = Some(Working {
            frame,
            begun: now,
            completing: false,
            order,
            bytes: code.bytes,
            alone: reference.is_none(),
            place,
            decode: code.decode,
            infer,
            encode: code.encode,
        });
    }

    /// The streaming thread is done with a frame, but for completing it, if it is a probe.
    pub(super) fn begun(&mut self) {
        let Some(work) = self.streaming else {
            return;
        };
        if work.order.probe && !work.completing {
            self.encoder.sent(work.order.choice);
            self.tell_worked(work);
            if self.connected {
                self.send(work);
            }
            let rest = self.setting.rest(work.order.choice, work.frame, self.now);
            self.events.add(self.now + rest, Event::Begun);
            self.streaming = Some(Working {
                completing: true,
                ..work
            });
            return;
        }
        self.streaming = None;
        self.hand_to_flow(work);
    }

    pub(super) fn tell_worked(&mut self, work: Working) {
        self.seen.push(Seen::Worked {
            choice: work.order.choice,
            infer: work.infer,
            encode: work.encode,
        });
    }

    pub(super) fn hand_to_flow(&mut self, work: Working) {
        let (frame, choice) = (work.frame, work.order.choice);
        let mut progress = Progress::Done;
        if !work.order.probe {
            self.tell_worked(work);
        }
        if choice != Choice::Here && !work.order.probe {
            self.encoder.sent(choice);
            let deadline = self.deadline(frame);
            let patient = (work.begun + work.order.patience).min(deadline);
            let until = deadline.saturating_sub(work.order.reserve).max(patient);
            progress = Progress::Waiting {
                until: if self.connected { until } else { self.now },
            };
            if self.connected {
                self.send(work);
            }
        }
        self.flow.push_back(Flowing {
            frame,
            choice,
            bytes: work.bytes,
            progress,
        });
        self.turn();
    }

    pub(super) fn send(&mut self, work: Working) {
        let (number, choice, bytes) = (work.frame, work.order.choice, work.bytes);
        self.seen.push(Seen::Sent {
            number,
            choice,
            bytes,
            at: self.now,
        });
        let deadline = match work.order.probe {
            true => self.now + self.setting.budget,
            // A frame that is late is completed here, but takes an answer that comes before that is done.
            false => self.deadline(number) + self.setting.rest(choice, number, self.now),
        };
        let outlives = work.place.is_some() || work.alone && matches!(choice, Choice::Candidate(_));
        if outlives {
            let end = deadline + self.setting.budget;
            self.events.add(end, Event::Outlived(number));
        }
        self.jobs.push(Job {
            frame: number,
            choice,
            bytes,
            alone: work.alone,
            place: work.place,
            decode: work.decode,
            sent: self.now,
            deadline,
            came: Duration::ZERO,
            queue: Duration::ZERO,
            work: Duration::ZERO,
            inference: Duration::ZERO,
            only_decoded: false,
            cancelled: None,
        });
        self.last_sent = self.now;
        self.connection.send_frame(number, bytes + HEADER);
        self.pump();
        // What nobody can wait for any more.
        let old = self.now.saturating_sub(self.setting.budget * 4);
        self.jobs.retain(|j| j.sent >= old);
    }

    /// Of the source pad's task.
    pub(super) fn turn(&mut self) {
        while let Some(front) = self.flow.front_mut() {
            match front.progress {
                Progress::Completing { .. } => return,
                Progress::Done | Progress::Answered => {
                    let by_server = front.progress == Progress::Answered;
                    let front = *front;
                    self.flow.pop_front();
                    self.leave(front, by_server);
                }
                Progress::Waiting { until } if until > self.now => {
                    self.events.add(until, Event::GiveUp);
                    return;
                }
                Progress::Waiting { .. } => {
                    let (frame, choice) = (front.frame, front.choice);
                    let took = self.setting.rest(choice, frame, self.now);
                    front.progress = Progress::Completing { took };
                    self.events.add(self.now + took, Event::Completed(frame));
                    return;
                }
            }
        }
    }

    pub(super) fn miss(&mut self, number: u32) {
        let at = self.now;
        self.seen.push(Seen::Missed { number, at });
        let mut needed = false;
        if let Some(job) = self.job(number) {
            job.cancelled = Some(at);
            needed = job.outlives();
        }
        // Those behind it need it: it goes on.
        if !needed {
            self.connection.cancel(number);
        }
    }

    /// A budget after its deadline a frame that others need is given up for good.
    pub(super) fn outlived(&mut self, frame: u32) {
        if self.connection.lacks(frame) {
            self.connection.cancel(frame);
            if self.stream.lost(frame) {
                self.seen.push(Seen::VideoBroken);
            }
        }
    }

    pub(super) fn leave(&mut self, flowing: Flowing, by_server: bool) {
        self.left.push(Left {
            frame: flowing.frame,
            at: self.now,
            choice: flowing.choice,
            by_server,
            bytes: flowing.bytes,
        });
    }
}
