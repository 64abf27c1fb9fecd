// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The work on one picture here: all of the model, or its head and the code of what crosses, or the code of the picture.

use std::sync::Arc;
use std::time::{Duration, Instant};

use splitinfer_plan::{Advice, Choice};
use splitinfer_tensorcode::AUTO;
use splitinfer_vision::{Picture, Placement};

use super::OnDeadline;
use super::crossing::{Coding, Crossing, Wanted};
use super::engine::Engine;
use super::filming::{self, Filming};
use super::frame::{Outcome, Remote, Rest, Work};
use super::incomplete::Leaving;
use super::link::Link;
use super::monitor;
use super::planner::{Chosen, Planner};
use super::settings::Settings;
use crate::net::client::Until;

/// What crosses the network for a frame.
pub(super) struct Request {
    pub(super) choice: Choice,
    /// It needs no frame before it.
    pub(super) alone: bool,
    /// Until when an answer is of use.
    pub(super) deadline: Instant,
    /// Until when it is of use to the frames after it.
    pub(super) expires: Instant,
    pub(super) placement: [f32; 6],
    pub(super) payload: Vec<u8>,
    pub(super) model_version: u64,
    pub(super) pts_ns: Option<u64>,
    /// When the server shall go on with what it has of the payload.
    pub(super) patience: Option<Until>,
    /// The longest that the server may take once it has all of it; `None`: there is no other way to a result.
    pub(super) longest: Option<Duration>,
}

/// What goes to the server for a frame, for the statistics.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dispatch {
    pub(super) choice: Choice,
    pub(super) alone: bool,
    pub(super) bytes: usize,
}

/// Where the time on the streaming thread went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) prepare: Duration,
    pub(super) infer: Duration,
    pub(super) encode: Duration,
}

/// The work on one picture.
pub(super) struct Job<'a> {
    pub(super) number: u64,
    pub(super) engine: &'a Arc<Engine>,
    pub(super) crossing: &'a mut Crossing,
    pub(super) filming: &'a mut Option<Filming>,
    pub(super) settings: &'a Settings,
    pub(super) placement: Placement,
    pub(super) pts: Option<gst::ClockTime>,
    pub(super) deadline: Instant,
    pub(super) planner: &'a mut Planner,
    pub(super) link: Option<&'a Link>,
    pub(super) times: &'a mut Times,
    pub(super) coding: &'a mut Option<Coding>,
    pub(super) sent: Option<Dispatch>,
}

