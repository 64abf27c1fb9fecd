// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The server's side: takes connections, opens sessions, and brings frames to whoever computes and answers back.
//!
//! A [`Listener`] owns one thread for everything that waits for the network. It knows nothing of models: a [`Service`]
//! decides about them, and frames go as [`Job`]s into a [`FairQueue`] that workers empty. What a client can make the
//! server hold, and for how long, is bounded before its first byte is read.

mod accept;
mod client;
mod frame;
mod incoming;
mod monitor;
mod restarted;
mod weights;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::Connection;
use splitinfer_wire::{
    FrameHeader, Hello, Load, RefuseCode, Status, Token, WeightsCode, WeightsEvent, WireObject,
};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Semaphore, oneshot, watch};

pub use super::fair_queue::{ClientId, FairQueue};
use super::identity::Identity;
use super::transport;
use super::trust::{TrustError, server_config};
use monitor::{Monitor, MonitorFigures};

/// [`Listener::close`] and drop end within this time.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Models are read and prepared here, so that sessions that are open go on.
const BLOCKING_THREADS: usize = 4;

/// Of these threads, those that may prepare new weights: the others are for edges that come.
const PREPARING: usize = 2;

/// Where to listen, for whom, and how much of it.
pub struct ListenerConfig {
    pub address: SocketAddr,
    /// Of the UDP monitor, at the same address; 0: any free one, `None`: no monitor.
    pub monitor_port: Option<u16>,
    pub identity: Identity,
    /// Authorities that sign the certificates of edges.
    pub client_ca: Option<PathBuf>,
    /// Secret that edges must show.
    pub token: Option<String>,
    /// Program and version, told to admitted edges.
    pub name: String,
    pub max_clients: usize,
    /// Frames of one edge at once.
    pub max_in_flight: u32,
    /// Payload and attached picture of one frame.
    pub max_frame_bytes: u32,
    /// Of a model that an edge uploads.
    pub max_model_bytes: u64,
    /// Whether pictures may come as a video.
    pub video: bool,
}

/// Why the listener cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "the address {0} can be reached from other machines, so edges must be told apart: set auth-token or \
         client-ca-file, or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    #[error("cannot listen on UDP {address}: {source}{}", hint(source))]
    Bind {
        address: SocketAddr,
        source: io::Error,
    },
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("the network thread cannot be started: {0}")]
    Thread(#[source] io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has this port, choose another one",
        io::ErrorKind::AddrNotAvailable => {
            "; no network interface of this machine has this address"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges",
        _ => "",
    }
}

/// An edge with a session, or on the way to one.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    pub id: ClientId,
    pub peer: SocketAddr,
    /// What it calls itself.
    pub agent: String,
}

/// No session, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: RefuseCode,
    /// For humans.
    pub text: String,
}

/// No new weights, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsRefusal {
    pub code: WeightsCode,
    /// For humans.
    pub text: String,
}

/// An update for a client, at so many bytes a second at most (0: as many as go).
#[derive(Debug)]
pub struct Update {
    pub version: u64,
    pub bytes: Bytes,
    pub rate: u64,
}

/// What a client is sent besides answers.
#[derive(Debug)]
pub enum Errand {
    /// In place of one under way.
    Update(Update),
    /// The picture of every n-th frame is wanted, 0: of none.
    RequestPictures(u32),
}

/// The way to one client.
#[derive(Clone, Debug)]
pub struct Outbox(UnboundedSender<Errand>);

impl Outbox {
    /// False when the session has ended.
    pub fn send(&self, errand: Errand) -> bool {
        self.0.send(errand).is_ok()
    }
}

/// What became of a frame, as its edge tells it. Nobody has looked at it yet.
#[derive(Clone, Debug)]
pub struct Report {
    pub frame: u64,
    /// Should be a JSON object.
    pub result: Bytes,
    /// Should be a JPEG; empty for none.
    pub picture: Bytes,
}

/// What the service says about a `Hello`.
pub enum Decision {
    /// [`Service::open`] will do.
    Open,
    /// The model must be uploaded first.
    Upload,
    Refuse(Refusal),
}

