// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One session with one server, from the control stream's opening to the connection's end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::{ReadError, RecvStream, SendStream, VarInt};
use splitinfer_wire::close::stream_code;
use splitinfer_wire::{
    ByeReason, CloseReason, Content, EdgeConfig, EdgeEvent, EdgeSession, EdgeTiming, FrameOpening,
    OpenError, Patience, Refuse, ResultBody, ResultHeader, ServerPhase, WeightsCode, WeightsEvent,
    WeightsRefuse, Welcome, trailer,
};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::dial::{DialError, Dialled, explain};
use super::driver::Driver;
use super::exchange::{Outgoing, exchange};
use super::monitor::Monitor;
use super::shared::{Command, Inlet};
use super::{Body, ClientEvent, Failure, FrameReply, FrameRequest, Part, Until, WeightsOrder};
use crate::net::address::ServerAddress;
use crate::net::stream::ResetCode;
use crate::net::trust::Complaint;

/// For the last words on the control stream, and then for the connection to end.
const FAREWELL: Duration = Duration::from_millis(150);

/// How a session ended.
pub enum Ending {
    /// The client is being closed.
    Closing,
    /// It was open.
    Lost(String),
    /// It never opened.
    Failed(DialError),
}

/// A result that came, or did not.
struct Exchanged {
    number: u64,
    outcome: Result<(ResultHeader, Bytes), String>,
}

struct Flight {
    task: AbortHandle,
    code: ResetCode,
    pts_ns: Option<u64>,
    payload_len: usize,
    /// How long the server may wait for all of it.
    wait: Duration,
}

/// Runs the session until it ends; every frame taken meanwhile has had its event then.
pub async fn run(
    driver: &Driver,
    inlet: &mut Inlet,
    server: &ServerAddress,
    to: Dialled,
) -> Ending {
    let config = EdgeConfig {
        hello: driver.hello.clone(),
        max_in_flight: driver.max_in_flight,
        timing: EdgeTiming::default(),
    };
    let (mut control, session) = match (to.connection.open_bi().await, EdgeSession::new(config)) {
        (_, Err(e)) => {
            let text = format!("this model cannot be described to a server: {e}");
            return Ending::Failed(DialError { text, fatal: true });
        }
        (Err(e), _) => {
            return Ending::Failed(explain(server, &e, &Complaint::default()));
        }
        (Ok(control), Ok(session)) => (control, session),
    };
    // Pings and the good-bye do not queue behind pictures.
    let _ = control.0.set_priority(1);
    let mut link = Link {
        driver,
        server,
        to: &to,
        session,
        writing: Bytes::new(),
        flights: HashMap::new(),
        exchanges: JoinSet::new(),
        fetching: None,
        refusal: None,
        monitor: None,
        ending: None,
    };
    link.session.start(Instant::now());
    let ending = link.turn_until_ended(inlet, &mut control).await;
    link.farewell(&mut control.0).await;
    ending
}

struct Link<'a> {
    driver: &'a Driver,
    server: &'a ServerAddress,
    to: &'a Dialled,
    session: EdgeSession,
    /// What is left of the control message that is being written.
    writing: Bytes,
    flights: HashMap<u64, Flight>,
    exchanges: JoinSet<Exchanged>,
    fetching: Option<JoinHandle<Result<Vec<u8>, String>>>,
    refusal: Option<Refuse>,
    /// Of the session, once it is open.
    monitor: Option<Monitor>,
    ending: Option<Ending>,
}

/// What a turn of the loop waited for.
enum Happening {
    Closing,
    Command(Option<Command>),
    Control(Result<Option<quinn::Chunk>, ReadError>),
    Written(Result<usize, quinn::WriteError>),
    /// `None`: the task was aborted.
    Exchanged(Option<Exchanged>),
    Fetched(Result<Vec<u8>, String>),
    Timeout,
}

