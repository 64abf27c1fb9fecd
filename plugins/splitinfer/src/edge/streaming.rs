// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The part of a frame's work that is done on the streaming thread: prepare the picture, choose, and have the choice carried
//! out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst_video::{VideoFrameRef, VideoInfo};
use splitinfer_plan::{Advice, Choice};
use splitinfer_vision::{Picture, Placement, Preprocessor};

use super::check::Checker;
use super::crossing::{Coding, Crossing, Feedback};
use super::engine::Engine;
use super::filming::Filming;
use super::frame::{Frame, Work};
use super::imp::Started;
use super::job::{Dispatch, Job, Request, Times};
use super::planner::{PlanChange, Planner};
use super::settings::Settings;
use super::split::{self, SplitSetting};
use splitinfer_inference::picture;

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
                crossing: Crossing::new(engine.candidates().len(), checker, || settings.encoder()),
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
        let plans = settings.split == SplitSetting::Auto && !settings.remote_only;
        if plans && started.link.as_deref().is_some_and(curious) {
            tools.unsurveyed = Some(picture.clone());
        }
        let advice = match (&started.link, wanted.choice) {
            (Some(link), Choice::Picture | Choice::Video | Choice::Candidate(_))
                if link.has_version(engine.version()) =>
            {
                link.advice(wanted.probe, now)
            }
            _ => Advice::Keep,
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
        let engine = started.current.get();
        let filming = &mut tools.filming;
        tools.planner.survey(&engine, settings, &picture, filming)
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
        if feedback.lost {
            self.planner.tensors_lost();
        }
        if let (Some(filming), Some(lost)) = (&mut self.filming, feedback.video_lost)
            && filming.lost(lost)
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