/// Whoever has the models.
pub trait Service: Send + Sync + 'static {
    /// What frames need to be computed: the prepared model.
    type Session: Send + Sync + 'static;

    /// On the network thread: must not wait.
    fn decide(&self, hello: &Hello) -> Decision;

    /// Prepares the session; on a thread that may take its time. `model` is what was uploaded, if it was.
    ///
    /// # Errors
    /// When there can be no session.
    fn open(
        &self,
        client: &ClientInfo,
        hello: &Hello,
        model: Option<Bytes>,
    ) -> Result<Arc<Self::Session>, Refusal>;

    /// The session is open and frames may come; on the network thread. `outbox` reaches the client for as long as the
    /// session is open.
    fn opened(&self, client: &ClientInfo, session: &Arc<Self::Session>, outbox: Outbox);

    /// An open session has ended; on the network thread.
    fn closed(&self, client: &ClientInfo, reason: &str);

    /// A frame, or a report of one, has begun to come; on the network thread.
    fn frame_begun(&self, session: &Self::Session, number: u64);

    /// The frame is answered or given up: exactly once for each that has begun; on the network thread.
    fn frame_ended(&self, session: &Self::Session, number: u64);

    /// An edge tells what became of a frame; between the begin and the end of the report, on the network thread.
    fn reported(&self, session: &Self::Session, report: Report);

    /// Prepares the session's model for frames with the weights of an update; on a thread that may take its time, one at
    /// a time for each session.
    ///
    /// # Errors
    /// When the update is not taken.
    fn take_weights(
        &self,
        session: &Arc<Self::Session>,
        version: u64,
        update: &Bytes,
    ) -> Result<(), WeightsRefusal>;

    /// No frame of a version below this one will come any more; on the network thread.
    fn retire_weights(&self, session: &Self::Session, below: u64);

    /// What became of an update that was sent through the [`Outbox`]; on the network thread.
    fn weights_answered(&self, client: &ClientInfo, session: &Self::Session, event: &WeightsEvent);

    /// How busy the server is, as this session sees it; on the network thread.
    fn load(&self, session: &Self::Session) -> Load;

    /// Something that a log should tell.
    fn note(&self, text: &str);
}

/// A frame to be computed.
pub struct Job<S> {
    pub session: Arc<S>,
    pub header: FrameHeader,
    /// Zeros where something is missing.
    pub payload: Bytes,
    /// Parts of it that did not come while it was waited for: only where the edge asked for it, and then tensors.
    pub missing: Vec<Range<usize>>,
    /// When the last byte of it had come, or the others were no longer waited for.
    pub received: Instant,
    pub deadline: Instant,
    reply: oneshot::Sender<Outcome>,
}

impl<S> Job<S> {
    /// False once its deadline has passed or its edge gave it up.
    pub fn is_wanted(&self, now: Instant) -> bool {
        now < self.deadline && !self.reply.is_closed()
    }

    /// Bytes of the payload that did not come.
    pub fn missing_bytes(&self) -> usize {
        self.missing.iter().map(Range::len).sum()
    }

    /// `None`: all of the payload came.
    pub fn received_share(&self) -> Option<f64> {
        let missing = self.missing_bytes();
        (missing > 0).then(|| 1.0 - missing as f64 / self.payload.len() as f64)
    }

    /// Sends the result back.
    pub fn finish(self, outcome: Outcome) {
        // Nobody to tell, if the edge has gone meanwhile.
        let _ = self.reply.send(outcome);
    }
}

/// What became of a job.
#[derive(Debug)]
pub struct Outcome {
    pub model_version: u64,
    pub queue: Duration,
    pub decode: Duration,
    pub compute: Duration,
    pub body: OutcomeBody,
    /// Bytes of the payload that it does without.
    pub missing: usize,
}

#[derive(Debug)]
pub enum OutcomeBody {
    /// The answer to a report.
    None,
    /// In pixels of the frame.
    Objects(Vec<WireObject>),
    /// The model's outputs, coded by `tensorcode`.
    Tensors(Bytes),
    Failure(Status, String),
}

/// Figures of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionStats {
    pub client: ClientInfo,
    pub rtt: Duration,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub lost_packets: u64,
}

/// What the tasks of a listener share.
struct Common<S: Service> {
    service: Arc<S>,
    queue: Arc<FairQueue<Job<S::Session>>>,
    config: Limits,
    sessions: Arc<Sessions>,
    /// For new weights.
    preparing: Arc<Semaphore>,
    monitor: Option<Monitor<S>>,
    closing: watch::Receiver<bool>,
}

/// What of [`ListenerConfig`] concerns each client.
struct Limits {
    name: String,
    token: Option<Token>,
    max_clients: usize,
    max_in_flight: u32,
    max_frame_bytes: u32,
    max_model_bytes: u64,
    video: bool,
}

/// The clients that have a session or are getting one.
#[derive(Default)]
struct Sessions(Mutex<HashMap<ClientId, (ClientInfo, Connection)>>);

/// Port and figures of the monitor; none where none was wanted, or in words why it could not be had.
type MonitorState = Result<Option<(u16, Arc<MonitorFigures>)>, String>;

/// A server that takes connections for as long as it lives. Dropping it closes it.
pub struct Listener {
    local: SocketAddr,
    monitor: MonitorState,
    sessions: Arc<Sessions>,
    closing: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    ended: mpsc::Receiver<()>,
}