impl Link<'_> {
    async fn turn_until_ended(
        &mut self,
        inlet: &mut Inlet,
        (send, recv): &mut (SendStream, RecvStream),
    ) -> Ending {
        loop {
            self.pump();
            if let Some(ending) = self.ending.take() {
                self.monitor = None;
                self.driver.shared.session_ended();
                self.abandon_frames(inlet);
                return ending;
            }
            let happening = self.next(inlet, send, recv).await;
            self.handle(happening);
        }
    }

    async fn next(
        &mut self,
        inlet: &mut Inlet,
        send: &mut SendStream,
        recv: &mut RecvStream,
    ) -> Happening {
        let timeout = self.session.poll_timeout();
        tokio::select! {
            biased;
            _ = inlet.closing.wait_for(|closing| *closing) => Happening::Closing,
            done = self.exchanges.join_next(), if !self.exchanges.is_empty() => {
                Happening::Exchanged(done.and_then(Result::ok))
            }
            read = recv.read_chunk(64 << 10, true) => Happening::Control(read),
            command = inlet.commands.recv() => Happening::Command(command),
            written = send.write(&self.writing), if !self.writing.is_empty() => {
                Happening::Written(written)
            }
            fetched = fetched(&mut self.fetching) => Happening::Fetched(fetched),
            () = sleep_until(timeout) => Happening::Timeout,
        }
    }

    fn handle(&mut self, happening: Happening) {
        let now = Instant::now();
        match happening {
            Happening::Closing | Happening::Command(None) => {
                self.ending = Some(Ending::Closing);
                self.session.close(ByeReason::Done, "the edge has ended");
            }
            Happening::Command(Some(Command::Send { frame, at })) => self.send(now, frame, at),
            Happening::Command(Some(Command::Cancel(number))) => {
                if self.session.cancel_frame(number) {
                    self.reset(number, stream_code::CANCELLED);
                    self.fail(number, Failure::Cancelled);
                }
            }
            Happening::Command(Some(Command::Weights(order))) => self.weights(now, order),
            Happening::Control(Ok(Some(chunk))) => self.session.handle_control(now, &chunk.bytes),
            Happening::Control(Ok(None)) => {
                self.session
                    .connection_lost("the server ended the control stream");
            }
            Happening::Control(Err(ReadError::ConnectionLost(e))) => self.connection_lost(&e),
            Happening::Control(Err(e)) => self.session.connection_lost(e.to_string()),
            Happening::Written(Ok(n)) => drop(self.writing.split_to(n)),
            // The reading side says why.
            Happening::Written(Err(_)) => self.writing.clear(),
            Happening::Exchanged(Some(done)) => self.exchanged(now, done),
            Happening::Exchanged(None) => {}
            Happening::Fetched(Ok(model)) => self.session.provide_model(now, model.into()),
            Happening::Fetched(Err(text)) => {
                self.ending = Some(Ending::Failed(DialError { text, fatal: true }));
                self.session
                    .close(ByeReason::Done, "the edge cannot read its model");
            }
            Happening::Timeout => self.session.handle_timeout(now),
        }
    }

    /// A server that does not accept the edge's certificate says so after the handshake, as far as the edge sees it.
    fn connection_lost(&mut self, error: &quinn::ConnectionError) {
        let explained = explain(self.server, error, &Complaint::default());
        self.session.connection_lost(explained.text.clone());
        if self.session.welcome().is_none() {
            self.ending = Some(Ending::Failed(explained));
        }
    }

    fn send(&mut self, now: Instant, mut frame: FrameRequest, at: Instant) {
        let (number, now) = (frame.number, now.max(at));
        if self.session.pictures_every() == 0 {
            frame.attachment.clear();
        }
        let opening = FrameOpening {
            number,
            content: frame.content,
            model_version: frame.model_version,
            pts_ns: frame.pts_ns,
            deadline: frame.deadline,
            placement: frame.placement,
            picture_size: frame.picture_size,
            payload_len: frame.payload.len(),
            attachment_len: frame.attachment.len(),
            patience: frame.patience.map(|until| patience(until, now)),
        };
        let knows = |w: &Welcome| w.version.has_patience();
        let patient = opening
            .patience
            .filter(|_| self.session.welcome().is_some_and(knows));
        let wait = patient.map_or(0, |p| p.wait_us);
        match self.session.open_frame(now, &opening) {
            Ok(header) => self.begin(header, frame, Duration::from_micros(wait.into())),
            Err(OpenError::Late) => self.fail(number, Failure::Deadline),
            Err(OpenError::NotReady(_) | OpenError::Draining) => {
                self.fail(number, Failure::Disconnected);
            }
            Err(e) => self.fail(number, Failure::Request(e.to_string())),
        }
    }

    fn weights(&mut self, now: Instant, order: WeightsOrder) {
        match order {
            WeightsOrder::Offer {
                version,
                update,
                rate,
            } => {
                if !self.session.offer_weights(now, version, update, rate) {
                    let refuse = WeightsRefuse {
                        version,
                        code: WeightsCode::Other(0),
                        text: "it speaks a version of the protocol without new weights; update it"
                            .into(),
                    };
                    let refused = WeightsEvent::Refused(refuse);
                    self.driver.emit(ClientEvent::Weights(refused));
                }
            }
            WeightsOrder::Ready { version } => self.session.weights_ready(version),
            WeightsOrder::Refuse {
                version,
                code,
                text,
            } => self.session.refuse_weights(version, code, &text),
            WeightsOrder::Retire { below } => self.session.retire_weights(below),
        }
    }

    fn begin(&mut self, header: Bytes, frame: FrameRequest, wait: Duration) {
        let payload_len = frame.payload.len();
        // Only a server that may have to do without a packet looks for the beginning at the end.
        let end = match wait.is_zero() {
            true => Vec::new(),
            false => trailer(&header, &frame.payload),
        };
        let outgoing = Outgoing {
            parts: [header, frame.payload.into(), end.into()],
            attachment: frame.attachment,
            attachment_rate: frame.attachment_rate,
            // What others see of a frame does not hold up the next one.
            priority: match frame.content {
                Content::Report => -1,
                _ => 0,
            },
        };
        let (connection, code) = (self.to.connection.clone(), ResetCode::default());
        let most = self.driver.hello.max_result_bytes as usize;
        let (number, reset) = (frame.number, code.clone());
        let task = self.exchanges.spawn(async move {
            Exchanged {
                number,
                outcome: exchange(connection, outgoing, most, code).await,
            }
        });
        let flight = Flight {
            task,
            code: reset,
            pts_ns: frame.pts_ns,
            payload_len,
            wait,
        };
        self.flights.insert(number, flight);
    }

    fn exchanged(&mut self, now: Instant, done: Exchanged) {
        match done.outcome {
            Ok((header, body)) => self.session.handle_result(now, done.number, header, body),
            Err(text) => self.session.stream_failed(done.number, text),
        }
    }

    /// Acts on what the session wants done.
    fn pump(&mut self) {
        while self.writing.is_empty() {
            match self.session.poll_transmit() {
                Some(bytes) => self.writing = bytes,
                None => break,
            }
        }
        while let Some(event) = self.session.poll_event() {
            self.act(event);
        }
    }

    fn act(&mut self, event: EdgeEvent) {
        let driver = self.driver;
        match event {
            EdgeEvent::Connected(welcome) => {
                driver.shared.session_began(&self.to.connection, &welcome);
                let (port, candidates) = (welcome.monitor_port, driver.hello.candidates.len());
                self.monitor =
                    Monitor::start(&driver.shared, &self.to.connection, port, candidates);
                driver.emit(ClientEvent::Connected {
                    server: self.server.clone(),
                    peer: self.to.connection.remote_address(),
                    welcome,
                });
            }
            EdgeEvent::ModelNeeded { .. } => {
                let model = driver.model.clone();
                self.fetching = Some(tokio::task::spawn_blocking(move || model()));
            }
            EdgeEvent::Status(status) => {
                if status.phase == ServerPhase::Draining {
                    driver.shared.draining();
                }
                driver.shared.loaded(status.load);
            }
            EdgeEvent::Pong { .. } => {
                if let Some(load) = self.session.load() {
                    driver.shared.loaded(load.clone());
                }
            }
            EdgeEvent::Result {
                number,
                header,
                body,
                took,
            } => self.result(number, &header, body, took),
            EdgeEvent::Failed { number, why } => {
                self.reset(number, stream_code::CANCELLED);
                self.fail(number, failure(why));
            }
            EdgeEvent::Expired { number } => {
                self.reset(number, stream_code::DEADLINE);
                self.fail(number, Failure::Deadline);
            }
            EdgeEvent::Weights(event) => driver.emit(ClientEvent::Weights(event)),
            EdgeEvent::Refused(refuse) => self.refusal = Some(refuse),
            EdgeEvent::Closed(reason) => self.closed(reason),
            EdgeEvent::FramesWanted { every } => {
                driver.emit(ClientEvent::PicturesWanted { every });
            }
            EdgeEvent::UploadProgress { .. } | EdgeEvent::Rejected { .. } => {}
        }
    }

    fn result(&mut self, number: u64, header: &ResultHeader, body: ResultBody, took: Duration) {
        let Some(flight) = self.flights.remove(&number) else {
            return;
        };
        if !self.driver.shared.frame_ended(number) {
            return;
        }
        let micros = |us: u32| Duration::from_micros(us.into());
        let share = 1.0 - f64::from(header.missing) / flight.payload_len.max(1) as f64;
        let part = (header.missing > 0).then_some(Part {
            share: share.max(0.0),
            waited: flight.wait,
        });
        self.driver.emit(ClientEvent::Result(FrameReply {
            number,
            pts_ns: flight.pts_ns,
            body: match body {
                ResultBody::None => Body::None,
                ResultBody::Objects(objects) => Body::Objects(objects),
                ResultBody::Tensors(bytes) => Body::Tensors(bytes.into()),
            },
            model_version: header.model_version,
            queued: micros(header.queue_us),
            decoding: micros(header.decode_us),
            computing: micros(header.compute_us),
            part,
            round: took,
        }));
    }

    fn reset(&mut self, number: u64, code: u32) {
        if let Some(flight) = self.flights.remove(&number) {
            flight.code.set(code);
            flight.task.abort();
        }
    }

    fn fail(&self, number: u64, reason: Failure) {
        if self.driver.shared.frame_ended(number) {
            self.driver.emit(ClientEvent::Failed { number, reason });
        }
    }

    fn closed(&mut self, reason: CloseReason) {
        if self.ending.is_some() {
            return;
        }
        let opened = self.session.welcome().is_some();
        self.ending = Some(match (reason, self.refusal.take()) {
            (_, Some(refuse)) => Ending::Failed(DialError {
                text: format!("{} refuses: {}", self.server, refuse.text),
                fatal: !refuse.code.may_pass_later(),
            }),
            (CloseReason::Lost(text), None) if opened => Ending::Lost(text),
            (reason, None) if opened => Ending::Lost(format!("{}: {reason}", self.server)),
            (reason, None) => Ending::Failed(DialError {
                text: format!("{}: {reason}", self.server),
                fatal: false,
            }),
        });
    }

    /// The frames the session never saw, because they were still in the channel.
    fn abandon_frames(&mut self, inlet: &mut Inlet) {
        while inlet.commands.try_recv().is_ok() {}
        self.flights.clear();
        self.exchanges.abort_all();
        for number in self.driver.shared.all_frames_ended() {
            self.driver.emit(ClientEvent::Failed {
                number,
                reason: Failure::Disconnected,
            });
        }
    }

    /// Tells the server what it will understand if it still listens, but does not wait for one that does not.
    async fn farewell(&mut self, send: &mut SendStream) {
        let last_words = async {
            loop {
                if send.write_all(&self.writing).await.is_err() {
                    return;
                }
                match self.session.poll_transmit() {
                    Some(bytes) => self.writing = bytes,
                    None => break,
                }
            }
            if send.finish().is_ok() {
                // Returns once the server has everything.
                let _ = send.stopped().await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, last_words).await;
        self.to.endpoint.close(VarInt::from_u32(0), b"");
        let _ = tokio::time::timeout(FAREWELL, self.to.endpoint.wait_idle()).await;
    }
}

