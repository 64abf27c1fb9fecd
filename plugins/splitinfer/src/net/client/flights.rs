// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames under way on one connection: each has a task that sends it and waits for what comes back.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use quinn::Connection;
use splitinfer_wire::{Content, ResultBody, ResultHeader, trailer};
use tokio::task::{AbortHandle, JoinSet};

use super::exchange::{Outgoing, exchange};
use super::{Body, FrameReply, FrameRequest, Part};
use crate::net::stream::ResetCode;

/// A result that came, or did not.
pub struct Exchanged {
    pub number: u64,
    pub outcome: Result<(ResultHeader, Bytes), String>,
}

/// A frame that is under way.
pub struct Flight {
    task: AbortHandle,
    code: ResetCode,
    pts_ns: Option<u64>,
    payload_len: usize,
    /// How long the server may wait for all of it.
    wait: Duration,
}

/// All frames that are under way.
pub struct Flights {
    connection: Connection,
    /// Of a result.
    max_bytes: usize,
    flights: HashMap<u64, Flight>,
    exchanges: JoinSet<Exchanged>,
}

impl Flights {
    pub fn new(connection: Connection, max_bytes: usize) -> Self {
        Self {
            connection,
            max_bytes,
            flights: HashMap::new(),
            exchanges: JoinSet::new(),
        }
    }

    /// `wait`: how long the server may wait for all of it; zero where it has to have all.
    pub fn begin(&mut self, header: Bytes, frame: FrameRequest, wait: Duration) {
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
        let (connection, code) = (self.connection.clone(), ResetCode::default());
        let most = self.max_bytes;
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

    /// The next that comes back, for ever if none is under way; `None` for one that was reset.
    pub async fn next(&mut self) -> Option<Exchanged> {
        match self.exchanges.join_next().await {
            Some(done) => done.ok(),
            None => std::future::pending().await,
        }
    }

    /// One that is under way no more.
    pub fn landed(&mut self, number: u64) -> Option<Flight> {
        self.flights.remove(&number)
    }

    /// Gives one up, if it is under way.
    pub fn reset(&mut self, number: u64, code: u32) {
        if let Some(flight) = self.landed(number) {
            flight.code.set(code);
            flight.task.abort();
        }
    }

    pub fn give_up_all(&mut self) {
        self.flights.clear();
        self.exchanges.abort_all();
    }
}

impl Flight {
    /// What came back. `took`: from its beginning on.
    pub fn reply(
        self,
        number: u64,
        header: &ResultHeader,
        body: ResultBody,
        took: Duration,
    ) -> FrameReply {
        let micros = |us: u32| Duration::from_micros(us.into());
        let share = 1.0 - f64::from(header.missing) / self.payload_len.max(1) as f64;
        let part = (header.missing > 0).then_some(Part {
            share: share.max(0.0),
            waited: self.wait,
        });
        FrameReply {
            number,
            pts_ns: self.pts_ns,
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
        }
    }
}
