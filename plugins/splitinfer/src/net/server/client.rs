// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One client from its control stream's opening to its connection's end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt};
use splitinfer_wire::close::stream_code;
use splitinfer_wire::monitor::MonitorId;
use splitinfer_wire::{
    ByeReason, CloseReason, Hello, RefuseCode, ServerConfig, ServerEvent, ServerSession,
    ServerState, ServerTiming, WeightsCode, WeightsEvent, WeightsRefuse,
};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::JoinSet;

use super::accept::Newcomer;
use super::frame;
use super::monitor::Monitor;
use super::pace::Pace;
use super::weights::{self, Due, Weights};
use super::{ClientId, ClientInfo, Common, Decision, Errand, Refusal, Service, Update};

/// Until the first stream is there.
const CONTROL: Duration = Duration::from_secs(3);

/// For the last words on the control stream.
const FAREWELL: Duration = Duration::from_millis(200);

/// Unit of the memory that frames of one client may take.
const MEMORY_UNIT: usize = 1 << 10;

/// What the tasks of one client's frames share with the client's own.
pub struct Client<S: Service> {
    pub common: Rc<Common<S>>,
    pub id: ClientId,
    pub peer: SocketAddr,
    pub connection: Connection,
    pub wire: RefCell<ServerSession>,
    /// Set once the session is open.
    pub session: RefCell<Option<Arc<S::Session>>>,
    /// Tells the task of an admitted frame to stop, with the code for its stream.
    pub flights: RefCell<HashMap<u64, oneshot::Sender<u32>>>,
    /// Memory for frames, in units; a client that sends more waits for itself.
    pub memory: Semaphore,
    /// How its frames come.
    pub pace: RefCell<Pace>,
    /// Something was done to `wire` that its driver has to act on.
    pub touched: Notify,
}

impl<S: Service> Client<S> {
    /// With what the client called itself, once it has.
    fn info(&self) -> ClientInfo {
        let wire = self.wire.borrow();
        ClientInfo {
            id: self.id,
            peer: self.peer,
            agent: wire.hello().map(|h| h.agent.clone()).unwrap_or_default(),
        }
    }

    /// How many units a frame takes; never more than there are.
    pub fn units(&self, bytes: u64) -> u32 {
        let units = bytes.div_ceil(MEMORY_UNIT as u64);
        units.min(memory_units(self.common.config.max_frame_bytes) as u64) as u32
    }
}

/// For two frames of the largest size: one being computed, one being received.
fn memory_units(max_frame_bytes: u32) -> usize {
    2 * (max_frame_bytes as usize).div_ceil(MEMORY_UNIT) + 1
}

type Opening<S> = Result<Arc<<S as Service>::Session>, Refusal>;

/// What a turn of the loop waited for.
enum Happening<S: Service> {
    Closing,
    Stream(Result<(SendStream, RecvStream), ConnectionError>),
    Control(Result<Option<quinn::Chunk>, ReadError>),
    Written(Result<usize, quinn::WriteError>),
    Opened(Opening<S>),
    Weights(Due),
    FrameDone,
    Touched,
    Timeout,
}

/// Serves one connection.
pub async fn serve<S: Service>(
    common: Rc<Common<S>>,
    connection: Connection,
    id: u64,
    place: Newcomer,
) {
    let config = ServerConfig {
        name: common.config.name.clone(),
        token: common.config.token.clone(),
        max_frame_bytes: common.config.max_frame_bytes,
        max_in_flight: common.config.max_in_flight,
        max_model_bytes: common.config.max_model_bytes,
        monitor_port: common.monitor.as_ref().map_or(0, Monitor::port),
        video: common.config.video,
        timing: ServerTiming::default(),
    };
    let wire = match ServerSession::new(Instant::now(), config) {
        Ok(wire) => wire,
        Err(e) => return common.service.note(&e.to_string()),
    };
    let Ok(Ok(mut control)) = tokio::time::timeout(CONTROL, connection.accept_bi()).await else {
        return connection.close(VarInt::from_u32(0), b"no control stream");
    };
    // Answers about the session do not queue behind results.
    let _ = control.0.set_priority(1);
    let memory = Semaphore::new(memory_units(common.config.max_frame_bytes));
    let mut driver = Driver {
        client: Rc::new(Client {
            common,
            id,
            peer: connection.remote_address(),
            connection,
            wire: RefCell::new(wire),
            session: RefCell::default(),
            flights: RefCell::default(),
            memory,
            pace: RefCell::default(),
            touched: Notify::new(),
        }),
        place: Some(place),
        writing: Bytes::new(),
        opening: None,
        prepared: None,
        weights: Weights::default(),
        monitored: None,
        frames: JoinSet::new(),
        ended: None,
    };
    let reason = driver.turn_until_ended(&mut control).await;
    driver.farewell(&mut control.0, &reason).await;
}

