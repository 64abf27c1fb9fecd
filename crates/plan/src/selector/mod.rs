// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The selector as an edge uses it: it learns from the frames that pass, and says where the next one goes.

mod crowded;
mod outlook;
mod plan;
mod probes;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::crowd::Crowd;
use crate::speeds::Speeds;
use crate::transit::Transit;
use crate::{Choice, Decision, Objective, Offload, Profile};
use probes::{Probes, Shown, Starts};

/// Of so many frames about, the mean of the bytes sent is taken for the next.
const SIZE_MEMORY: u64 = 8;
/// A monitor's word counts where the frames have not told anything for so long.
const SILENT: Duration = Duration::from_millis(250);
/// And the server's own on how fast it is.
const FORGOTTEN: Duration = Duration::from_secs(1);
/// Completion here may take so many times as long as usual.
const CAUTION: f64 = 1.05;

/// What one answered frame told about path and server.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub number: u64,
    pub choice: Choice,
    pub bytes: u64,
    /// It was coded without an earlier frame, as pictures always are.
    pub alone: bool,
    /// From sending to the last byte of the answer.
    pub taken: Duration,
    /// How long it waited on the server.
    pub queue: Duration,
    /// Decoding and inference there.
    pub work: Duration,
}

/// What is wanted of the next plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    pub connected: bool,
    /// Pictures may go to the server as a video, if the profile says what that costs.
    pub video: bool,
    pub objective: Objective,
    /// From the prepared picture to the result.
    pub budget: Duration,
    /// Time between two inferred frames; `None`: not known.
    pub interval: Option<Duration>,
    /// Frames that may be under way at a time.
    pub in_flight: u32,
}

/// Where the next frame goes.
#[derive(Clone, Debug)]
pub struct Plan {
    pub decision: Decision,
    /// The frame is sent to see how the link is, and completed here all the same.
    pub probe: bool,
    /// From now on, how long an answer is to be waited for even if completion here is late then.
    pub patience: Duration,
}

/// Frames of the same choice, one after the other.
#[derive(Clone, Copy, Debug)]
struct Row {
    choice: Choice,
    /// Number of the first one that went to the server.
    first: Option<u64>,
}

impl Row {
    fn goes_on_with(&self, round: &Round) -> bool {
        self.choice == round.choice && self.first.is_some_and(|first| round.number > first)
    }
}

/// Estimators and the current choice.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    current: Option<Choice>,
    speeds: Option<Speeds>,
    link: Transit,
    /// Mean wait on the server, seconds.
    queue: f64,
    /// Cuts of which the server has answered a frame: what it lacks stands alone.
    known: Vec<usize>,
    keeps_last_only: bool,
    /// Of the last frame that was sent of one.
    last_cut: Option<usize>,
    /// The server has what the next frame of the video is predicted from.
    video: bool,
    row: Option<Row>,
    crowd: Crowd,
    /// When the last frame went to the server.
    last_sent: Option<Instant>,
    probes: Probes,
    starts: Starts,
    shown: Option<Shown>,
    /// Since when all is done here, after frames went to the server.
    here_since: Option<Instant>,
    /// When the last frame is likely to have come, whatever it waited for.
    came: Option<Instant>,
    /// When the monitor's last word on the rate was heard.
    monitored: Option<Instant>,
}

impl Selector {
    /// `seed`: any number, but not that of another edge of the same server: they would do the same at the same time.
    pub fn new(seed: u64) -> Self {
        Self {
            crowd: Crowd::new(seed),
            ..Self::default()
        }
    }

    /// What each choice costs on this machine; until it is set, everything is done here.
    pub fn set_profile(&mut self, profile: Profile) {
        self.speeds = Some(Speeds::new(profile));
    }

    /// A choice of the profile was only estimated, or a video was not in it, and is known now.
    pub fn measured(&mut self, choice: Choice, offload: Offload) {
        let Some(profile) = self.speeds.as_mut().map(Speeds::measured_mut) else {
            return;
        };
        match (choice, profile.offload_mut(choice)) {
            (_, Some(old)) => *old = offload,
            (Choice::Video, None) => profile.video = Some(offload),
            _ => {}
        }
    }

    /// As it was set, with the sizes of frames as they are now.
    pub fn profile(&self) -> Option<&Profile> {
        self.speeds.as_ref().map(Speeds::measured)
    }

    pub fn current(&self) -> Option<Choice> {
        self.current
    }

    /// The choice was made by somebody else.
    pub fn set_current(&mut self, choice: Choice) {
        self.current = Some(choice);
    }

    /// The streaming thread has worked so long on a frame of this choice, inference and coding.
    pub fn worked(&mut self, choice: Choice, took: Duration) {
        if self.row.is_none_or(|row| row.choice != choice) {
            self.row = Some(Row {
                choice,
                first: None,
            });
        }
        if let Some(speeds) = &mut self.speeds {
            speeds.worked(choice, took);
        }
    }

    /// A frame of this choice was completed here after all.
    pub fn completed(&mut self, choice: Choice, took: Duration) {
        if let Some(speeds) = &mut self.speeds {
            speeds.completed(choice, took);
        }
    }

    pub fn sent(&mut self, number: u64, choice: Choice, bytes: u64, now: Instant) {
        let there = self.speeds.as_ref().map_or(0.0, |s| s.there(choice));
        self.last_sent = Some(now);
        if let Choice::Candidate(cut) = choice {
            self.last_cut = Some(cut);
            self.known
                .retain(|known| *known == cut || !self.keeps_last_only);
        }
        self.link.sent(number, bytes, self.queue + there, now);
        if let Some(row) = self.row.as_mut().filter(|row| row.choice == choice) {
            row.first.get_or_insert(number);
        }
    }

