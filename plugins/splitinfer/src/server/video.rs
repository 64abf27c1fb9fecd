// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The pictures of an edge's video, each decoded when the one before it is, whatever order they come in and whether or not
//! anybody still waits for the answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use splitinfer_vision::Picture;
use splitinfer_wire::{Status, VideoChain, VideoHeader};

use super::answer::{Answer, Failure};
use super::decode::Decoded;
use super::service::{Served, Serving};
use super::worker::{self, dropped, finish, guarded, reply};
use crate::net::server::Job;
use splitinfer_video::{VideoDecoder, VideoError};

/// The video of one edge.
#[derive(Default)]
pub struct Video(Mutex<Stream>);

#[derive(Default)]
struct Stream {
    chain: VideoChain<Job<Served>>,
    /// Made for the first picture, and again after one that could not be decoded.
    decoder: Option<VideoDecoder>,
    /// Decoded pictures, by their frame, whose jobs wait for their turn again.
    decoded: HashMap<u64, Decoded>,
    /// The edge has gone.
    closed: bool,
}

/// A picture that has come, and what became of it.
struct Shown {
    job: Job<Served>,
    begun: Instant,
    picture: Result<Decoded, Failure>,
}

/// Does what the coming of this picture makes possible: nothing, if it has to wait for another.
pub fn serve(serving: &Serving, job: Job<Served>) {
    let begun = Instant::now();
    let session = job.session.clone();
    if let Some(decoded) = session.video.decoded(job.header.number) {
        let picture = Ok(decoded);
        return conclude(
            serving,
            Shown {
                job,
                begun,
                picture,
            },
        );
    }
    let header = match VideoHeader::decode(&job.payload) {
        Ok((header, _)) => header,
        Err(problem) => {
            let queue = begun.saturating_duration_since(job.received);
            return finish(serving, job, queue, Err(Failure::bad(problem)));
        }
    };
    let mut computed = false;
    for shown in session.video.show(header, job) {
        match shown.picture {
            // The others wait for their turn, as if they came now: no edge may have many at once.
            Ok(decoded) if computed => put_back(serving, shown.job, decoded),
            picture => {
                computed |= picture.is_ok();
                conclude(serving, Shown { picture, ..shown });
            }
        }
    }
}

fn put_back(serving: &Serving, job: Job<Served>, decoded: Decoded) {
    let (session, number) = (job.session.clone(), job.header.number);
    session.video.keep(number, decoded);
    if let Err(job) = serving.queue.push(session.client.id, job) {
        drop(session.video.decoded(number));
        let text = "more frames of this edge wait than the server queues".to_owned();
        let refused = Err(Failure(Status::Overloaded, text));
        let queue = job.received.elapsed();
        finish(serving, job, queue, refused);
    }
}

fn conclude(serving: &Serving, shown: Shown) {
    let Shown {
        job,
        begun,
        picture,
    } = shown;
    let wanted = job.is_wanted(Instant::now()) && Instant::now() < wanted_until(&job);
    let queue = begun.saturating_duration_since(job.received);
    match picture {
        Ok(decoded) if !wanted => {
            dropped(serving, &job);
            reply(job, queue, Answer::empty(decoded.took));
        }
        Ok(decoded) => worker::serve(serving, job, begun, Some(decoded)),
        Err(failure) => finish(serving, job, queue, Err(failure)),
    }
}

/// The edge counts both times from the same instant.
fn wanted_until(job: &Job<Served>) -> Instant {
    let micros = |us: u32| Duration::from_micros(us.into());
    let answer = VideoHeader::decode(&job.payload).map_or(0, |(header, _)| header.answer_us);
    let longer = micros(job.header.budget_us).saturating_sub(micros(answer));
    job.deadline.checked_sub(longer).unwrap_or(job.deadline)
}

impl Video {
    /// The edge has gone: nothing is waited for any more, and what waits, which holds the edge's session, is dropped.
    pub fn close(&self) {
        let mut stream = self.lock();
        stream.closed = true;
        stream.decoder = None;
        stream.decoded.clear();
        drop(stream.chain.broken());
    }

    /// Pictures that wait for an earlier one.
    pub fn held(&self) -> usize {
        self.lock().chain.held()
    }

    fn lock(&self) -> MutexGuard<'_, Stream> {
        // A thread that failed while it decoded leaves a decoder behind that the next picture may find of no use: it is
        // made anew then.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The picture of this frame, if it has been decoded before its turn.
    fn decoded(&self, number: u64) -> Option<Decoded> {
        self.lock().decoded.remove(&number)
    }

    fn keep(&self, number: u64, decoded: Decoded) {
        let mut stream = self.lock();
        if !stream.closed {
            stream.decoded.insert(number, decoded);
        }
    }

    /// Those that can be decoded now, in their order, and those that cannot be any more.
    fn show(&self, header: VideoHeader, job: Job<Served>) -> Vec<Shown> {
        let mut stream = self.lock();
        if stream.closed {
            return vec![missing(job)];
        }
        let arrived = stream.chain.arrived(header, job);
        let mut shown: Vec<_> = arrived.lost.into_iter().map(missing).collect();
        let mut broken = false;
        for job in arrived.ready {
            if broken {
                shown.push(missing(job));
                continue;
            }
            let begun = Instant::now();
            let picture = guarded(|| stream.decode(&job).map_err(Failure::bad));
            broken = picture.is_err();
            let picture = picture.map(|picture| Decoded {
                picture,
                took: begun.elapsed(),
            });
            shown.push(Shown {
                job,
                begun,
                picture,
            });
        }
        if broken {
            stream.decoder = None;
            shown.extend(stream.chain.broken().into_iter().map(missing));
        }
        shown
    }
}

impl Stream {
    fn decode(&mut self, job: &Job<Served>) -> Result<Picture, VideoError> {
        let (_, unit) = VideoHeader::decode(&job.payload)
            .map_err(|problem| VideoError::new(problem.to_string()))?;
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => {
                let input = &job.session.subject.info.input;
                none.insert(VideoDecoder::new(input.width, input.height)?)
            }
        };
        decoder.decode(unit)
    }
}

fn missing(job: Job<Served>) -> Shown {
    let text = "the picture before it is missing".to_owned();
    Shown {
        job,
        begun: Instant::now(),
        picture: Err(Failure(Status::NoReference, text)),
    }
}
