// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the element makes of the network's clients: sessions with models, pads, messages and figures.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gst::glib;
use gst::prelude::*;
use splitinfer_wire::{
    Content, FrameHeader, Hello, Load, REPORT_BIT, RefuseCode, SendFrames, Wants, WeightsEvent,
};

use super::ServerElement;
use super::backlog::Backlog;
use super::in_order::InOrder;
use super::models::{Models, Prepared, Subject, short};
use super::pads::{Outlet, Pads, Source, Told};
use super::station::{Policy, Station};
use super::timing::{Runs, Smoothed, Utilisation};
use super::versions::{EdgeVersions, SharedVersions};
use super::video::Video;
use super::weights;
use crate::net::server::{
    ClientId, ClientInfo, Decision, FairQueue, Forecast, Job, Outbox, Refusal, Report, Service,
    WeightsRefusal,
};

/// Frames of one edge that may wait for a worker.
pub const QUEUED_PER_CLIENT: usize = 16;

/// To find out whether frames are better computed together, while frames wait already, takes a tenth of the time.
const FIND_OUT_REST: u32 = 9;

/// Waits for so long, while it is of use; whether it still is.
fn rest(time: Duration, of_use: impl Fn() -> bool) -> bool {
    const STEP: Duration = Duration::from_millis(20);
    let until = Instant::now() + time;
    while of_use() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(STEP));
    }
    false
}

/// One edge that is being served.
pub struct Served {
    pub client: ClientInfo,
    pub subject: Arc<Subject>,
    pub versions: EdgeVersions,
    pub video: Video,
    pub wants: Wants,
    pub figures: Figures,
    pub since: Instant,
    /// Where its results go in the pipeline; none if no pad could be added.
    pub outlet: Option<Outlet>,
    /// The way to it, once its session is open.
    pub outbox: OnceLock<Outbox>,
    /// The edge tells of its frames itself: what it says, and not what it was answered, goes to the outlet.
    pub reports: bool,
    /// Frames for the outlet.
    pub told: Mutex<InOrder<Told>>,
    pads: Weak<Pads>,
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(pads) = self.pads.upgrade() {
            pads.give_back(self.client.id);
        }
    }
}

impl Served {
    /// The frame that the outlet is told of when the one of this number has ended.
    fn shown(&self, number: u64) -> Option<u64> {
        let report = number & REPORT_BIT != 0;
        (report == self.reports).then_some(number & !REPORT_BIT)
    }
}

/// Counters of one edge, or of all.
#[derive(Default)]
pub struct Figures {
    pub results: AtomicU64,
    /// Of these, those to a part of the payload.
    pub incomplete: AtomicU64,
    pub failures: AtomicU64,
    /// Too late, or given up by their edge.
    pub dropped: AtomicU64,
    /// Their edges had the result sooner by themselves.
    pub refused: AtomicU64,
    pub payload_bytes: AtomicU64,
    pub queue_us: AtomicU64,
    pub compute_us: AtomicU64,
}

impl Figures {
    /// `payload`: bytes that came; `missing`: that did not.
    pub fn result(&self, payload: usize, missing: usize, queue: Duration, compute: Duration) {
        self.results.fetch_add(1, Ordering::Relaxed);
        self.incomplete
            .fetch_add(u64::from(missing > 0), Ordering::Relaxed);
        self.payload_bytes
            .fetch_add(payload as u64, Ordering::Relaxed);
        self.queue_us
            .fetch_add(queue.as_micros() as u64, Ordering::Relaxed);
        self.compute_us
            .fetch_add(compute.as_micros() as u64, Ordering::Relaxed);
    }

    /// Fields for a `stats` structure.
    pub fn fields(&self) -> Vec<(&'static str, glib::SendValue)> {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let results = get(&self.results);
        let mean_ms = |n: &AtomicU64| match results {
            0 => 0.0,
            results => get(n) as f64 / 1e3 / results as f64,
        };
        vec![
            ("results", results.to_send_value()),
            ("incomplete", get(&self.incomplete).to_send_value()),
            ("failures", get(&self.failures).to_send_value()),
            ("dropped", get(&self.dropped).to_send_value()),
            ("refused", get(&self.refused).to_send_value()),
            ("payload-bytes", get(&self.payload_bytes).to_send_value()),
            ("mean-queue-ms", mean_ms(&self.queue_us).to_send_value()),
            ("mean-compute-ms", mean_ms(&self.compute_us).to_send_value()),
        ]
    }
}