impl Job<'_> {
    /// The work that is done here, and what is to be sent once the frame is queued.
    pub(super) fn begin(
        &mut self,
        picture: Picture,
        wanted: Chosen,
        advice: Advice,
    ) -> Result<(Choice, Work, Option<Request>), gst::ErrorMessage> {
        if self.settings.remote_only && advice == Advice::Keep {
            return Ok((wanted.choice, Work::Done(Outcome::default()), None));
        }
        if advice == Advice::Keep || wanted.choice == Choice::Here {
            let work = self.here(&picture)?;
            self.planner.worked(Choice::Here, self.times.infer);
            return Ok((Choice::Here, work, None));
        }
        let probe = advice == Advice::Probe;
        if probe {
            // Nobody waits for the answer to a probe: it may come when it likes.
            self.deadline = Instant::now() + self.settings.latency_budget;
        }
        let of_use = self.answer_of_use(wanted.choice, probe);
        let Coded {
            choice,
            rest,
            payload,
            alone,
        } = match wanted.choice {
            Choice::Candidate(i) => self.head(&picture, i)?,
            Choice::Video => self.video(picture, of_use)?,
            _ => self.jpeg(picture)?,
        };
        let worked = self.times.infer + self.times.encode;
        self.planner.worked(choice, worked);
        let now = Instant::now();
        self.planner.sent(self.number, choice, payload.len(), now);
        self.sent = Some(Dispatch {
            choice,
            alone,
            bytes: payload.len(),
        });
        let mut request = Request {
            choice,
            alone,
            deadline: of_use,
            // A key picture in its place would take longer than what is left of it, and so would tensors that stand alone: where they
            // are too large for the budget, the next ones are not if these arrive at last.
            expires: match choice {
                Choice::Video => of_use + self.settings.latency_budget,
                Choice::Candidate(_) if alone => of_use + self.settings.latency_budget,
                _ => of_use,
            },
            placement: self.placement.to_f32x6(),
            payload,
            model_version: self.engine.version(),
            pts_ns: self.pts.map(gst::ClockTime::nseconds),
            patience: None,
            longest: match self.settings.on_deadline() {
                OnDeadline::Complete => {
                    let until = of_use.saturating_duration_since(now);
                    Some(wanted.longest.map_or(until, |longest| longest.min(until)))
                }
                OnDeadline::Skip => None,
            },
        };
        let rtt = self.link.and_then(|link| monitor::rtt(&link.stats()));
        let leaving = |give_up_at, deadline| Leaving {
            choice,
            alone,
            give_up_at,
            deadline,
            engine: self.engine,
            rtt,
        };
        if probe {
            // That it can be answered at all is what a probe is to show.
            let leaving = leaving(self.deadline, self.deadline);
            request.patience = leaving.patience(self.planner, self.settings, Instant::now());
            if let Some(link) = self.link {
                link.send(self.number, request);
            }
            let begun = Instant::now();
            let outcome = match self.settings.remote_only {
                true => Outcome::default(),
                false => self.engine.complete(&rest, &self.placement)?,
            };
            self.times.infer += begun.elapsed();
            return Ok((choice, Work::Done(outcome), None));
        }
        let give_up_at =
            self.planner
                .give_up_at(&wanted, self.engine, self.settings, self.deadline);
        let leaving = leaving(give_up_at, self.deadline);
        request.patience = leaving.patience(self.planner, self.settings, Instant::now());
        Ok((
            choice,
            Work::Remote(Remote::new(rest, self.placement, give_up_at)),
            Some(request),
        ))
    }

    /// Until when an answer is of use: a frame that is late is completed here, but takes an answer that comes before that is done.
    fn answer_of_use(&self, choice: Choice, probe: bool) -> Instant {
        let rest = |budget| self.planner.rest(choice, self.engine, budget);
        match self.settings.on_deadline() {
            OnDeadline::Complete if !probe => self.deadline + rest(self.settings.latency_budget),
            _ => self.deadline,
        }
    }

    fn here(&mut self, picture: &Picture) -> Result<Work, gst::ErrorMessage> {
        let begun = Instant::now();
        let tensor = self.engine.tensor(picture)?;
        self.times.prepare += begun.elapsed();
        let begun = Instant::now();
        let outputs = self.engine.whole(&tensor)?;
        let outcome = self.engine.read(outputs, &self.placement)?;
        self.times.infer += begun.elapsed();
        Ok(Work::Done(outcome))
    }

    fn head(&mut self, picture: &Picture, candidate: usize) -> Result<Coded, gst::ErrorMessage> {
        let begun = Instant::now();
        let tensor = self.engine.tensor(picture)?;
        self.times.prepare += begun.elapsed();
        let begun = Instant::now();
        let tensors = self.engine.head(candidate, &tensor)?;
        self.times.infer += begun.elapsed();
        let begun = Instant::now();
        let wanted = Wanted {
            number: self.number,
            version: self.engine.version(),
            candidate,
            bits: bits(self.settings),
            output_error: self.settings.output_error,
            each_kept: self.link.is_some_and(Link::keeps_each_candidate),
            checked: self.planner.load().share(),
        };
        let coded = self.crossing.encode(&tensors, wanted, Some(self.engine));
        let (payload, coding) = coded.map_err(|e| {
            gst::error_msg!(
                gst::StreamError::Encode,
                ("cannot encode the tensors of this split: {e}")
            )
        })?;
        self.times.encode = begun.elapsed();
        *self.coding = Some(coding);
        Ok(Coded {
            choice: Choice::Candidate(candidate),
            rest: Rest::Tail { candidate, tensors },
            payload,
            alone: coding.alone,
        })
    }

    /// As a JPEG where the encoder fails.
    fn video(&mut self, picture: Picture, of_use: Instant) -> Result<Coded, gst::ErrorMessage> {
        let begun = Instant::now();
        let answer = of_use.saturating_duration_since(begun);
        let coded = filming::attempt(self.filming, |filming| {
            filming.encode(self.number, &picture, answer)
        });
        self.times.encode = begun.elapsed();
        let Some((payload, alone)) = coded else {
            return self.jpeg(picture);
        };
        Ok(Coded {
            choice: Choice::Video,
            rest: Rest::Picture(picture),
            payload,
            alone,
        })
    }

    fn jpeg(&mut self, picture: Picture) -> Result<Coded, gst::ErrorMessage> {
        let begun = Instant::now();
        let payload = splitinfer_tensorcode::picture::encode_jpeg(
            &picture.rgb,
            picture.width,
            picture.height,
            JPEG_QUALITY,
        )
        .map_err(|e| {
            gst::error_msg!(gst::StreamError::Encode, ("cannot encode the picture: {e}"))
        })?;
        self.times.encode += begun.elapsed();
        Ok(Coded {
            choice: Choice::Picture,
            rest: Rest::Picture(picture),
            payload,
            alone: true,
        })
    }
}

/// What is to be sent of a frame, and what remains to be done.
struct Coded {
    choice: Choice,
    rest: Rest,
    payload: Vec<u8>,
    /// It needs no frame before it.
    alone: bool,
}

/// What this costs in bytes and in objects that differ, docs/measurements/cuts.md says: it is not nothing.
pub(super) const JPEG_QUALITY: u8 = 90;

/// 0 leaves the depth to the code. docs/measurements/cuts.md says which objects that changes.
pub(super) fn bits(settings: &Settings) -> u8 {
    match settings.tensor_bits {
        0 => AUTO,
        bits => u8::try_from(bits).unwrap_or(32),
    }
}
