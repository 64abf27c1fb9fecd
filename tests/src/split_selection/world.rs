// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The simulated edge, link and server: what becomes of every frame, whoever chooses.
//!
//! The edge is the element: a streaming thread that runs heads and codes one frame after another, and the source pad's
//! task that lets frames leave in order and completes here what the server has not answered in time. The camera does not
//! wait: of the frames that come while the streaming thread is busy the newest is kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use splitinfer_link::{Fate, Trace};
use splitinfer_plan::{Choice, Round};

use super::encoder::Encoder;
use super::events::{Event, Events};
use super::load::Times;
use super::monitor::Monitor;
use super::setting::{Pictures, Setting};
use super::stream::{Decoded, Stream};
use super::transport::{Connection, Wires};

/// As the element has them by default.
pub const MAX_IN_FLIGHT: usize = 4;
const IDLE: Duration = Duration::from_millis(2500);
const KEEP_ALIVE: Duration = Duration::from_millis(800);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// How often the connection is looked after.
const LOOK: Duration = Duration::from_millis(200);
/// A result on the wire: a few objects.
const RESULT: u64 = 600;
/// The request's header.
const HEADER: u64 = 60;
/// The server asks for a key frame.
const ASK: u64 = 75;

/// What the edge gets to see, in order.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// The streaming thread's work on a frame.
    Worked {
        choice: Choice,
        infer: Duration,
        encode: Duration,
    },
    Sent {
        number: u32,
        choice: Choice,
        bytes: u64,
        at: Duration,
    },
    /// In time.
    Answered {
        number: u32,
        round: Round,
        at: Duration,
    },
    Missed {
        number: u32,
        at: Duration,
    },
    /// A frame was completed here after all, and what that took.
    Completed {
        choice: Choice,
        took: Duration,
    },
    Connected,
    Disconnected,
}

