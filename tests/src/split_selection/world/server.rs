// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The server with its one worker, and the way back.

use std::sync::Arc;
use std::time::Duration;

use splitinfer_link::{Fate, Trace};
use splitinfer_plan::{Choice, Round};
use splitinfer_wire::VideoHeader;

use super::super::events::Event;
use super::super::load::Times;
use super::edge::Progress;
use super::{Seen, World};

/// A result on the wire: a few objects.
const RESULT: u64 = 600;
/// An answer without one.
const EMPTY: u64 = 75;

/// A frame under way to the server and back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) frame: u32,
    pub(super) choice: Choice,
    pub(super) bytes: u64,
    pub(super) alone: bool,
    /// In the video.
    pub(super) place: Option<VideoHeader>,
    pub(super) decode: Duration,
    pub(super) sent: Duration,
    /// After that the answer is of no use.
    pub(super) deadline: Duration,
    pub(super) came: Duration,
    pub(super) queue: Duration,
    pub(super) work: Duration,
    /// Of the work, without decoding.
    pub(super) inference: Duration,
    /// The answer came too late to be worth inference, but those behind it need the picture.
    pub(super) only_decoded: bool,
    pub(super) cancelled: Option<Duration>,
}

impl Job {
    /// Frames behind it need it, so it is of use longer than its answer: a picture of the video, and tensors that stand alone.
    pub(super) fn outlives(&self) -> bool {
        self.place.is_some() || self.alone && matches!(self.choice, Choice::Candidate(_))
    }
}

impl World {
    pub(super) fn packet_came(&mut self, number: u32, trace: &Trace) {
        let (wires, events) = (&mut self.wires, &mut self.events);
        let complete = self
            .connection
            .at_server(number, self.now, trace, wires, events);
        let Some(frame) = complete else {
            return;
        };
        match self.job(frame).and_then(|j| j.place) {
            None => self.wait_for_worker(frame),
            Some(place) => {
                for frame in self.stream.arrived(frame, place) {
                    self.wait_for_worker(frame);
                }
            }
        }
    }

    /// The worker is done with its frame.
    pub(super) fn served(&mut self) {
        if let Some(frame) = self.serving.take() {
            if let Some(&mut Job {
                choice, inference, ..
            }) = self.job(frame).filter(|j| !j.only_decoded)
            {
                self.times.add(choice, inference);
            }
            self.events.add(self.now, Event::Reply(frame));
        }
        self.serve();
    }

    pub(super) fn job(&mut self, frame: u32) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|j| j.frame == frame)
    }

    pub(super) fn wait_for_worker(&mut self, frame: u32) {
        let now = self.now;
        if let Some(job) = self.job(frame) {
            job.came = now;
            self.queue.push_back(frame);
            self.serve();
        }
    }

    pub(super) fn serve(&mut self) {
        let (now, setting) = (self.now, Arc::clone(&self.setting));
        while self.serving.is_none()
            && let Some(frame) = self.queue.pop_front()
        {
            let delay = setting.trace.at(now).up.delay;
            let Some(job) = self.job(frame) else {
                continue;
            };
            let unwanted = job.cancelled.is_some_and(|at| at + delay <= now);
            if unwanted && !job.outlives() {
                continue;
            }
            job.only_decoded = job.outlives() && (unwanted || now > job.deadline);
            job.queue = now - job.came;
            job.work = match job.only_decoded {
                true => setting.decoding(job.decode, now),
                false => setting.there(job.choice, job.decode, frame, now),
            };
            job.inference = setting.there(job.choice, Duration::ZERO, frame, now);
            let done = now + job.work;
            self.busy += done - now;
            self.serving = Some(frame);
            self.events.add(done, Event::Served);
        }
    }

    pub(super) fn reply(&mut self, frame: u32, trace: &Trace) {
        let now = self.now;
        let Some(job) = self.job(frame) else {
            return;
        };
        let bytes = match (job.only_decoded, job.cancelled) {
            (true, _) => EMPTY,
            (false, None) => RESULT,
            (false, Some(_)) => return,
        };
        match self.wires.down.send(trace, now, bytes) {
            Fate::Arrives(at) => self.events.add(at, Event::Answered(frame)),
            Fate::Lost(_) => {
                let again = now + self.connection.patience();
                self.events.add(again, Event::Reply(frame));
            }
        }
    }

    pub(super) fn answered(&mut self, frame: u32) {
        let now = self.now;
        self.connection.heard = now;
        let Some(at) = self.jobs.iter().position(|j| j.frame == frame) else {
            return;
        };
        let job = self.jobs.swap_remove(at);
        if job.cancelled.is_some() || job.only_decoded || now > job.deadline {
            if job.outlives() && job.place.is_none() {
                self.encoder.acknowledged(job.choice, frame);
                self.seen.push(Seen::Decoded(job.choice));
            }
            return;
        }
        self.encoder.acknowledged(job.choice, frame);
        self.seen.push(Seen::Answered {
            number: frame,
            round: Round {
                number: frame.into(),
                choice: job.choice,
                bytes: job.bytes,
                alone: job.alone,
                taken: now - job.sent,
                queue: job.queue,
                work: job.work,
            },
            at: now,
        });
        if let Some(flowing) = self.flow.iter_mut().find(|f| f.frame == frame)
            && matches!(
                flowing.progress,
                Progress::Waiting { .. } | Progress::Completing { .. }
            )
        {
            flowing.progress = Progress::Answered;
        }
        self.turn();
    }

    /// How long the server has worked on frames of each choice.
    pub fn server_times(&self) -> &Times {
        &self.times
    }

    /// Frames that wait on the server, and how long it has worked so far.
    pub fn server_load(&self) -> (u32, Duration) {
        (self.queue.len() as u32, self.busy)
    }
}
