// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The part of a frame's work that is done on the streaming thread: prepare the picture, run the head, encode the cut.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst_video::{VideoFrameRef, VideoInfo};
use splitinfer_plan::{Advice, Choice};
use splitinfer_tensorcode::AUTO;
use splitinfer_vision::{Picture, Placement, Preprocessor};

use super::check::Checker;
use super::crossing::{Coding, Crossing, Feedback, Wanted};
use super::engine::Engine;
use super::filming::Filming;
use super::frame::{Frame, Remote, Rest, Work};
use super::imp::Started;
use super::link::Link;
use super::planner::{Chosen, PlanChange, Planner};
use super::settings::Settings;
use super::split::{self, SplitSetting};
use splitinfer_inference::picture;

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
}

/// What goes to the server for a frame, for the statistics.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dispatch {
    pub(super) choice: Choice,
    pub(super) alone: bool,
    pub(super) bytes: usize,
}

/// A frame whose part here is done.
pub(super) struct Begun {
    pub(super) frame: Box<Frame>,
    /// To be sent once the frame is queued.
    pub(super) request: Option<Request>,
    /// What that is, or what was sent already, if it was a probe.
    pub(super) sent: Option<Dispatch>,
    pub(super) plan: Option<PlanChange>,
    pub(super) times: Times,
    /// Where tensors cross.
    pub(super) coding: Option<Coding>,
}

/// Where the time on the streaming thread went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) prepare: Duration,
    pub(super) infer: Duration,
    pub(super) encode: Duration,
}

/// State of the streaming thread.
#[derive(Default)]
pub(super) struct Streaming {
    video: Option<VideoInfo>,
    segment: Option<gst::Segment>,
    live: bool,
    tools: Option<Tools>,
    next_number: u64,
}

/// What works on frames; present while the element is started.
struct Tools {
    preprocessor: Preprocessor,
    crossing: Crossing,
    /// Where pictures can go to the server as a video.
    filming: Option<Filming>,
    planner: Planner,
    /// Of the frame that was begun last, if the planner has something to find out.
    unsurveyed: Option<Picture>,
}

