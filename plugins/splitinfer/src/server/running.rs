// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The two stages of a server that has started: what READY has loaded, and what serves from PAUSED on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::ServerElement;
use super::backlog::Backlog;
use super::models::Models;
use super::pads::Pads;
use super::service::{Figures, QUEUED_PER_CLIENT, Served, Serving};
use super::settings::Settings;
use super::timing::{Runs, Utilisation};
use super::versions::SharedVersions;
use super::worker;
use crate::net::identity::Identity;
use crate::net::server::{FairQueue, ListenError, Listener, ListenerConfig, local_address};
use splitinfer_video::VideoDecoder;

/// Frames of one edge on their way, all told.
const MAX_IN_FLIGHT: u32 = 32;

/// Of a model that an edge uploads.
const MAX_MODEL_BYTES: u64 = 512 << 20;

/// Workers that are in the middle of a frame are waited for; a model run that takes longer is left to end by itself.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// What the element has in READY.
pub struct Loaded {
    pub models: Arc<Models>,
    pub identity: Identity,
}

impl Loaded {
    /// # Errors
    /// When ONNX Runtime, a model or the certificate cannot be had; says which and what to do.
    pub fn new(settings: &Settings) -> Result<Self, gst::ErrorMessage> {
        splitinfer_inference::load_library("splitinfer")
            .map_err(|e| gst::error_msg!(gst::LibraryError::Init, ("{e}")))?;
        let models = Models::load(&settings.models(), settings.session_options()).map_err(|e| {
            gst::error_msg!(gst::ResourceError::NotFound, ("property 'model': {e}"))
        })?;
        if models.len() == 0 && !settings.takes_models() {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ("no edge can be served: set model to the ONNX files edges may use, or accept-models=true to take \
                     them from the edges")
            ));
        }
        let path = |p: &Option<String>| p.as_ref().map(PathBuf::from);
        let identity = Identity::choose(
            path(&settings.certificate_file).as_deref(),
            path(&settings.private_key_file).as_deref(),
        )
        .map_err(|e| gst::error_msg!(gst::ResourceError::Settings, ("{e}")))?;
        Ok(Self {
            models: Arc::new(models),
            identity,
        })
    }
}

/// What the element has in PAUSED and PLAYING.
pub struct Running {
    pub listener: Listener,
    pub serving: Arc<Serving>,
    workers: Workers,
}

