// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One frame of one client: admitted, received, computed elsewhere, answered.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::{RecvStream, SendStream};
use splitinfer_wire::close::stream_code;
use splitinfer_wire::{Admitted, Answer, AnswerBody, Content, REPORT_BIT, Reply, Status};
use tokio::sync::oneshot;

use super::client::Client;
use super::incoming::{Body, Head, Incoming};
use super::{Job, Outcome, OutcomeBody, Report, Service};
use crate::net::stream::{ResetCode, Stream};

/// From a stream's first byte to the end of its header: a client that opens streams and says nothing on them does not
/// keep them.
const HEADER: Duration = Duration::from_secs(3);

/// Tells the service of a frame's beginning, and, however it ends, of its end.
struct Begun<S: Service> {
    service: Arc<S>,
    session: Arc<S::Session>,
    number: u64,
}

impl<S: Service> Begun<S> {
    /// `None` before the session is open.
    fn new(client: &Client<S>, number: u64) -> Option<Self> {
        let session = client.session.borrow().clone()?;
        let service = client.common.service.clone();
        service.frame_begun(&session, number);
        Some(Self {
            service,
            session,
            number,
        })
    }
}

impl<S: Service> Drop for Begun<S> {
    fn drop(&mut self) {
        self.service.frame_ended(&self.session, self.number);
    }
}

/// Serves the stream of one frame.
pub async fn serve<S: Service>(client: Rc<Client<S>>, stream: (SendStream, RecvStream)) {
    let mut stream = Stream::new(stream, ResetCode::default());
    stream.code.set(stream_code::REFUSED);
    let mut incoming = Incoming::default();
    let read = tokio::time::timeout(HEADER, incoming.header(&mut stream)).await;
    let Ok(Some(head)) = read else {
        return;
    };
    let admitted = client
        .wire
        .borrow_mut()
        .admit_frame(head.since, &head.header);
    // The deadline of this frame may be the next thing the session waits for.
    client.touched.notify_one();
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(Some(reply)) => return answer(stream, reply).await,
        Err(None) => return,
    };
    let number = head.header.number;
    let Some(begun) = Begun::new(&client, number) else {
        return;
    };
    let (stop, stopped) = oneshot::channel();
    client.flights.borrow_mut().insert(number, stop);
    let reply = tokio::select! {
        biased;
        code = stopped => {
            stream.code.set(code.unwrap_or(stream_code::ENDED));
            None
        }
        reply = compute(&client, &begun.session, &mut stream, (head, incoming), admitted) => reply,
    };
    client.flights.borrow_mut().remove(&number);
    drop(begun);
    match reply {
        Some(reply) => answer(stream, reply).await,
        None => drop(client.wire.borrow_mut().abandon_frame(number)),
    }
}

/// `None` when the frame was given up on either side.
async fn compute<S: Service>(
    client: &Client<S>,
    session: &Arc<S::Session>,
    stream: &mut Stream,
    (head, incoming): (Head, Incoming),
    Admitted { deadline, enough }: Admitted,
) -> Option<Reply> {
    let number = head.header.number;
    let units = client.units(head.header.body_len());
    let _memory = client.memory.acquire_many(units).await.ok()?;
    let rtt = client.connection.rtt();
    let wait = enough.map(|(until, least)| client.pace.borrow().wait(until, least, rtt));
    let body = match incoming.body(stream, &head, wait).await {
        Ok(body) => body,
        Err(wrong) => return finish(client, number, failure(Status::BadInput, wrong?.0)),
    };
    if body.missing.is_empty() && wait.is_some_and(|w| w.at_once(head.since, body.last)) {
        client.pace.borrow_mut().came(body.silence);
    }
    let Body { bytes, missing, .. } = body;
    let (header, mut payload) = (head.header, bytes);
    let attachment = payload.split_off(header.payload_len as usize);
    if header.content == Content::Report {
        let report = Report {
            frame: number & !REPORT_BIT,
            result: payload,
            picture: attachment,
        };
        client.common.service.reported(session, report);
        return finish(client, number, acknowledged());
    }
    let forecast = match client.common.service.admit(client.id, session, &header) {
        Ok(forecast) => forecast,
        Err(wait) => return finish(client, number, refusal(wait)),
    };
    let (reply, outcome) = oneshot::channel();
    let job = Job {
        session: session.clone(),
        header,
        payload,
        missing,
        received: Instant::now(),
        deadline,
        forecast,
        reply,
    };
    if client.common.queue.push(client.id, job).is_err() {
        let text = "more frames of this edge wait than the server queues".to_owned();
        return finish(client, number, failure(Status::Overloaded, text));
    }
    let outcome = tokio::select! {
        outcome = outcome => outcome.unwrap_or_else(|_| {
            failure(Status::Dropped, "the frame was dropped unfinished".to_owned())
        }),
        // The edge does not want the result any more.
        _ = stream.send.stopped() => return None,
    };
    finish(client, number, outcome)
}

fn finish<S: Service>(client: &Client<S>, number: u64, outcome: Outcome) -> Option<Reply> {
    let mut wire = client.wire.borrow_mut();
    let body = match &outcome.body {
        OutcomeBody::None => AnswerBody::None,
        OutcomeBody::Objects(objects) => AnswerBody::Objects(objects),
        OutcomeBody::Tensors(bytes) => AnswerBody::Tensors(bytes.clone()),
        OutcomeBody::Failure(status, text) => AnswerBody::Failure(*status, text),
    };
    let answer = Answer {
        model_version: outcome.model_version,
        queue: outcome.queue,
        decode: outcome.decode,
        compute: outcome.compute,
        body,
        missing: u32::try_from(outcome.missing).unwrap_or(u32::MAX),
    };
    let reply = wire.finish_frame(Instant::now(), number, answer);
    drop(wire);
    client.touched.notify_one();
    reply
}

fn failure(status: Status, text: String) -> Outcome {
    Outcome {
        body: OutcomeBody::Failure(status, text),
        ..acknowledged()
    }
}

/// The edge has the result sooner by itself than after this wait, which it is told.
fn refusal(wait: Duration) -> Outcome {
    let text = format!(
        "others are before it for {:.1} ms",
        wait.as_secs_f64() * 1e3
    );
    Outcome {
        queue: wait.max(Duration::from_micros(1)),
        ..failure(Status::Overloaded, text)
    }
}

/// There is nothing to say but that it has come.
fn acknowledged() -> Outcome {
    Outcome {
        model_version: 0,
        queue: Duration::ZERO,
        decode: Duration::ZERO,
        compute: Duration::ZERO,
        body: OutcomeBody::None,
        missing: 0,
    }
}

async fn answer(mut stream: Stream, reply: Reply) {
    let mut parts = [reply.header, reply.body];
    if stream.send.write_all_chunks(&mut parts).await.is_ok() && stream.send.finish().is_ok() {
        // Dropping the receiving half stops what an early answer left unread.
        stream.done();
    }
}