/// Shared by the network, the workers and the element.
pub struct Serving {
    pub models: Arc<Models>,
    pub versions: SharedVersions,
    pub accept_models: bool,
    pub pads: Arc<Pads>,
    pub queue: Arc<FairQueue<Job<Served>>>,
    pub backlog: Backlog,
    pub utilisation: Utilisation,
    pub policy: Policy,
    pub together: Runs,
    pub totals: Figures,
    pub max_tensor_bytes: usize,
    pub element: glib::WeakRef<ServerElement>,
    pub sessions: Mutex<Vec<(ClientId, Weak<Served>)>>,
}

impl Serving {
    /// The edges that have a session now.
    pub fn served(&self) -> Vec<Arc<Served>> {
        let sessions = self.sessions.lock().unwrap();
        sessions.iter().filter_map(|(_, s)| s.upgrade()).collect()
    }

    /// How many of them use this model.
    pub fn edges_of(&self, subject: &Arc<Subject>) -> usize {
        let served = self.served();
        let same = served.iter().filter(|s| Arc::ptr_eq(&s.subject, subject));
        same.count()
    }

    /// Frames have met at this station: where they are of several edges, a thread of its own finds out, once, whether they
    /// are to be computed together.
    pub fn consider_company(&self, prepared: &Arc<Prepared>, station: &Station) {
        let several = || self.policy.most > 1 && self.edges_of(&prepared.subject) > 1;
        if station.is_decided() || !several() || !station.should_find_out() {
            return;
        }
        let (prepared, most, cut) = (prepared.clone(), self.policy.most, station.cut());
        let queue = self.queue.clone();
        let thread = std::thread::Builder::new().name("splitinfer-batch".to_owned());
        let started = thread.spawn(move || {
            let subject = &prepared.subject;
            let place = cut.map_or("", |cut| prepared.split.candidates()[cut].name.as_str());
            let rest = |took: Duration| rest(took * FIND_OUT_REST, || !queue.is_closed());
            let station = prepared.station(cut);
            let found = station.find_out(&prepared.split, most, rest);
            gst::info!(
                super::CAT,
                "{} from '{place}': computing frames together {found}",
                subject.name
            );
        });
        if let Err(e) = started {
            gst::warning!(super::CAT, "no thread: {e}");
        }
    }

    fn post(&self, client: &ClientInfo, event: &str, more: &[(&str, glib::SendValue)]) {
        let Some(element) = self.element.upgrade() else {
            return;
        };
        let mut structure = gst::Structure::builder("splitinfer-client")
            .field("event", event)
            .field("client", client.id)
            .field("peer", client.peer.to_string())
            .field("agent", &client.agent)
            .build();
        for (name, value) in more {
            structure.set_value(*name, value.clone());
        }
        let message = gst::message::Element::builder(structure)
            .src(&element)
            .build();
        let _ = element.post_message(message);
    }
}

impl Service for Serving {
    type Session = Served;

    fn decide(&self, hello: &Hello) -> Decision {
        if self.models.has(&hello.model_hash) {
            return Decision::Open;
        }
        if self.accept_models {
            return Decision::Upload;
        }
        Decision::Refuse(Refusal {
            code: RefuseCode::ModelUnknown,
            text: format!(
                "the model {} is not among the {} this server has: add it to the server's model property, or set \
                 accept-models=true there",
                short(&hello.model_hash),
                self.models.len()
            ),
        })
    }

    fn open(
        &self,
        client: &ClientInfo,
        hello: &Hello,
        model: Option<Bytes>,
    ) -> Result<Arc<Served>, Refusal> {
        let prepared = self.models.prepare(hello, model.as_ref())?;
        let element = self.element.upgrade();
        let outlet = element.and_then(|element| {
            let source = Source {
                peer: client.peer.to_string(),
                pictures: match hello.has_reports() {
                    true => hello.send_frames,
                    false => SendFrames::Never,
                },
                subject: Some(prepared.subject.clone()),
            };
            let ip = client.peer.ip();
            let pad = self.pads.take(&element, client.id, ip, source);
            pad.inspect_err(|e| gst::warning!(super::CAT, obj = element, "{e}"))
                .ok()
        });
        Ok(Arc::new(Served {
            client: client.clone(),
            subject: prepared.subject.clone(),
            versions: EdgeVersions::new(prepared),
            video: Video::default(),
            wants: hello.wants,
            figures: Figures::default(),
            since: Instant::now(),
            outlet,
            outbox: OnceLock::new(),
            reports: hello.has_reports(),
            told: Mutex::default(),
            pads: Arc::downgrade(&self.pads),
        }))
    }

