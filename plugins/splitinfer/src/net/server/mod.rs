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
mod job;
mod monitor;
mod pace;
mod restarted;
mod service;
mod weights;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use quinn::Connection;
use splitinfer_wire::Token;
use tokio::sync::{Semaphore, watch};

pub use super::fair_queue::{ClientId, FairQueue};
use super::identity::Identity;
use super::transport;
use super::trust::{TrustError, server_config};
pub use job::{Forecast, Job, Outcome, OutcomeBody};
use monitor::{Monitor, MonitorFigures};
pub use service::{
    ClientInfo, Decision, Errand, Outbox, Refusal, Report, Service, Update, WeightsRefusal,
};

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