/// A time that has passed leaves no wait, which is not the same as to wait for all.
fn patience(until: Until, now: Instant) -> Patience {
    let wait = until.at.saturating_duration_since(now).as_micros();
    Patience {
        wait_us: u32::try_from(wait).unwrap_or(u32::MAX).max(1),
        least_permille: until.least_permille,
    }
}

fn failure(why: splitinfer_wire::Failure) -> Failure {
    use splitinfer_wire::Failure as Wire;
    match why {
        Wire::Server { status, text } => Failure::Server { status, text },
        Wire::SessionEnded | Wire::Stream(_) => Failure::Disconnected,
        other => Failure::Answer(other.to_string()),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn fetched(
    task: &mut Option<JoinHandle<Result<Vec<u8>, String>>>,
) -> Result<Vec<u8>, String> {
    let Some(running) = task else {
        return std::future::pending().await;
    };
    let result = running.await;
    *task = None;
    result.unwrap_or_else(|e| Err(format!("reading the model failed: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_wait_is_counted_from_now_and_never_none() {
        let now = Instant::now();
        let wait = |at| {
            let until = Until {
                at,
                least_permille: 500,
            };
            patience(until, now).wait_us
        };
        assert_eq!(wait(now + Duration::from_millis(20)), 20_000);
        assert_eq!(wait(now - Duration::from_millis(1)), 1);
        assert_eq!(wait(now + Duration::from_secs(1 << 20)), u32::MAX);
    }
}
