// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The way to the server and back: requests out, answers to the frames that wait for them, and whether the server can be
//! relied on.

mod opening;
mod reports;
mod sent;
mod shared;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use splitinfer_plan::{Advice, Choice, Round};
use splitinfer_wire::{Content, REPORT_BIT};

use super::SendFrames;
use super::crossing::Feedback;
use super::engine::Engine;
use super::flow::Flow;
use super::frame::Answer;
use super::job::Request;
use super::settings::Settings;
use super::swap::Tasks;
use crate::net::address::ServerAddress;
use crate::net::client::{Client, ClientConfig, FrameRequest, LinkStats, WeightsOrder};
pub(super) use reports::Report;
use reports::Reports;
use sent::Sent;
use shared::Shared;

/// Largest result that is taken from a server: raw outputs of a large model fit, an attack does not.
pub(super) const MAX_RESULT_BYTES: u32 = 64 << 20;
/// Frames given up here are under way on the network a little longer; they must not block the ones after them.
const GIVEN_UP_IN_FLIGHT: usize = 8;

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

/// Something that the plan learns from.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    Answered(Round),
    /// To a part of its payload: the server spent `there` on it, and the answer came `after` the time that it was given to
    /// wait for more.
    AnsweredInPart {
        number: u64,
        choice: Choice,
        there: Duration,
        after: Duration,
        at: Instant,
    },
    /// The server had too much to do, and said so at once.
    Refused {
        number: u64,
        /// From sending to that answer.
        taken: Duration,
        /// How long it would have waited there.
        queue: Duration,
        at: Instant,
    },
    /// A frame that stood alone was too late for its answer, and the server has it.
    Decoded(Choice),
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
            newest: Mutex::default(),
            video: AtomicBool::new(false),
            keeps_each_candidate: AtomicBool::new(false),
            versions: Mutex::default(),
            reports: Reports::default(),
            unasked: match settings.send_frames {
                SendFrames::Never => None,
                SendFrames::OnRequest => Some(0),
                SendFrames::Always => Some(1),
            },
            tasks,
            model_picture: (
                u16::try_from(input.width).unwrap_or(u16::MAX),
                u16::try_from(input.height).unwrap_or(u16::MAX),
            ),
        });
        let config = ClientConfig {
            servers,
            trust: opening::trust(settings),
            hello: opening::hello(engine, settings),
            model: engine.file.source(),
            max_in_flight: settings.max_in_flight
                + GIVEN_UP_IN_FLIGHT
                + match settings.send_frames {
                    SendFrames::Never => 0,
                    SendFrames::OnRequest | SendFrames::Always => reports::MOST,
                },
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

    /// `asked`: the plan wants to know how the link is.
    pub(super) fn advice(&self, asked: bool, now: Instant) -> Advice {
        self.shared.health.lock().unwrap().advice(asked, now)
    }

    /// Whether the server can complete frames that were begun with this version.
    pub(super) fn has_version(&self, version: u64) -> bool {
        self.shared.versions.lock().unwrap().contains(&version)
    }

    pub(super) fn takes_video(&self) -> bool {
        self.shared.video.load(Ordering::Relaxed)
    }

    pub(super) fn keeps_each_candidate(&self) -> bool {
        self.shared.keeps_each_candidate.load(Ordering::Relaxed)
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
        let mut requests = self.shared.sent.lock().unwrap();
        // One of them is enough: the others would only be in its way.
        let expires = match request.choice {
            Choice::Candidate(_) if requests.has_root(Instant::now()) => request.deadline,
            _ => request.expires,
        };
        requests.add(Sent {
            number,
            choice: request.choice,
            bytes: request.payload.len() as u64,
            alone: request.alone,
            deadline: request.deadline,
            expires,
        });
        drop(requests);
        let sent = self.client.send(FrameRequest {
            number,
            content: match request.choice {
                Choice::Candidate(i) => Content::Candidate(u16::try_from(i).unwrap_or(u16::MAX)),
                Choice::Video => Content::Video,
                Choice::Picture | Choice::Here => Content::Picture,
            },
            model_version: request.model_version,
            pts_ns: request.pts_ns,
            deadline: expires,
            placement: request.placement,
            picture_size: self.shared.model_picture,
            payload: request.payload,
            attachment: Vec::new(),
            attachment_rate: None,
            patience: request.patience,
            longest: request.longest,
        });
        if !sent {
            self.shared.forget(number);
            self.shared.flow.answer(number, Answer::Failed);
        }
    }

    /// Whether the server's pipeline is told of frames.
    pub(super) fn takes_reports(&self) -> bool {
        self.shared.reports.are_taken()
    }

    /// Whether a picture of this frame should go with its report.
    pub(super) fn picture_due(&self, frame: u64) -> bool {
        self.shared.reports.picture_due(frame)
    }

    /// Tells the server's pipeline of a frame; `false` where the network does not take it.
    pub(super) fn report(&self, report: Report) -> bool {
        let number = report.frame | REPORT_BIT;
        if !self
            .shared
            .reports
            .begin(number, !report.picture.is_empty())
        {
            return false;
        }
        let (width, height) = (f32::from(report.size.0), f32::from(report.size.1));
        let sent = self.client.send(FrameRequest {
            number,
            content: Content::Report,
            model_version: report.model_version,
            pts_ns: report.pts_ns,
            deadline: Instant::now() + reports::LIFE,
            placement: [1.0, 1.0, 0.0, 0.0, width, height],
            picture_size: report.size,
            payload: report.result.into_bytes(),
            attachment: report.picture,
            patience: None,
            longest: None,
            attachment_rate: reports::picture_rate(self.bandwidth()),
        });
        if !sent {
            self.shared.reports.ended(number);
        }
        sent
    }

    /// A frame was not answered in time; its answer is not wanted any more.
    pub(super) fn missed(&self, number: u64, now: Instant) {
        // Those behind it may need it.
        if !self.shared.lives_on(number) {
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
