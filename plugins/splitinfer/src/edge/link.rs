// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The way to the server and back: requests out, answers to the frames that wait for them, and whether the server can be
//! relied on.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use splitinfer_plan::{Advice, Change, Choice, Health, Round};
use splitinfer_wire::{Content, Hello, SendFrames, Status, Token, Version, Wants, WeightsEvent};

use super::crossing::Feedback;
use super::engine::Engine;
use super::flow::Flow;
use super::frame::{Answer, Found, ServerTimes};
use super::settings::Settings;
use super::streaming::Request;
use super::swap::{Origin, Task, Tasks};
use crate::net::address::ServerAddress;
use crate::net::client::{
    Body, Client, ClientConfig, ClientEvent, Failure, FrameReply, FrameRequest, LinkStats,
    WeightsOrder,
};
use crate::net::trust::Trust;

/// Largest result that is taken from a server: raw outputs of a large model fit, an attack does not.
pub(super) const MAX_RESULT_BYTES: u32 = 64 << 20;
/// Frames given up here are under way on the network a little longer; they must not block the ones after them.
const GIVEN_UP_IN_FLIGHT: usize = 8;
/// Requests and answers kept for the plan; more than can be under way.
const REMEMBERED: usize = 128;

/// Something to tell the application.
pub(super) enum Notice {
    /// The server was lost, and why.
    Lost(String),
    /// The server is back.
    Back(String),
    /// The server refuses this edge for good, and what to do about it.
    Refused(String),
}

pub(super) type Tell = Box<dyn Fn(Notice) + Send + Sync>;

/// The link of one started element. Dropping it closes it within bounded time.
pub(super) struct Link {
    client: Client,
    shared: Arc<Shared>,
    /// That the plan reckons with; bits of an `f64`, zero while it knows none.
    bandwidth: AtomicU64,
}

/// What the callback of the network thread and the element's threads share.
struct Shared {
    flow: Arc<Flow>,
    health: Mutex<Health>,
    tell: Tell,
    /// As the user named the server in use, or all of them while there is none.
    server: Mutex<String>,
    /// Requests whose answers would tell something, and what answers told since the plan last asked.
    sent: Mutex<VecDeque<Sent>>,
    news: Mutex<Vec<News>>,
    feedback: Mutex<Feedback>,
    /// Whether the server takes pictures as a video, and has not failed to read one.
    video: AtomicBool,
    /// Versions of the weights that the server has ready.
    versions: Mutex<Vec<u64>>,
    tasks: Tasks,
    model_picture: (u16, u16),
}

/// Something that the plan learns from.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    Answered(Round),
    /// A frame was not answered in time.
    GivenUp {
        number: u64,
        at: Instant,
    },
    /// A frame was completed here after all, in so long.
    Completed {
        choice: Choice,
        took: Duration,
    },
    Disconnected,
}

/// A request under way.
struct Sent {
    number: u64,
    choice: Choice,
    bytes: u64,
    alone: bool,
    /// Until when an answer is of use.
    deadline: Instant,
}

impl Link {
    /// Starts to connect, in the background. `None` when the settings name no server.
    ///
    /// # Errors
    /// When the address, or what says whom to trust, cannot be used.
    pub(super) fn open(
        settings: &Settings,
        engine: &Engine,
        flow: Arc<Flow>,
        tell: Tell,
        tasks: Tasks,
    ) -> Result<Option<Self>, gst::ErrorMessage> {
        let Some(list) = &settings.server else {
            return Ok(None);
        };
        let servers = ServerAddress::parse_list(list).map_err(|e| {
            gst::error_msg!(gst::ResourceError::Settings, ("property 'server': {e}"))
        })?;
        let input = &engine.info.input;
        let shared = Arc::new(Shared {
            flow,
            health: Mutex::default(),
            tell,
            server: Mutex::new(list.clone()),
            sent: Mutex::default(),
            news: Mutex::default(),
            feedback: Mutex::default(),
            video: AtomicBool::new(false),
            versions: Mutex::default(),
            tasks,
            model_picture: (
                u16::try_from(input.width).unwrap_or(u16::MAX),
                u16::try_from(input.height).unwrap_or(u16::MAX),
            ),
        });
        let config = ClientConfig {
            servers,
            trust: trust(settings),
            hello: hello(engine),
            model: model_source(engine),
            max_in_flight: settings.max_in_flight + GIVEN_UP_IN_FLIGHT,
        };
        let for_events = Arc::clone(&shared);
        let client = Client::start(config, Box::new(move |event| for_events.on_event(event)))
            .map_err(|e| gst::error_msg!(gst::ResourceError::Settings, ("{e}")))?;
        Ok(Some(Self {
            client,
            shared,
            bandwidth: AtomicU64::new(0),
        }))
    }