    /// A frame was answered in time.
    pub fn answered(&mut self, round: &Round) {
        let there = (round.queue + round.work).as_secs_f64();
        let came = self
            .link
            .answered(round.number, round.taken.as_secs_f64(), there);
        if let Some(at) = came {
            self.shown = Some(Shown::new(round.taken, at));
        }
        self.queue += (round.queue.as_secs_f64() - self.queue) / 4.0;
        if let Some(speeds) = &mut self.speeds {
            speeds.served(round.choice, round.work);
            // What is predicted from a frame further back is larger than it would be in a row.
            let in_row = round.choice == Choice::Picture
                || round.alone
                || self.row.is_some_and(|row| row.goes_on_with(round));
            if let Some(offload) = speeds.measured_mut().offload_mut(round.choice)
                && in_row
            {
                let fresh = round.alone && round.choice != Choice::Picture;
                let size = match fresh {
                    true => &mut offload.fresh_bytes,
                    false => &mut offload.bytes,
                };
                *size = (*size * (SIZE_MEMORY - 1) + round.bytes) / SIZE_MEMORY;
            }
        }
        self.video |= round.choice == Choice::Video;
        self.decoded(round.choice);
    }

    /// The server has a frame of this choice, in time for its answer or not: the next ones can be predicted.
    pub fn decoded(&mut self, choice: Choice) {
        if let Choice::Candidate(cut) = choice
            && (self.last_cut == Some(cut) || !self.keeps_last_only)
            && !self.known.contains(&cut)
        {
            self.known.push(cut);
        }
    }

    /// The server keeps what frames are predicted from of the last cut only, as older ones do, and not of each.
    pub fn set_keeps_last_only(&mut self, last_only: bool) {
        self.keeps_last_only = last_only;
    }

    /// The server has none of the tensors any more that next ones could be predicted from.
    pub fn tensors_lost(&mut self) {
        self.known.clear();
    }

    /// A frame was not answered in time.
    pub fn given_up(&mut self, number: u64, now: Instant) {
        self.link.given_up(number, now);
    }

    /// The server has lost a frame of the video, so that the next one of it stands alone.
    pub fn video_broken(&mut self) {
        self.video = false;
    }

    /// The server has refused a frame as soon as it had come, for it would have had to wait there for `queue`. `taken`: from
    /// sending to that answer.
    pub fn refused(&mut self, number: u64, taken: Duration, queue: Duration, now: Instant) {
        self.link.answered(number, taken.as_secs_f64(), 0.0);
        self.queue = queue.as_secs_f64();
        self.crowd.refused(now);
    }

    /// The session is gone, and what the server had with it.
    pub fn disconnected(&mut self) {
        self.link.disconnected();
        self.shown = None;
        self.crowd.disconnected();
        self.tensors_lost();
        self.video = false;
    }

    /// Round trip of the connection as QUIC smooths it, with what waits before its own packets.
    pub fn trip(&mut self, rtt: Duration, now: Instant) {
        self.link.trip(rtt, now);
    }

    /// What a monitor beside the connection has found: mean round trip of its small packets, and bytes a second of the
    /// link, measured at `at`.
    pub fn monitored(&mut self, rtt: Option<Duration>, rate: Option<(f64, Instant)>, now: Instant) {
        if let Some(rtt) = rtt {
            self.link.monitored_rtt(rtt);
        }
        if let Some((rate, at)) = rate
            && self.monitored.is_none_or(|last| at > last)
        {
            self.monitored = Some(at);
            if self.link.age(now).is_none_or(|age| age >= SILENT) {
                self.link.monitored_rate(rate, now);
            }
        }
    }

    /// What the server tells of itself without a frame: how long a new one would wait there, and how long it works on
    /// frames of a choice, as it has on those of others. It counts where this one's frames have not told anything for a
    /// while, so that an edge which has met it in a bad moment does not stay away for good.
    pub fn server(
        &mut self,
        queue: Duration,
        times: impl Iterator<Item = (Choice, Duration)>,
        now: Instant,
    ) {
        let silence = self.last_sent.map(|at| now.saturating_duration_since(at));
        if silence.is_none_or(|silence| silence >= SILENT) {
            self.queue = queue.as_secs_f64();
        }
        let forgotten = silence.is_none_or(|silence| silence >= FORGOTTEN);
        let speeds = self.speeds.as_mut();
        if let Some(speeds) = speeds.filter(|speeds| forgotten || !speeds.server_known()) {
            times.for_each(|(choice, took)| speeds.served(choice, took));
        }
    }

    /// So many frames, of this edge and of others, wait at the server.
    pub fn waiting(&mut self, frames: u32, now: Instant) {
        self.crowd.seen(frames, self.link.unanswered(), now);
    }

    /// Bytes a second of the link, as far as they are known.
    pub fn bandwidth(&self, now: Instant) -> Option<f64> {
        self.link.rate(now)
    }

    /// How long it takes to complete a frame of this choice here, with some caution; `None` without a profile.
    pub fn time_to_complete(&self, choice: Choice) -> Option<Duration> {
        let speeds = self.speeds.as_ref()?;
        let rest = speeds.measured().rest(choice);
        Some(rest.mul_f64(speeds.rest(choice) * CAUTION))
    }
}