/// What became of a frame that left.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    pub frame: u32,
    pub at: Duration,
    pub choice: Choice,
    pub by_server: bool,
    pub bytes: u64,
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub choice: Choice,
    /// Complete it here too, at once.
    pub probe: bool,
    /// How long before its deadline completion here begins.
    pub reserve: Duration,
    /// From the beginning on, how long an answer is waited for at least, unless the deadline comes before.
    pub patience: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Working {
    frame: u32,
    begun: Duration,
    /// A probe that has been sent.
    completing: bool,
    order: Order,
    bytes: u64,
    decode: Duration,
    infer: Duration,
    encode: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Progress {
    Done,
    Waiting { until: Duration },
    Answered,
    Completing,
}

#[derive(Clone, Copy, Debug)]
struct Flowing {
    frame: u32,
    choice: Choice,
    bytes: u64,
    progress: Progress,
}

/// A frame under way to the server and back.
#[derive(Clone, Copy, Debug)]
struct Job {
    frame: u32,
    choice: Choice,
    bytes: u64,
    decode: Duration,
    sent: Duration,
    /// After that the answer is of no use.
    deadline: Duration,
    came: Duration,
    queue: Duration,
    work: Duration,
    /// Of the work, without decoding.
    inference: Duration,
    cancelled: Option<Duration>,
}

pub struct World {
    pub setting: Arc<Setting>,
    pub now: Duration,
    pub events: Events,
    pub wires: Wires,
    pub connection: Connection,
    pub connected: bool,
    backoff: Duration,
    last_sent: Duration,
    camera: Option<u32>,
    captured: u32,
    streaming: Option<Working>,
    flow: VecDeque<Flowing>,
    encoder: Encoder,
    stream: Stream,
    jobs: Vec<Job>,
    queue: VecDeque<u32>,
    serving: Option<u32>,
    busy: Duration,
    times: Times,
    pub seen: Vec<Seen>,
    pub left: Vec<Left>,
    pub monitor: Option<Monitor>,
}

impl World {
    /// Connected, at the beginning of the trace.
    pub fn new(setting: Arc<Setting>) -> Self {
        let mut events = Events::default();
        events.add(Duration::ZERO, Event::Captured(0));
        events.add(LOOK, Event::KeepAlive);
        let mut connection = Connection::new(Duration::ZERO);
        connection.shaken(&setting.trace, Duration::ZERO);
        Self {
            now: Duration::ZERO,
            events,
            wires: Wires::new(setting.seed),
            connection,
            connected: true,
            backoff: FIRST_BACKOFF,
            last_sent: Duration::ZERO,
            camera: None,
            captured: 0,
            streaming: None,
            flow: VecDeque::new(),
            encoder: Encoder::default(),
            stream: Stream::default(),
            jobs: Vec::new(),
            queue: VecDeque::new(),
            serving: None,
            busy: Duration::ZERO,
            times: Times::new(&setting),
            seen: vec![Seen::Connected],
            left: Vec::new(),
            monitor: None,
            setting,
        }
    }

    /// A copy without a monitor, in which nothing was seen yet.
    pub fn fork(&self) -> Self {
        Self {
            setting: Arc::clone(&self.setting),
            now: self.now,
            events: self.events.clone(),
            wires: self.wires.clone(),
            connection: self.connection.clone(),
            connected: self.connected,
            backoff: self.backoff,
            last_sent: self.last_sent,
            camera: self.camera,
            captured: self.captured,
            streaming: self.streaming,
            flow: self.flow.clone(),
            encoder: self.encoder,
            stream: self.stream.clone(),
            jobs: self.jobs.clone(),
            queue: self.queue.clone(),
            serving: self.serving,
            busy: self.busy,
            times: self.times.clone(),
            seen: Vec::new(),
            left: Vec::new(),
            monitor: None,
        }
    }

    /// Goes on until a frame waits for a decision; `None`: all frames have left.
    pub fn advance(&mut self) -> Option<u32> {
        self.advance_until(u32::MAX)
    }

    /// The same, but ends also when frame `last` or a later one has left.
    pub fn advance_until(&mut self, last: u32) -> Option<u32> {
        loop {
            if self.left.last().is_some_and(|l| l.frame >= last) {
                return None;
            }
            if self.streaming.is_none()
                && self.flow.len() < MAX_IN_FLIGHT
                && let Some(frame) = self.camera.take()
            {
                return Some(frame);
            }
            if self.captured == self.setting.frames
                && self.camera.is_none()
                && self.streaming.is_none()
                && self.flow.is_empty()
            {
                return None;
            }
            self.step();
        }
    }

    /// The frame that [`advance`](Self::advance) gave is begun.
    pub fn begin(&mut self, frame: u32, order: Order) {
        let now = self.now;
        let choice = order.choice;
        let reference = match choice {
            Choice::Picture => self.stream.reference(),
            _ => self.encoder.reference(choice, frame),
        };
        if choice == Choice::Picture && self.setting.pictures == Pictures::H264 {
            self.stream.encoded(frame);
        }
        let code = self.setting.code(choice, frame, reference, now);
        let infer = self.setting.head(choice, frame, now);
        self.events.add(now + infer + code.encode, Event::Begun);
        self.streaming = Some(Working {
            frame,
            begun: now,
            completing: false,
            order,
            bytes: code.bytes,
            decode: code.decode,
            infer,
            encode: code.encode,
        });
    }

    /// The monitor begins.
    pub fn watch(&mut self, mut monitor: Monitor) {
        monitor.step(self, Event::Monitor);
        self.monitor = Some(monitor);
    }

    pub fn deadline(&self, frame: u32) -> Duration {
        self.setting.captured(frame) + self.setting.budget
    }

    fn step(&mut self) {
        let Some((at, event)) = self.events.pop() else {
            unreachable!("the connection is looked after for ever")
        };
        self.now = at;
        let trace = Arc::clone(&self.setting.trace);
        match event {
            Event::Captured(frame) => {
                self.camera = Some(frame);
                self.captured = frame + 1;
                if self.captured < self.setting.frames {
                    let next = self.setting.captured(frame + 1);
                    self.events.add(next, Event::Captured(frame + 1));
                }
            }
            Event::Begun => self.begun(),
            Event::AtServer(number) => {
                let complete = self.connection.at_server(
                    number,
                    at,
                    &trace,
                    &mut self.wires,
                    &mut self.events,
                );
                match (complete, self.setting.pictures) {
                    (None, _) => {}
                    (Some(frame), Pictures::Jpeg) => self.wait_for_worker(frame),
                    (Some(frame), Pictures::H264) => {
                        let decoded = self.stream.arrived(frame);
                        self.decoded(decoded);
                    }
                }
            }
            Event::Gap(frame) => {
                let decoded = self.stream.given_up(frame);
                self.decoded(decoded);
            }
            Event::AskForKey => self.ask_for_key(&trace),
            Event::KeyAskedFor => self.stream.demanded(),
            Event::Acknowledged(heard) => {
                self.connection.acknowledged(heard, at);
                self.pump();
            }
            Event::Probe => {
                self.connection
                    .probe(at, &trace, &mut self.wires, &mut self.events);
            }
            Event::Served => {
                if let Some(frame) = self.serving.take() {
                    if let Some(&mut Job {
                        choice, inference, ..
                    }) = self.job(frame)
                    {
                        self.times.add(choice, inference);
                    }
                    self.events.add(at, Event::Reply(frame));
                }
                self.serve();
            }
            Event::Reply(frame) => self.reply(frame, &trace),
            Event::Answered(frame) => self.answered(frame),
            Event::GiveUp => self.turn(),
            Event::Completed => {
                if let Some(front) = self.flow.pop_front() {
                    self.leave(front, false);
                }
                self.turn();
            }
            Event::KeepAlive => self.look_after(),
            Event::Dial => self.dial(&trace),
            Event::Connected => {
                self.connected = true;
                self.connection.shaken(&trace, at);
                self.backoff = FIRST_BACKOFF;
                self.connection.heard = at;
                self.seen.push(Seen::Connected);
            }
            Event::Monitor | Event::ProbeAtServer(_) | Event::ReplyAtEdge(_) => {
                if let Some(mut monitor) = self.monitor.take() {
                    monitor.step(self, event);
                    self.monitor = Some(monitor);
                }
            }
        }
    }

    fn wait_for_worker(&mut self, frame: u32) {
        let now = self.now;
        if let Some(job) = self.job(frame) {
            job.came = now;
            self.queue.push_back(frame);
            self.serve();
        }
    }

    fn decoded(&mut self, decoded: Decoded) {
        for frame in decoded.frames {
            self.wait_for_worker(frame);
        }
        if decoded.broken {
            self.events.add(self.now, Event::AskForKey);
        }
    }

    fn ask_for_key(&mut self, trace: &Trace) {
        match self.wires.down.send(trace, self.now, ASK) {
            Fate::Arrives(at) => self.events.add(at, Event::KeyAskedFor),
            Fate::Lost(_) => {
                let again = self.now + self.connection.patience();
                self.events.add(again, Event::AskForKey);
            }
        }
    }

    fn pump(&mut self) {
        let trace = Arc::clone(&self.setting.trace);
        self.connection
            .pump(self.now, &trace, &mut self.wires, &mut self.events);
    }

    fn job(&mut self, frame: u32) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|j| j.frame == frame)
    }

    /// The streaming thread is done with a frame, but for completing it, if it is a probe.
    fn begun(&mut self) {
        let Some(work) = self.streaming else {
            return;
        };
        if work.order.probe && !work.completing {
            self.encoder.sent(work.order.choice, work.frame);
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

    fn tell_worked(&mut self, work: Working) {
        self.seen.push(Seen::Worked {
            choice: work.order.choice,
            infer: work.infer,
            encode: work.encode,
        });
    }

    fn hand_to_flow(&mut self, work: Working) {
        let (frame, choice) = (work.frame, work.order.choice);
        let mut progress = Progress::Done;
        if !work.order.probe {
            self.tell_worked(work);
        }
        if choice != Choice::Here && !work.order.probe {
            self.encoder.sent(choice, frame);
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

    fn send(&mut self, work: Working) {
        let (number, choice, bytes) = (work.frame, work.order.choice, work.bytes);
        self.seen.push(Seen::Sent {
            number,
            choice,
            bytes,
            at: self.now,
        });
        self.jobs.push(Job {
            frame: number,
            choice,
            bytes,
            decode: work.decode,
            sent: self.now,
            deadline: match work.order.probe {
                true => self.now + self.setting.budget,
                false => self.deadline(number),
            },
            came: Duration::ZERO,
            queue: Duration::ZERO,
            work: Duration::ZERO,
            inference: Duration::ZERO,
            cancelled: None,
        });
        self.last_sent = self.now;
        self.connection.send_frame(number, bytes + HEADER);
        self.pump();
        // What nobody can wait for any more.
        let old = self.now.saturating_sub(self.setting.budget * 4);
        self.jobs.retain(|j| j.sent >= old);
    }

    fn serve(&mut self) {
        let (now, setting) = (self.now, Arc::clone(&self.setting));
        while self.serving.is_none()
            && let Some(frame) = self.queue.pop_front()
        {
            let delay = setting.trace.at(now).up.delay;
            let Some(job) = self.job(frame) else {
                continue;
            };
            let unwanted = job.cancelled.is_some_and(|at| at + delay <= now);
            let stream = setting.pictures == Pictures::H264;
            if unwanted && !stream {
                continue;
            }
            job.queue = now - job.came;
            job.work = match unwanted {
                // What comes after it is predicted from it.
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

    fn reply(&mut self, frame: u32, trace: &Trace) {
        let now = self.now;
        if self.job(frame).is_none_or(|j| j.cancelled.is_some()) {
            return;
        }
        match self.wires.down.send(trace, now, RESULT) {
            Fate::Arrives(at) => self.events.add(at, Event::Answered(frame)),
            Fate::Lost(_) => {
                let again = now + self.connection.patience();
                self.events.add(again, Event::Reply(frame));
            }
        }
    }

    fn answered(&mut self, frame: u32) {
        let now = self.now;
        self.connection.heard = now;
        let Some(at) = self.jobs.iter().position(|j| j.frame == frame) else {
            return;
        };
        let job = self.jobs.swap_remove(at);
        if job.cancelled.is_some() || now > job.deadline {
            return;
        }
        self.encoder.acknowledged(job.choice, frame);
        self.seen.push(Seen::Answered {
            number: frame,
            round: Round {
                number: frame.into(),
                choice: job.choice,
                bytes: job.bytes,
                taken: now - job.sent,
                queue: job.queue,
                work: job.work,
            },
            at: now,
        });
        if let Some(flowing) = self.flow.iter_mut().find(|f| f.frame == frame)
            && matches!(flowing.progress, Progress::Waiting { .. })
        {
            flowing.progress = Progress::Answered;
        }
        self.turn();
    }

    /// Of the source pad's task.
    fn turn(&mut self) {
        while let Some(front) = self.flow.front_mut() {
            match front.progress {
                Progress::Completing => return,
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
                    front.progress = Progress::Completing;
                    let (frame, choice) = (front.frame, front.choice);
                    self.miss(frame);
                    let took = self.setting.rest(choice, frame, self.now);
                    self.seen.push(Seen::Completed { choice, took });
                    self.events.add(self.now + took, Event::Completed);
                    return;
                }
            }
        }
    }

    fn miss(&mut self, number: u32) {
        let at = self.now;
        self.seen.push(Seen::Missed { number, at });
        self.connection.cancel(number);
        if let Some(job) = self.job(number) {
            job.cancelled = Some(at);
        }
        if self.setting.pictures == Pictures::H264 {
            let known = at + self.setting.trace.at(at).up.delay;
            self.events.add(known, Event::Gap(number));
        }
    }

    fn leave(&mut self, flowing: Flowing, by_server: bool) {
        self.left.push(Left {
            frame: flowing.frame,
            at: self.now,
            choice: flowing.choice,
            by_server,
            bytes: flowing.bytes,
        });
    }

    fn look_after(&mut self) {
        let now = self.now;
        self.events.add(now + LOOK, Event::KeepAlive);
        if !self.connected {
            return;
        }
        if now - self.connection.heard > IDLE {
            self.connected = false;
            self.seen.push(Seen::Disconnected);
            self.connection.reopen(now);
            self.encoder = Encoder::default();
            self.stream = Stream::default();
            self.jobs.clear();
            self.queue.clear();
            for flowing in &mut self.flow {
                if let Progress::Waiting { until } = &mut flowing.progress {
                    *until = now;
                }
            }
            self.turn();
            self.events.add(now + self.backoff, Event::Dial);
        } else if now - self.last_sent >= KEEP_ALIVE {
            self.last_sent = now;
            self.connection.ping();
            self.pump();
        }
    }

    fn dial(&mut self, trace: &Trace) {
        let (now, here) = (self.now, trace.at(self.now));
        if here.up.cut || here.down.cut || here.up.rate == 0 {
            self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
            self.events.add(now + self.backoff, Event::Dial);
            return;
        }
        // Two round trips with full packets: handshake, and the greeting of the session.
        let packets = Duration::from_secs_f64(4.0 * 1228.0 * 8.0 / here.up.rate as f64);
        let trips = (here.up.delay + here.down.delay) * 2;
        self.events.add(now + trips + packets, Event::Connected);
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
