// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The edge's side of the link: connects, reconnects, and exchanges frames for results.
//!
//! A [`Client`] owns one thread with everything that waits for the network. Its methods never block, and it reports
//! through one callback, on that thread. Each frame that [`Client::send`] takes ends in exactly one
//! [`ClientEvent::Result`] or [`ClientEvent::Failed`], until the client is closed.

mod backoff;
mod dial;
mod driver;
mod exchange;
mod flights;
mod link;
mod monitor;
mod opening;
mod shared;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use splitinfer_wire::monitor::Report;
use splitinfer_wire::{
    Content, Hello, Load, Status, WeightsCode, WeightsEvent, Welcome, WireObject,
};

use super::address::ServerAddress;
use super::trust::{Trust, TrustError};
use shared::Shared;

/// [`Client::close`] and drop end within this time, whatever the server does.
const CLOSE_LIMIT: Duration = Duration::from_millis(800);

/// Gives the bytes of the model, as they were hashed, when the server asks for them; called on a thread that may
/// block, at most once at a time.
pub type ModelSource = Arc<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync>;

/// What a client needs to know at its start.
pub struct ClientConfig {
    /// In order of preference: the first one that can be reached is used.
    pub servers: Vec<ServerAddress>,
    pub trust: Trust,
    /// The token is taken from [`Trust::token`], so leave it empty here.
    pub hello: Hello,
    pub model: ModelSource,
    /// Frames under way at once; the server may allow fewer.
    pub max_in_flight: usize,
}

/// One frame for the server.
#[derive(Clone, Debug)]
pub struct FrameRequest {
    /// Chosen by the caller; of the frames under way no two may have the same.
    pub number: u64,
    pub content: Content,
    pub model_version: u64,
    /// Presentation time in the edge's stream.
    pub pts_ns: Option<u64>,
    /// When the result is of no use any more: the stream is reset then.
    pub deadline: Instant,
    /// `vision::Placement::to_f32x6`.
    pub placement: [f32; 6],
    /// Width and height of the model-sized picture.
    pub picture_size: (u16, u16),
    pub payload: Vec<u8>,
    /// Of a report: JPEG picture of the frame for the server's own pipeline; empty for none. Left out where the server has
    /// changed its mind meanwhile.
    pub attachment: Vec<u8>,
    /// When the server shall go on with what it has of the payload; `None`: it waits for all of it.
    pub patience: Option<Until>,
    /// The longest that the server may take once it has all of it: where others would hold it up longer, it refuses the frame at
    /// once.
    pub longest: Option<Duration>,
    /// How many bytes of the attachment are sent a second at most; `None`: as many as go.
    pub attachment_rate: Option<f64>,
}

/// Until when a server waits for the whole payload, and with how much of it it goes on then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    /// At this time it should begin, were the header there at once.
    pub at: Instant,
    /// Of the payload, in 1/1000.
    pub least_permille: u16,
}

/// What the server found on a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Answer to a report.
    None,
    /// In pixels of the frame.
    Objects(Vec<WireObject>),
    /// The model's outputs, still coded by `tensorcode`: decoding is left to the thread that needs them.
    Tensors(Vec<u8>),
}

/// The result of one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameReply {
    pub number: u64,
    /// As in the request.
    pub pts_ns: Option<u64>,
    pub body: Body,
    pub model_version: u64,
    /// On the server: waiting for compute, decoding, and computing.
    pub queued: Duration,
    pub decoding: Duration,
    pub computing: Duration,
    /// Where the server did without some of the payload.
    pub part: Option<Part>,
    /// From [`Client::send`] to the last byte of the result.
    pub round: Duration,
}

/// How much of a frame the server had when it completed it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Of the payload, below 1.
    pub share: f64,
    /// For how long the server was told to wait for more.
    pub waited: Duration,
}

/// Why a frame has no result from the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("its deadline passed")]
    Deadline,
    #[error("it was cancelled")]
    Cancelled,
    #[error("the connection ended")]
    Disconnected,
    #[error("the server answered {status:?}: {text}")]
    Server { status: Status, text: String },
    /// As soon as it had come, for it would have waited there for `queue`. `round`: from [`Client::send`] to that answer.
    #[error("the server has too much to do: it would have waited there for {queue:?}")]
    Refused { queue: Duration, round: Duration },
    #[error("the server's answer is not valid: {0}")]
    Answer(String),
    #[error("it cannot be sent: {0}")]
    Request(String),
}