struct Driver<S: Service> {
    client: Rc<Client<S>>,
    /// Among those without a session.
    place: Option<Newcomer>,
    /// What is left of the control message that is being written.
    writing: Bytes,
    opening: Option<oneshot::Receiver<Opening<S>>>,
    prepared: Option<Arc<S::Session>>,
    weights: Weights,
    monitored: Option<MonitorId>,
    frames: JoinSet<()>,
    ended: Option<CloseReason>,
}

impl<S: Service> Driver<S> {
    async fn turn_until_ended(&mut self, control: &mut (SendStream, RecvStream)) -> CloseReason {
        loop {
            self.pump();
            if let Some(reason) = self.ended.take() {
                return reason;
            }
            let happening = self.next(control).await;
            self.handle(happening);
        }
    }

    async fn next(&mut self, (send, recv): &mut (SendStream, RecvStream)) -> Happening<S> {
        let timeout = self.client.wire.borrow().poll_timeout();
        let mut closing = self.client.common.closing.clone();
        tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => Happening::Closing,
            read = recv.read_chunk(64 << 10, true) => Happening::Control(read),
            written = send.write(&self.writing), if !self.writing.is_empty() => {
                Happening::Written(written)
            }
            _ = self.frames.join_next(), if !self.frames.is_empty() => Happening::FrameDone,
            stream = self.client.connection.accept_bi() => Happening::Stream(stream),
            opened = opened(&mut self.opening) => Happening::Opened(opened),
            due = self.weights.due() => Happening::Weights(due),
            () = self.client.touched.notified() => Happening::Touched,
            () = sleep_until(timeout) => Happening::Timeout,
        }
    }

    fn handle(&mut self, happening: Happening<S>) {
        let now = Instant::now();
        let client = self.client.clone();
        let mut wire = client.wire.borrow_mut();
        match happening {
            Happening::Closing => wire.close(ByeReason::Shutdown, "the server is shutting down"),
            Happening::Stream(Ok(stream)) => {
                let task = frame::serve(client.clone(), stream);
                self.frames.spawn_local(task);
            }
            Happening::Stream(Err(e)) => wire.connection_lost(lost(&e)),
            Happening::Control(Ok(Some(chunk))) => {
                if let Some(session) = &*client.session.borrow() {
                    wire.set_load(client.common.service.load(session));
                }
                wire.handle_control(now, &chunk.bytes);
            }
            Happening::Control(Ok(None)) => wire.connection_lost("it ended the control stream"),
            Happening::Control(Err(ReadError::ConnectionLost(e))) => wire.connection_lost(lost(&e)),
            Happening::Control(Err(e)) => wire.connection_lost(e.to_string()),
            Happening::Written(Ok(n)) => drop(self.writing.split_to(n)),
            // The reading side says why.
            Happening::Written(Err(_)) => self.writing.clear(),
            Happening::Opened(Ok(session)) => {
                self.prepared = Some(session);
                wire.accept(now, client.id);
            }
            Happening::Opened(Err(refusal)) => wire.refuse(refusal.code, &refusal.text),
            Happening::Weights(Due::Prepared(prepared)) => {
                weights::answer(&mut wire, prepared);
                if let Some((version, update)) = self.weights.next() {
                    self.take_weights(version, update);
                }
            }
            Happening::Weights(Due::Send(Errand::RequestPictures(every))) => {
                wire.request_frames(every);
            }
            Happening::Weights(Due::Send(Errand::Update(update))) => {
                drop(wire);
                if let Some(update) = self.weights.send(update) {
                    self.send_weights(now, update);
                }
                return;
            }
            Happening::Timeout => wire.handle_timeout(now),
            Happening::FrameDone | Happening::Touched => {}
        }
        if wire.state() == ServerState::Ready
            && let Some(session) = self.prepared.take()
        {
            drop(wire);
            self.open(session);
        }
    }

    fn open(&mut self, session: Arc<S::Session>) {
        self.place = None;
        let common = &self.client.common;
        let knows = |h: &Hello| h.version.has_monitor();
        if let Some(monitor) = &common.monitor
            && self.client.wire.borrow().hello().is_some_and(knows)
        {
            self.monitored = monitor.watch(&self.client.connection, &session);
        }
        let service = &common.service;
        let outbox = self.weights.outbox();
        service.opened(&self.client.info(), &session, outbox);
        *self.client.session.borrow_mut() = Some(session);
    }

    /// Acts on what the session wants done.
    fn pump(&mut self) {
        let client = self.client.clone();
        loop {
            let event = client.wire.borrow_mut().poll_event();
            match event {
                Some(event) => self.act(event),
                None => break,
            }
        }
        while self.writing.is_empty() {
            match client.wire.borrow_mut().poll_transmit() {
                Some(bytes) => self.writing = bytes,
                None => break,
            }
        }
    }

    fn act(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Hello(hello) => self.greeted(*hello),
            ServerEvent::ModelUploaded(model) => self.prepare(Some(model)),
            ServerEvent::FrameExpired { number } => {
                if let Some(stop) = self.client.flights.borrow_mut().remove(&number) {
                    let _ = stop.send(stream_code::DEADLINE);
                }
            }
            ServerEvent::Weights(WeightsEvent::Received { version, update }) => {
                self.take_weights(version, update);
            }
            ServerEvent::Weights(event) => {
                self.weights_answered(&event);
                if let Some(update) = self.weights.answered() {
                    self.send_weights(Instant::now(), update);
                }
            }
            ServerEvent::WeightsRetired { below } => {
                if let Some(session) = &*self.client.session.borrow() {
                    self.client.common.service.retire_weights(session, below);
                }
            }
            ServerEvent::Closed(reason) => self.ended = Some(reason),
        }
    }

    fn take_weights(&mut self, version: u64, update: Bytes) {
        let session = self.client.session.borrow().clone();
        let common = &self.client.common;
        self.weights.take(common, session, version, update);
    }

    fn send_weights(&mut self, now: Instant, update: Update) {
        let version = update.version;
        let offered =
            self.client
                .wire
                .borrow_mut()
                .offer_weights(now, version, update.bytes, update.rate);
        if !offered {
            let text = "it speaks a version of the protocol without new weights; update it";
            self.weights_answered(&WeightsEvent::Refused(WeightsRefuse {
                version,
                code: WeightsCode::Other(0),
                text: text.into(),
            }));
            self.weights.answered();
        }
    }

    fn weights_answered(&self, event: &WeightsEvent) {
        if let Some(session) = &*self.client.session.borrow() {
            let service = &self.client.common.service;
            service.weights_answered(&self.client.info(), session, event);
        }
    }

    fn greeted(&mut self, hello: Hello) {
        let client = self.client.clone();
        let common = &client.common;
        let refuse = |refusal: Refusal| {
            let mut wire = client.wire.borrow_mut();
            wire.refuse(refusal.code, &refusal.text);
        };
        let most = common.config.max_clients;
        if !common
            .sessions
            .enter(most, &client.info(), &self.client.connection)
        {
            return refuse(Refusal {
                code: RefuseCode::Busy,
                text: format!("{most} edges are being served, the most allowed (max-clients)"),
            });
        }
        match common.service.decide(&hello) {
            Decision::Open => self.prepare(None),
            Decision::Upload => client.wire.borrow_mut().need_model(Instant::now()),
            Decision::Refuse(refusal) => refuse(refusal),
        }
    }

    /// Has the model prepared where that may take its time.
    fn prepare(&mut self, model: Option<Bytes>) {
        let Some(hello) = self.client.wire.borrow().hello().cloned() else {
            return;
        };
        let info = self.client.info();
        let service = self.client.common.service.clone();
        let (done, opening) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            // The edge may be gone before this begins.
            if !done.is_closed() {
                let _ = done.send(service.open(&info, &hello, model));
            }
        });
        self.opening = Some(opening);
    }

    async fn farewell(&mut self, send: &mut SendStream, reason: &CloseReason) {
        let client = self.client.clone();
        let (common, id) = (&client.common, client.id);
        self.frames.abort_all();
        common.queue.forget(id);
        common.sessions.leave(id);
        if let (Some(monitor), Some(id)) = (&common.monitor, self.monitored.take()) {
            monitor.forget(&id);
        }
        if client.session.borrow_mut().take().is_some() {
            common.service.closed(&client.info(), &reason.to_string());
        } else {
            let peer = client.peer;
            common
                .service
                .note(&format!("no session with {peer}: {reason}"));
        }
        let last_words = async {
            loop {
                if send.write_all(&self.writing).await.is_err() {
                    return;
                }
                let next = client.wire.borrow_mut().poll_transmit();
                match next {
                    Some(bytes) => self.writing = bytes,
                    None => break,
                }
            }
            if send.finish().is_ok() {
                // Returns once the client has everything.
                let _ = send.stopped().await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, last_words).await;
        let code = VarInt::from_u32(reason.connection_code());
        self.client.connection.close(code, b"");
    }
}

fn lost(error: &ConnectionError) -> String {
    match error {
        ConnectionError::TimedOut => "it has fallen silent".to_owned(),
        other => other.to_string(),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn opened<T>(
    opening: &mut Option<oneshot::Receiver<Result<T, Refusal>>>,
) -> Result<T, Refusal> {
    let Some(running) = opening else {
        return std::future::pending().await;
    };
    let result = running.await;
    *opening = None;
    result.unwrap_or_else(|_| {
        Err(Refusal {
            code: RefuseCode::Internal,
            text: "preparing the model failed; the server's log may say more".to_owned(),
        })
    })
}