impl Running {
    /// # Errors
    /// When the address cannot be listened on; says which and what to do.
    pub fn new(
        settings: &Settings,
        loaded: &Loaded,
        element: &ServerElement,
    ) -> Result<Self, gst::ErrorMessage> {
        let address = local_address(&settings.address, settings.port).map_err(|e| {
            gst::error_msg!(gst::ResourceError::Settings, ("property 'address': {e}"))
        })?;
        let queue = Arc::new(FairQueue::new(QUEUED_PER_CLIENT));
        let count = settings.workers();
        let serving = Arc::new(Serving {
            models: loaded.models.clone(),
            versions: SharedVersions::default(),
            accept_models: settings.takes_models(),
            pads: Arc::new(Pads::default()),
            queue: queue.clone(),
            backlog: Backlog::default(),
            utilisation: Utilisation::new(count, Instant::now()),
            policy: settings.policy(),
            together: Runs::default(),
            totals: Figures::default(),
            max_tensor_bytes: settings.max_tensor_bytes as usize,
            element: element.downgrade(),
            sessions: Mutex::default(),
        });
        let config = ListenerConfig {
            address,
            monitor_port: settings.monitor_port,
            identity: loaded.identity.clone(),
            client_ca: settings
                .client_ca_file
                .as_deref()
                .map(Path::new)
                .map(Path::to_path_buf),
            token: settings.auth_token.clone(),
            name: format!("splitinfer-server {}", env!("CARGO_PKG_VERSION")),
            max_clients: settings.max_clients as usize,
            max_in_flight: MAX_IN_FLIGHT,
            max_frame_bytes: settings.max_tensor_bytes,
            max_model_bytes: MAX_MODEL_BYTES,
            video: settings.accept_video && VideoDecoder::works(),
        };
        let listener =
            Listener::start(config, serving.clone(), queue).map_err(|e| listen_error(&e))?;
        let workers = Workers::start(count, &serving)
            .map_err(|e| gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("no thread: {e}")))?;
        Ok(Self {
            listener,
            serving,
            workers,
        })
    }

    /// Ends service within bounded time; the pads are still there.
    pub fn stop(&mut self) {
        self.listener.close();
        self.serving.queue.close();
        self.serving.pads.close();
        self.workers.join(STOP_LIMIT);
    }

    pub fn stats(&self) -> gst::Structure {
        let served = self.serving.served();
        let clients = self.listener.connections().into_iter().map(|connection| {
            let client = &connection.client;
            let mut structure = gst::Structure::builder("client")
                .field("client", client.id)
                .field("peer", client.peer.to_string())
                .field("agent", &client.agent)
                .field("rtt-ms", connection.rtt.as_secs_f64() * 1e3)
                .field("sent-bytes", connection.sent_bytes)
                .field("received-bytes", connection.received_bytes)
                .field("lost-packets", connection.lost_packets)
                .build();
            if let Some(session) = served.iter().find(|s| s.client.id == client.id) {
                describe(session, &mut structure);
            }
            structure.to_send_value()
        });
        let mut stats = gst::Structure::builder("stats")
            .field("clients", gst::Array::from_values(clients))
            .field("queue", self.serving.queue.len() as u64)
            .field(
                "utilisation",
                f64::from(self.serving.utilisation.permille(Instant::now())) / 1e3,
            )
            .build();
        let (runs, frames) = self.serving.together.totals();
        stats.set("runs", runs);
        stats.set("computed-frames", frames);
        for (name, value) in self.serving.totals.fields() {
            stats.set_value(name, value);
        }
        if let Ok(Some((port, figures))) = self.listener.monitor() {
            let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
            stats.set("monitor-port", u32::from(port));
            stats.set("monitor-sessions", get(&figures.sessions));
            stats.set("monitor-datagrams", get(&figures.datagrams));
            stats.set("monitor-replies", get(&figures.replies));
        }
        stats
    }
}

fn describe(session: &Served, structure: &mut gst::Structure) {
    structure.set("model", &session.subject.name);
    structure.set("model-version", session.versions.in_use());
    structure.set("ready-versions", session.versions.ready() as u64);
    structure.set("held-pictures", session.video.held() as u64);
    structure.set("seconds", session.since.elapsed().as_secs_f64());
    if let Some(outlet) = &session.outlet {
        structure.set("pad", outlet.pad_name());
    }
    for (name, value) in session.figures.fields() {
        structure.set_value(name, value);
    }
}

fn listen_error(error: &ListenError) -> gst::ErrorMessage {
    match error {
        ListenError::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
            gst::error_msg!(gst::ResourceError::Busy, ("{error}"))
        }
        ListenError::Bind { .. } | ListenError::Thread(_) => {
            gst::error_msg!(gst::ResourceError::OpenReadWrite, ("{error}"))
        }
        ListenError::Open(_) | ListenError::Trust(_) => {
            gst::error_msg!(gst::ResourceError::Settings, ("{error}"))
        }
    }
}

/// The threads that compute.
struct Workers(Vec<JoinHandle<()>>);

impl Workers {
    fn start(count: usize, serving: &Arc<Serving>) -> std::io::Result<Self> {
        worker::start(count, serving)
            .map(Self)
            .inspect_err(|_| serving.queue.close())
    }

    /// Waits for those that end in time. The queue is closed by now.
    fn join(&mut self, limit: Duration) {
        let until = Instant::now() + limit;
        for worker in self.0.drain(..) {
            while !worker.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(2));
            }
            if worker.is_finished() {
                let _ = worker.join();
            }
        }
    }
}