/// What happens on the link, in order. The callback that gets them must return soon: the network waits for it.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    Connected {
        /// As the user named it.
        server: ServerAddress,
        peer: SocketAddr,
        welcome: Welcome,
    },
    /// There is no session. If `fatal`, trying again cannot help and the client has stopped; `text` names the peer
    /// and says what to do.
    Refused {
        text: String,
        fatal: bool,
    },
    /// A session ended; the client is already trying again.
    Disconnected {
        reason: String,
    },
    Result(FrameReply),
    Failed {
        number: u64,
        reason: Failure,
    },
    /// The server's pipeline wants the picture of every n-th frame, 0: of none. Until it says so: of none, or of all where the
    /// edge always sends them.
    PicturesWanted {
        every: u32,
    },
    /// What became of an update of the weights, or one from the server.
    Weights(WeightsEvent),
}

/// Something to tell the server about weights.
#[derive(Clone, Debug)]
pub enum WeightsOrder {
    /// Send this update, in place of one under way, at so many bytes a second at most (0: as many as go). Ends in one
    /// [`ClientEvent::Weights`], unless the session ends first.
    Offer {
        version: u64,
        update: Bytes,
        rate: u64,
    },
    /// The server's update is in use here.
    Ready { version: u64 },
    /// The server's update is not taken here.
    Refuse {
        version: u64,
        code: WeightsCode,
        text: String,
    },
    /// No frame of a version below this one will come any more.
    Retire { below: u64 },
}

/// Takes the events of a client.
pub type OnEvent = Box<dyn Fn(ClientEvent) + Send + Sync>;

/// Why a client cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("no server is named")]
    NoServer,
    #[error("{0}")]
    NotAllowed(String),
    #[error("the network thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// Figures of the link since the client was started; those of the path are the present connection's.
#[derive(Clone, Debug, Default)]
pub struct LinkStats {
    pub connected: bool,
    pub peer: Option<SocketAddr>,
    /// Sessions after the first.
    pub reconnects: u64,
    /// QUIC's smoothed round-trip time.
    pub rtt: Option<Duration>,
    pub sent_packets: u64,
    pub lost_packets: u64,
    /// Congestion window, bytes.
    pub cwnd: u64,
    /// UDP payload of all connections.
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub in_flight: usize,
    /// As the server last reported; zeros before that.
    pub load: Load,
    /// What the UDP monitor of the present session knows; `None` where there is none.
    pub monitor: Option<Report>,
}

/// The link to a server. Dropping it closes it.
pub struct Client {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    // In a mutex only so that the client can be shared between threads.
    ended: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Client {
    /// Starts the thread that connects, in the background, for as long as the client lives.
    ///
    /// # Errors
    /// When files of [`Trust`] cannot be used, or a server that is named by its address must not be talked to.
    pub fn start(config: ClientConfig, on_event: OnEvent) -> Result<Self, StartError> {
        driver::start(config, on_event)
    }

    /// Sends a frame. `false` when there is no session, or as many frames are under way as may be, or one of them
    /// has this number, or the payload is larger than the server takes: the frame was not taken, and no event follows.
    pub fn send(&self, frame: FrameRequest) -> bool {
        self.shared.send(frame)
    }

    /// The result of this frame is not wanted any more: resets its stream. Does nothing if the frame is not under way.
    pub fn cancel(&self, number: u64) {
        self.shared.cancel(number);
    }

    /// `false` when there is no session: then nothing is done.
    pub fn order_weights(&self, order: WeightsOrder) -> bool {
        self.shared.order_weights(order)
    }

    pub fn stats(&self) -> LinkStats {
        self.shared.stats()
    }

    /// Says good-bye to the server if that can be done at once, and ends the thread. No event comes after it returns,
    /// unless it is called from the callback itself.
    pub fn close(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.shared.close();
        if thread.thread().id() == std::thread::current().id() {
            return;
        }
        // A callback that does not return must not hold up a state change for ever.
        if self.ended.lock().unwrap().recv_timeout(CLOSE_LIMIT)
            != Err(std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            let _ = thread.join();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
    }
}