    pub(super) fn advice(&self, now: Instant) -> Advice {
        self.shared.health.lock().unwrap().advice(now)
    }

    /// Whether the server can complete frames that were begun with this version.
    pub(super) fn has_version(&self, version: u64) -> bool {
        self.shared.versions.lock().unwrap().contains(&version)
    }

    pub(super) fn takes_video(&self) -> bool {
        self.shared.video.load(Ordering::Relaxed)
    }

    /// The newest version that the server has ready; `None` without a session.
    pub(super) fn newest_version(&self) -> Option<u64> {
        self.shared.versions.lock().unwrap().last().copied()
    }

    /// Nothing is done without a session.
    pub(super) fn order_weights(&self, order: WeightsOrder) {
        if let WeightsOrder::Retire { below } = &order {
            self.shared.versions.lock().unwrap().retain(|v| v >= below);
        }
        self.client.order_weights(order);
    }

    /// Sends what a frame needs done. The frame is in the queue by now; if the request cannot be sent, it learns so.
    pub(super) fn send(&self, number: u64, request: Request) {
        self.shared.remember(Sent {
            number,
            choice: request.choice,
            bytes: request.payload.len() as u64,
            alone: request.alone,
            deadline: request.deadline,
        });
        let sent = self.client.send(FrameRequest {
            number,
            content: match request.choice {
                Choice::Candidate(i) => Content::Candidate(u16::try_from(i).unwrap_or(u16::MAX)),
                Choice::Video => Content::Video,
                Choice::Picture | Choice::Here => Content::Picture,
            },
            model_version: request.model_version,
            pts_ns: request.pts_ns,
            deadline: request.expires,
            placement: request.placement,
            picture_size: self.shared.model_picture,
            payload: request.payload,
            attachment: Vec::new(),
        });
        if !sent {
            self.shared.forget(number);
            self.shared.flow.answer(number, Answer::Failed);
        }
    }

    /// A frame was not answered in time; its answer is not wanted any more.
    pub(super) fn missed(&self, number: u64, now: Instant) {
        // The pictures behind it need it.
        if self.shared.choice(number) != Some(Choice::Video) {
            self.client.cancel(number);
        }
        self.shared.tell_plan(News::GivenUp { number, at: now });
        let change = self.shared.health.lock().unwrap().missed(now);
        self.shared.announce(change, "does not answer in time");
    }

    /// A frame that was not answered in time has been completed here.
    pub(super) fn completed(&self, choice: Choice, took: Duration) {
        self.shared.tell_plan(News::Completed { choice, took });
    }

    /// What happened since the last call.
    pub(super) fn take_news(&self) -> Vec<News> {
        std::mem::take(&mut self.shared.news.lock().unwrap())
    }

    /// What the server has decoded, or lost, since the last call.
    pub(super) fn take_feedback(&self) -> Feedback {
        std::mem::take(&mut self.shared.feedback.lock().unwrap())
    }

    pub(super) fn stats(&self) -> LinkStats {
        self.client.stats()
    }

    /// What the plan reckons with, bytes of payload a second, for `stats`.
    pub(super) fn tell_bandwidth(&self, rate: Option<f64>) {
        let bits = rate.unwrap_or_default().to_bits();
        self.bandwidth.store(bits, Ordering::Relaxed);
    }

    pub(super) fn bandwidth(&self) -> f64 {
        f64::from_bits(self.bandwidth.load(Ordering::Relaxed))
    }

    pub(super) fn server(&self) -> String {
        self.shared.server.lock().unwrap().clone()
    }
}