    fn opened(&self, client: &ClientInfo, session: &Arc<Served>, outbox: Outbox) {
        let _ = session.outbox.set(outbox);
        let entry = (client.id, Arc::downgrade(session));
        self.sessions.lock().unwrap().push(entry);
        let pad = session.outlet.as_ref().map(Outlet::pad_name);
        self.post(
            client,
            "connected",
            &[
                ("model", session.subject.name.to_send_value()),
                ("pad", pad.to_send_value()),
            ],
        );
    }

    fn closed(&self, client: &ClientInfo, reason: &str) {
        let mut sessions = self.sessions.lock().unwrap();
        let left = sessions.iter().filter(|(id, _)| *id == client.id);
        let left: Vec<_> = left.filter_map(|(_, session)| session.upgrade()).collect();
        sessions.retain(|(id, _)| *id != client.id);
        drop(sessions);
        left.iter().for_each(|session| session.video.close());
        self.post(
            client,
            "disconnected",
            &[("reason", reason.to_send_value())],
        );
    }

    fn admit(
        &self,
        client: ClientId,
        session: &Served,
        header: &FrameHeader,
    ) -> Result<Forecast, Duration> {
        let candidate = match header.content {
            Content::Candidate(candidate) => Some(usize::from(candidate)),
            _ => None,
        };
        let micros = |us: u32| Duration::from_micros(us.into());
        let queued = self.queue.ahead_of(client, |job| job.forecast.work);
        let forecast = Forecast {
            ahead: self.backlog.ahead(queued, self.together.mean()),
            work: micros(session.subject.timing(candidate).micros()),
        };
        let longest = header.longest_us.map(micros);
        let admitted = self.backlog.admit(forecast, longest);
        if admitted.is_err() {
            for figures in [&session.figures, &self.totals] {
                figures.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        admitted
    }

    fn frame_begun(&self, session: &Served, number: u64) {
        if let Some(frame) = session.shown(number) {
            session.told.lock().unwrap().begin(frame);
        }
    }

    fn frame_ended(&self, session: &Served, number: u64) {
        let Some(frame) = session.shown(number) else {
            return;
        };
        let told = session.told.lock().unwrap().end(frame);
        let (Some(outlet), Some(element)) = (&session.outlet, self.element.upgrade()) else {
            return;
        };
        for told in told {
            outlet.push(told, element.current_running_time());
        }
    }

    fn reported(&self, session: &Served, report: Report) {
        if session.outlet.as_ref().is_some_and(Outlet::is_linked) {
            let (frame, told) = (report.frame, Told::Report(report));
            let bytes = told.bytes();
            session.told.lock().unwrap().hold(frame, told, bytes);
        }
    }

    fn load(&self, session: &Served) -> Load {
        let timings = &session.subject.timings;
        let slowness = self.backlog.slowness();
        let time = |time: &Smoothed| (f64::from(time.micros()) * slowness) as u32;
        Load {
            queue: self.together.of(self.queue.len() + self.backlog.ready()),
            utilisation_permille: self.utilisation.permille(Instant::now()),
            whole_us: time(&timings.whole),
            tail_us: timings.tails.iter().map(time).collect(),
        }
    }

    fn take_weights(
        &self,
        session: &Arc<Served>,
        version: u64,
        update: &Bytes,
    ) -> Result<(), WeightsRefusal> {
        weights::take(self, session, version, update)
    }

    fn retire_weights(&self, session: &Served, below: u64) {
        session.versions.retire(below);
    }

    fn weights_answered(&self, client: &ClientInfo, session: &Served, event: &WeightsEvent) {
        weights::answered(self, client, session, event);
    }

    fn note(&self, text: &str) {
        gst::info!(super::CAT, "{text}");
    }
}