impl Streaming {
    /// # Errors
    /// When the system has no more threads, or the encoder that the user names is of no use.
    pub(super) fn new(
        engine: &Arc<Engine>,
        settings: &Settings,
    ) -> Result<Self, gst::ErrorMessage> {
        let checker = match settings.server.is_some() {
            true => Some(Checker::start().map_err(|e| {
                gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("no thread: {e}"))
            })?),
            false => None,
        };
        Ok(Self {
            tools: Some(Tools {
                preprocessor: engine.preprocessor(),
                crossing: Crossing::new(engine.candidates().len(), checker),
                filming: Filming::new(engine, settings)?,
                planner: Planner::new(),
                unsurveyed: None,
            }),
            ..Self::default()
        })
    }

    pub(super) fn set_caps(&mut self, caps: &gst::CapsRef) -> Result<(), gst::glib::BoolError> {
        self.video = Some(VideoInfo::from_caps(caps)?);
        Ok(())
    }

    pub(super) fn set_segment(&mut self, segment: &gst::Segment) {
        self.segment = Some(segment.clone());
    }

    pub(super) fn flush(&mut self) {
        self.segment = None;
    }

    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// Running time and stream time of a timestamp.
    pub(super) fn times(
        &self,
        pts: Option<gst::ClockTime>,
    ) -> (Option<gst::ClockTime>, Option<gst::ClockTime>) {
        let segment = self
            .segment
            .as_ref()
            .and_then(|s| s.downcast_ref::<gst::ClockTime>());
        (
            segment.and_then(|s| s.to_running_time(pts)),
            segment.and_then(|s| s.to_stream_time(pts)),
        )
    }

    /// Does the part of the frame that is to be done here.
    pub(super) fn begin(
        &mut self,
        started: &Started,
        settings: &Settings,
        buffer: gst::Buffer,
        arrived: Instant,
        late: bool,
    ) -> Result<Begun, gst::ErrorMessage> {
        let number = self.next_number;
        self.next_number += 1;
        let engine = started.current.get();
        let Some(video) = &self.video else {
            return Err(gst::error_msg!(
                gst::CoreError::Negotiation,
                ("a buffer came before any caps")
            ));
        };
        let Some(tools) = &mut self.tools else {
            return Err(gst::error_msg!(
                gst::CoreError::StateChange,
                ("a buffer came before the element was started")
            ));
        };
        if late || !number.is_multiple_of(settings.inference_interval.max(1)) {
            return Ok(Begun::skipped(number, buffer, arrived, engine));
        }

        let mut times = Times::default();
        let mut coding = None;
        let (picture, placement) = tools.prepare(&buffer, video)?;
        times.prepare = arrived.elapsed();
        if let Some(mirror) = &started.mirror {
            mirror.begun(number, &engine, &picture, &placement);
        }

        let now = Instant::now();
        let interval = interval(video, settings);
        if let Some(link) = &started.link {
            tools.heed(&link.take_feedback());
        }
        let filming = tools.filming.is_some();
        let (wanted, plan) = tools
            .planner
            .choose(started, &engine, settings, filming, interval, now);
        let curious = |link| tools.planner.is_curious(link);
        if settings.split == SplitSetting::Auto && started.link.as_deref().is_some_and(curious) {
            tools.unsurveyed = Some(picture.clone());
        }
        let advice = match (&started.link, wanted.choice) {
            (Some(link), Choice::Picture | Choice::Video | Choice::Candidate(_))
                if link.has_version(engine.version()) =>
            {
                link.advice(now)
            }
            _ => Advice::Keep,
        };
        let advice = match advice {
            Advice::Send if wanted.probe => Advice::Probe,
            advice => advice,
        };
        let mut job = Job {
            number,
            engine: &engine,
            crossing: &mut tools.crossing,
            filming: &mut tools.filming,
            settings,
            placement,
            pts: buffer.pts(),
            deadline: arrived + settings.latency_budget,
            planner: &mut tools.planner,
            link: started.link.as_deref(),
            times: &mut times,
            coding: &mut coding,
            sent: None,
        };
        let (choice, work, request) = job.begin(picture, wanted, advice)?;
        let sent = job.sent;
        let split = split::name(choice, engine.candidates()).into();
        Ok(Begun {
            frame: Box::new(Frame {
                number,
                buffer,
                arrived,
                budget: settings.latency_budget,
                engine,
                split,
                work,
            }),
            request,
            sent,
            plan,
            times,
            coding,
        })
    }

    /// What can be done once the frame that was begun is under way.
    ///
    /// # Errors
    /// When inference or coding fails.
    pub(super) fn finish(
        &mut self,
        started: &Started,
        settings: &Settings,
    ) -> Result<(), gst::ErrorMessage> {
        let Some(tools) = &mut self.tools else {
            return Ok(());
        };
        let Some(picture) = tools.unsurveyed.take() else {
            return Ok(());
        };
        let interval = self.video.as_ref().and_then(|v| interval(v, settings));
        let engine = started.current.get();
        let filming = tools.filming.as_mut();
        tools
            .planner
            .survey(&engine, settings, &picture, filming, interval)
    }
}

impl Begun {
    fn skipped(number: u64, buffer: gst::Buffer, arrived: Instant, engine: Arc<Engine>) -> Self {
        Self {
            frame: Box::new(Frame {
                number,
                buffer,
                arrived,
                // Nothing is due.
                budget: Duration::MAX,
                engine,
                split: "none".into(),
                work: Work::Skipped,
            }),
            request: None,
            sent: None,
            plan: None,
            times: Times::default(),
            coding: None,
        }
    }
}

impl Tools {
    fn heed(&mut self, feedback: &Feedback) {
        self.crossing.heed(feedback);
        if let Some(filming) = &mut self.filming
            && filming.heed(feedback.video_lost)
        {
            self.planner.video_broken();
        }
    }