impl Shared {
    /// On the network thread.
    fn on_event(&self, event: ClientEvent) {
        match event {
            ClientEvent::Connected {
                server,
                peer,
                welcome,
            } => {
                gst::info!(
                    super::imp::CAT,
                    "session {} with {} at {peer}",
                    welcome.session_id,
                    welcome.server
                );
                *self.server.lock().unwrap() = server.to_string();
                self.video.store(welcome.video, Ordering::Relaxed);
                let mut feedback = self.feedback.lock().unwrap();
                feedback.lost();
                feedback.video_lost(u64::MAX);
                drop(feedback);
                *self.versions.lock().unwrap() = vec![0];
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
            ClientEvent::Result(reply) => self.on_result(reply),
            ClientEvent::Weights(event) => self.on_weights(event),
            ClientEvent::Failed { number, reason } => {
                self.failed(number, &reason);
                if self.flow.answer(number, Answer::Failed) {
                    gst::debug!(
                        super::imp::CAT,
                        "frame {number} failed on the server: {reason}"
                    );
                }
            }
        }
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
                gst::warning!(super::imp::CAT, "no more pictures as video: {reason}");
            }
            Some(Sent {
                choice: Choice::Video,
                ..
            }) => {}
            _ if status == Some(Status::NoReference) => self.feedback.lock().unwrap().lost(),
            _ => {}
        }
    }

    /// Of a frame that was sent and has not been heard of.
    fn choice(&self, number: u64) -> Option<Choice> {
        let sent = self.sent.lock().unwrap();
        sent.iter().find(|s| s.number == number).map(|s| s.choice)
    }

    /// The server does not have this frame.
    fn forget(&self, number: u64) -> Option<Sent> {
        let sent = self.take_sent(number)?;
        if sent.choice == Choice::Video {
            self.feedback.lock().unwrap().video_lost(number);
        }
        Some(sent)
    }

    fn take_sent(&self, number: u64) -> Option<Sent> {
        let mut all = self.sent.lock().unwrap();
        let at = all.iter().position(|s| s.number == number)?;
        all.remove(at)
    }

    /// There is no session, and nothing of the last one is left on the server.
    fn gone(&self) {
        self.versions.lock().unwrap().clear();
        self.tell_plan(News::Disconnected);
        self.tasks.tell(Task::Disconnected);
    }

    fn on_weights(&self, event: WeightsEvent) {
        match event {
            WeightsEvent::Received { version, update } => {
                if !self.tasks.update(update, Origin::Server) {
                    gst::warning!(
                        super::imp::CAT,
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
        self.feedback.lock().unwrap().decoded(number);
        let server = ServerTimes {
            queue: reply.queued,
            decode: reply.decoding,
            compute: reply.computing,
        };
        let taken = reply.round;
        let sent = self.take_sent(number);
        let in_time = sent.as_ref().is_none_or(|s| Instant::now() <= s.deadline);
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
        };
        self.flow.answer(number, answer);
        // Else it was a picture of a video, which is of use to those after it longer than its answer is.
        if !in_time {
            return;
        }
        if let Some(sent) = sent {
            self.learn(&sent, taken, server);
        }
        let change = self.health.lock().unwrap().answered();
        self.announce(change, "");
    }

    fn remember(&self, sent: Sent) {
        let mut all = self.sent.lock().unwrap();
        all.push_back(sent);
        if all.len() > REMEMBERED {
            all.pop_front();
        }
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

    fn tell_plan(&self, news: News) {
        let mut all = self.news.lock().unwrap();
        if all.len() < REMEMBERED {
            all.push(news);
        }
    }

    fn announce(&self, change: Option<Change>, reason: &str) {
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

fn trust(settings: &Settings) -> Trust {
    let path = |file: &Option<String>| file.as_ref().map(PathBuf::from);
    Trust {
        ca_file: path(&settings.ca_file),
        fingerprint: settings.server_fingerprint.clone(),
        token: settings.auth_token.clone(),
        certificate_file: path(&settings.certificate_file),
        private_key_file: path(&settings.private_key_file),
    }
}

/// How the edge introduces itself.
fn hello(engine: &Engine) -> Hello {
    let shape = engine.info.input.shape();
    Hello {
        version: Version::OURS,
        agent: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).into(),
        token: Token::default(),
        model_hash: engine.model.hash(),
        model_size: engine.model.to_bytes().len() as u64,
        sidecar: engine.info.to_text(),
        input_name: engine.info.input.name.clone(),
        input_shape: shape
            .iter()
            .map(|d| u32::try_from(*d).unwrap_or(u32::MAX))
            .collect(),
        candidates: engine
            .candidates()
            .iter()
            .map(|cut| cut.tensors.iter().map(|t| t.name.clone()).collect())
            .collect(),
        wants: if engine.is_raw() {
            Wants::Tensors
        } else {
            Wants::Objects
        },
        send_frames: SendFrames::Never,
        max_result_bytes: MAX_RESULT_BYTES,
    }
}

/// The bytes of the model, should the server not have it.
fn model_source(engine: &Engine) -> Arc<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync> {
    let model = engine.model.clone();
    Arc::new(move || Ok(model.to_bytes()))
}