impl Listener {
    /// # Errors
    /// When the address must not be used, is taken, or the certificates cannot be used.
    pub fn start<S: Service>(
        config: ListenerConfig,
        service: Arc<S>,
        queue: Arc<FairQueue<Job<S::Session>>>,
    ) -> Result<Self, ListenError> {
        let address = config.address;
        let token = config.token.filter(|t| !t.is_empty());
        if !address.ip().to_canonical().is_loopback()
            && token.is_none()
            && config.client_ca.is_none()
        {
            return Err(ListenError::Open(address));
        }
        let quic = server_config(
            &config.identity,
            config.client_ca.as_deref(),
            transport::of_server(config.max_in_flight),
        )?;
        let bind_error = |source| ListenError::Bind { address, source };
        let socket = UdpSocket::bind(address).map_err(bind_error)?;
        let local = socket.local_addr().map_err(bind_error)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()
            .map_err(ListenError::Thread)?;
        let endpoint = {
            let _inside = runtime.enter();
            quinn::Endpoint::new(
                restarted::endpoint_config(&config.identity, local),
                Some(quic),
                socket,
                Arc::new(quinn::TokioRuntime),
            )
        };
        let endpoint = endpoint.map_err(bind_error)?;
        let monitor = {
            let _inside = runtime.enter();
            let address = |port| SocketAddr::new(local.ip(), port);
            let bind = |port| Monitor::bind(address(port)).map_err(|e| (address(port), e));
            config.monitor_port.map(bind).transpose()
        };
        let (monitor, monitor_state) = match monitor {
            Ok(monitor) => {
                let state = monitor.as_ref().map(|m| (m.port(), m.figures()));
                (monitor, Ok(state))
            }
            Err((address, e)) => {
                let text = format!("cannot listen on UDP {address}: {e}{}", hint(&e));
                (None, Err(text))
            }
        };
        let (closing, closing_out) = watch::channel(false);
        let sessions = Arc::new(Sessions::default());
        let common = Common {
            service,
            queue,
            config: Limits {
                name: config.name,
                token: token.map(Token::new),
                max_clients: config.max_clients,
                max_in_flight: config.max_in_flight,
                max_frame_bytes: config.max_frame_bytes,
                max_model_bytes: config.max_model_bytes,
                video: config.video,
            },
            sessions: sessions.clone(),
            preparing: Arc::new(Semaphore::new(PREPARING)),
            monitor,
            closing: closing_out,
        };
        let (ending, ended) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("splitinfer-srv".to_owned())
            .spawn(move || {
                runtime.block_on(accept::run(endpoint, common));
                // A model that is being prepared is not waited for.
                runtime.shutdown_background();
                drop(ending);
            })
            .map_err(ListenError::Thread)?;
        Ok(Self {
            local,
            monitor: monitor_state,
            sessions,
            closing,
            thread: Some(thread),
            ended,
        })
    }

    /// With the port that was chosen, where 0 was asked for.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Port and figures of the UDP monitor, `None` where none was wanted.
    ///
    /// # Errors
    /// In words why its port could not be had; edges do without.
    pub fn monitor(&self) -> Result<Option<(u16, &MonitorFigures)>, &str> {
        match &self.monitor {
            Ok(state) => Ok(state.as_ref().map(|(port, figures)| (*port, &**figures))),
            Err(text) => Err(text),
        }
    }

    /// The clients that have a session or are getting one, in the order of their coming.
    pub fn connections(&self) -> Vec<ConnectionStats> {
        let sessions = self.sessions.0.lock().unwrap();
        let mut all: Vec<_> = sessions
            .values()
            .map(|(client, connection)| {
                let stats = connection.stats();
                ConnectionStats {
                    client: client.clone(),
                    rtt: stats.path.rtt,
                    sent_bytes: stats.udp_tx.bytes,
                    received_bytes: stats.udp_rx.bytes,
                    lost_packets: stats.path.lost_packets,
                }
            })
            .collect();
        all.sort_by_key(|s| s.client.id);
        all
    }

    /// Says good-bye to every client and stops listening.
    pub fn close(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.closing.send_replace(true);
        if self.ended.recv_timeout(CLOSE_LIMIT) != Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = thread.join();
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}

impl Sessions {
    /// False when `most` are here already.
    fn enter(&self, most: usize, client: &ClientInfo, connection: &Connection) -> bool {
        let mut sessions = self.0.lock().unwrap();
        let room = sessions.len() < most;
        if room {
            sessions.insert(client.id, (client.clone(), connection.clone()));
        }
        room
    }

    fn leave(&self, client: ClientId) {
        self.0.lock().unwrap().remove(&client);
    }
}

/// For `address` as users write it: an address, or a name that the system resolves.
///
/// # Errors
/// When it is neither.
pub fn local_address(address: &str, port: u16) -> Result<SocketAddr, String> {
    use std::net::ToSocketAddrs;
    let host = address.trim().trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    (host, port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| {
            format!(
                "'{address}' is not an address of this machine: use 127.0.0.1, or 0.0.0.0 for all interfaces"
            )
        })
}
