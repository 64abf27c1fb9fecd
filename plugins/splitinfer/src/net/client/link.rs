// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One session with one server, from the control stream's opening to the connection's end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::{ReadError, RecvStream, SendStream, VarInt};
use splitinfer_wire::close::stream_code;
use splitinfer_wire::{
    ByeReason, CloseReason, EdgeConfig, EdgeEvent, EdgeSession, EdgeTiming, OpenError, Refuse,
    ResultBody, ResultHeader, ServerPhase, WeightsCode, WeightsEvent, WeightsRefuse, Welcome,
};
use tokio::task::JoinHandle;

use super::dial::{DialError, Dialled, explain};
use super::driver::Driver;
use super::flights::{Exchanged, Flights};
use super::monitor::Monitor;
use super::opening::opening;
use super::shared::{Command, Inlet};
use super::{ClientEvent, Failure, FrameRequest, WeightsOrder};
use crate::net::address::ServerAddress;
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
        flights: Flights::new(
            to.connection.clone(),
            driver.hello.max_result_bytes as usize,
        ),
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
    flights: Flights,
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
            done = self.flights.next() => Happening::Exchanged(done),
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
                    self.flights.reset(number, stream_code::CANCELLED);
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
        let opening = opening(&frame, now);
        let knows = |w: &Welcome| w.version.has_patience();
        let patient = opening
            .patience
            .filter(|_| self.session.welcome().is_some_and(knows));
        let wait = patient.map_or(0, |p| p.wait_us);
        match self.session.open_frame(now, &opening) {
            Ok(header) => {
                let wait = Duration::from_micros(wait.into());
                self.flights.begin(header, frame, wait);
            }
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
                self.flights.reset(number, stream_code::CANCELLED);
                self.fail(number, failure(why));
            }
            EdgeEvent::Expired { number } => {
                self.flights.reset(number, stream_code::DEADLINE);
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
        let Some(flight) = self.flights.landed(number) else {
            return;
        };
        if self.driver.shared.frame_ended(number) {
            let reply = flight.reply(number, header, body, took);
            self.driver.emit(ClientEvent::Result(reply));
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
        self.flights.give_up_all();
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

fn failure(why: splitinfer_wire::Failure) -> Failure {
    use splitinfer_wire::Failure as Wire;
    match why {
        Wire::Server { status, text } => Failure::Server { status, text },
        Wire::Refused { queue, took } => Failure::Refused { queue, round: took },
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