    fn prepare(
        &mut self,
        buffer: &gst::Buffer,
        video: &VideoInfo,
    ) -> Result<(Picture, Placement), gst::ErrorMessage> {
        let unusable = |problem: String| {
            gst::error_msg!(gst::StreamError::Format, ("unusable frame: {problem}"))
        };
        let frame = VideoFrameRef::from_buffer_ref_readable(buffer, video)
            .map_err(|_| unusable(format!("it does not hold a picture of {video:?}")))?;
        let frame = picture::borrow(&frame).map_err(|e| unusable(e.to_string()))?;
        self.preprocessor
            .picture(&frame)
            .map_err(|e| unusable(e.to_string()))
    }
}

/// Time between two frames to infer; `None` where the caps do not say how many frames a second there are.
fn interval(video: &VideoInfo, settings: &Settings) -> Option<Duration> {
    let fps = video.fps();
    let (frames, seconds) = (
        u32::try_from(fps.numer()).ok()?,
        u32::try_from(fps.denom()).ok()?,
    );
    let every = u32::try_from(settings.inference_interval).unwrap_or(1);
    (frames > 0).then(|| Duration::from_secs(1) * seconds / frames * every)
}

/// The work on one picture.
struct Job<'a> {
    number: u64,
    engine: &'a Arc<Engine>,
    crossing: &'a mut Crossing,
    filming: &'a mut Option<Filming>,
    settings: &'a Settings,
    placement: Placement,
    pts: Option<gst::ClockTime>,
    deadline: Instant,
    planner: &'a mut Planner,
    link: Option<&'a Link>,
    times: &'a mut Times,
    coding: &'a mut Option<Coding>,
    sent: Option<Dispatch>,
}

impl Job<'_> {
    fn begin(
        &mut self,
        picture: Picture,
        wanted: Chosen,
        advice: Advice,
    ) -> Result<(Choice, Work, Option<Request>), gst::ErrorMessage> {
        if advice == Advice::Keep || wanted.choice == Choice::Here {
            let work = self.here(&picture)?;
            self.planner.worked(Choice::Here, self.times.infer);
            return Ok((Choice::Here, work, None));
        }
        let Coded {
            choice,
            rest,
            payload,
            alone,
        } = match wanted.choice {
            Choice::Candidate(i) => self.head(&picture, i)?,
            Choice::Video => self.video(picture)?,
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
        let probe = advice == Advice::Probe;
        // Nobody waits for the answer to a probe: it may come when it likes.
        let deadline = match probe {
            true => now + self.settings.latency_budget,
            false => self.deadline,
        };
        let request = Request {
            choice,
            alone,
            deadline,
            // A key picture in its place would take longer than what is left of it.
            expires: match choice {
                Choice::Video => deadline + self.settings.latency_budget,
                _ => deadline,
            },
            placement: self.placement.to_f32x6(),
            payload,
            model_version: self.engine.version(),
            pts_ns: self.pts.map(gst::ClockTime::nseconds),
        };
        if probe {
            if let Some(link) = self.link {
                link.send(self.number, request);
            }
            let begun = Instant::now();
            let outcome = self.engine.complete(&rest, &self.placement)?;
            self.times.infer += begun.elapsed();
            return Ok((choice, Work::Done(outcome), None));
        }
        let give_up_at = self.planner.give_up_at(&wanted, self.engine, self.deadline);
        Ok((
            choice,
            Work::Remote(Remote::new(rest, self.placement, give_up_at)),
            Some(request),
        ))
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

    /// As a JPEG where the encoder has failed, which ends its use.
    fn video(&mut self, picture: Picture) -> Result<Coded, gst::ErrorMessage> {
        let begun = Instant::now();
        let answer = self.deadline.saturating_duration_since(begun);
        let coded = self
            .filming
            .as_mut()
            .map(|filming| filming.encode(self.number, &picture, answer));
        match coded {
            Some(Ok((payload, alone))) => {
                self.times.encode = begun.elapsed();
                Ok(Coded {
                    choice: Choice::Video,
                    rest: Rest::Picture(picture),
                    payload,
                    alone,
                })
            }
            failed => {
                if let Some(Err(problem)) = failed {
                    gst::warning!(super::imp::CAT, "no more pictures as video: {problem}");
                }
                *self.filming = None;
                self.jpeg(picture)
            }
        }
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
