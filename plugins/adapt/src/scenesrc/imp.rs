// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use super::settings::Settings;
use super::truth;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};
use splitinfer_scene::{MAX_SIDE, Scene, Schedule};
use std::sync::{LazyLock, Mutex, MutexGuard};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "scenesrc",
        gst::DebugColorFlags::empty(),
        Some("Synthetic scenes"),
    )
});

/// What a scene is drawn in comes first: it is copied, the others are converted.
const FORMATS: [VideoFormat; 9] = [
    VideoFormat::Rgbx,
    VideoFormat::Rgba,
    VideoFormat::Rgb,
    VideoFormat::Bgrx,
    VideoFormat::Bgra,
    VideoFormat::Bgr,
    VideoFormat::I420,
    VideoFormat::Nv12,
    VideoFormat::Gray8,
];

/// What was negotiated, and the scene drawn for it.
struct Negotiated {
    info: VideoInfo,
    scene: Scene,
    /// From the scene's own format; `None` when that is what downstream takes.
    converter: Option<(VideoInfo, gst_video::VideoConverter)>,
}

#[derive(Default)]
struct State {
    negotiated: Option<Negotiated>,
    /// Number of the next frame.
    next: u64,
    /// Where a seek wants to start that came before the rate was known.
    wanted: Option<gst::ClockTime>,
}

#[derive(Default)]
pub struct SceneSrc {
    settings: Mutex<Settings>,
    state: Mutex<State>,
}

#[glib::object_subclass]
impl ObjectSubclass for SceneSrc {
    const NAME: &'static str = "GstSceneSrc";
    type Type = super::SceneSrc;
    type ParentType = gst_base::PushSrc;
}

impl SceneSrc {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap()
    }

    /// A domain that is set while the scene runs takes its place from the next frame on.
    fn set_domain(&self, domain: String) {
        match domain.parse::<Schedule>() {
            Ok(_) => {}
            // Start refuses it; a running scene stays as it is.
            Err(e) if self.state.lock().unwrap().negotiated.is_some() => {
                gst::element_imp_warning!(
                    self,
                    gst::LibraryError::Settings,
                    ["domain: {e}; the scene stays as it is"]
                );
                return;
            }
            Err(e) => gst::warning!(CAT, imp = self, "domain: {e}"),
        }
        self.settings().domain = domain;
        let mut state = self.state.lock().unwrap();
        if let Some(negotiated) = &mut state.negotiated {
            match self.scene(&negotiated.info) {
                Ok(scene) => negotiated.scene = scene,
                Err(e) => gst::warning!(CAT, imp = self, "{e}"),
            }
        }
    }

    fn scene(&self, info: &VideoInfo) -> Result<Scene, gst::LoggableError> {
        let rate = info.fps();
        let rate = (rate.numer() as u32, rate.denom() as u32);
        let config = self.settings().config(info.width(), info.height(), rate);
        config
            .and_then(Scene::new)
            .map_err(|e| gst::loggable_error!(CAT, "{e}"))
    }

    fn negotiated(&self, info: VideoInfo) -> Result<Negotiated, gst::LoggableError> {
        let scene = self.scene(&info)?;
        let converter = match info.format() {
            VideoFormat::Rgbx | VideoFormat::Rgba => None,
            _ => {
                let own = VideoInfo::builder(VideoFormat::Rgbx, info.width(), info.height())
                    .fps(info.fps())
                    .build()
                    .map_err(|e| gst::loggable_error!(CAT, "{e}"))?;
                let converter = gst_video::VideoConverter::new(&own, &info, None)
                    .map_err(|e| gst::loggable_error!(CAT, "{e}"))?;
                Some((own, converter))
            }
        };
        Ok(Negotiated {
            info,
            scene,
            converter,
        })
    }
}

impl Negotiated {
    fn time_of(&self, frame: u64) -> Option<gst::ClockTime> {
        let rate = self.info.fps();
        gst::ClockTime::SECOND
            .nseconds()
            .mul_div_floor(frame * rate.denom() as u64, rate.numer() as u64)
            .map(gst::ClockTime::from_nseconds)
    }

    fn frame_at(&self, time: gst::ClockTime) -> u64 {
        let rate = self.info.fps();
        let seconds = gst::ClockTime::SECOND.nseconds() * rate.denom() as u64;
        time.nseconds()
            .mul_div_round(rate.numer() as u64, seconds)
            .unwrap_or(u64::MAX)
    }

    /// Copies or converts the picture that the scene just drew.
    fn write(&self, buffer: &mut gst::BufferRef) -> Result<(), glib::BoolError> {
        let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer, &self.info)?;
        let Some((own, converter)) = &self.converter else {
            let stride = frame.plane_stride()[0] as usize;
            let row = self.info.width() as usize * 4;
            let rows = frame.plane_data_mut(0)?.chunks_mut(stride);
            for (to, from) in rows.zip(self.scene.rgba().chunks_exact(row)) {
                to[..row].copy_from_slice(from);
            }
            return Ok(());
        };
        let drawn = gst::Buffer::from_slice(self.scene.rgba().to_vec());
        let drawn = VideoFrameRef::from_buffer_ref_readable(&drawn, own)?;
        converter.frame_ref(&drawn, &mut frame);
        Ok(())
    }
}

impl ObjectImpl for SceneSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(properties);
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        // GObject has checked name and type against the list above.
        match pspec.name() {
            "scene" => self.settings().scene = value.get().unwrap_or_default(),
            "seed" => self.settings().seed = value.get().unwrap_or_default(),
            "scenario" => self.settings().scenario = value.get().unwrap_or_default(),
            "truth" => self.settings().truth = value.get().unwrap_or_default(),
            "is-live" => {
                let live = value.get().unwrap_or_default();
                self.settings().is_live = live;
                self.obj().set_live(live);
            }
            "domain" => {
                let domain: Option<String> = value.get().unwrap_or_default();
                self.set_domain(domain.unwrap_or_else(|| Settings::default().domain));
            }
            name => gst::error!(CAT, imp = self, "no property {name}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = self.settings();
        match pspec.name() {
            "scene" => settings.scene.to_value(),
            "seed" => settings.seed.to_value(),
            "scenario" => settings.scenario.to_value(),
            "truth" => settings.truth.to_value(),
            "is-live" => settings.is_live.to_value(),
            _ => settings.domain.to_value(),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let src = self.obj();
        src.set_format(gst::Format::Time);
        src.set_live(Settings::default().is_live);
    }
}

fn properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    let names = splitinfer_scene::PRESETS.map(|(name, _)| name).join(", ");
    let settings = splitinfer_scene::SETTINGS
        .map(|s| format!("{} {}-{}", s.name, s.low, s.high))
        .join(", ");
    // GParamSpec keeps the text for ever, and there is one of it.
    let domain: &'static str = Box::leak(
        format!(
            "What it looks like: a preset ({names}), then settings to change, as in \"night rain=0.5\" ({settings}). \
             Changes over time: \"day; 20 rain; 40~10 night; loop 60\" is rain from second 20, night gradually from 40 to 50, \
             and starts over at 60"
        )
        .into_boxed_str(),
    );
    vec![
        glib::ParamSpecEnum::builder_with_default("scene", default.scene)
            .nick("Scene")
            .blurb("What is shown")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt64::builder("seed")
            .nick("Seed")
            .blurb("Everything random follows from it: the same seed and settings give the same bytes")
            .default_value(default.seed)
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("domain")
            .nick("Domain")
            .blurb(domain)
            .default_value(Some("day"))
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("scenario", default.scenario)
            .nick("Scenario")
            .blurb("How much of motion and appearance recurs")
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("truth")
            .nick("Truth")
            .blurb("Attach the truth: metadata SplitInferTruth (with all of it as JSON) and a region of interest with a \"truth\" structure for each object")
            .default_value(default.truth)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("is-live")
            .nick("Is live")
            .blurb("Act like a camera: a frame when its time has come, instead of as fast as it goes")
            .default_value(default.is_live)
            .mutable_ready()
            .build(),
    ]
}

impl GstObjectImpl for SceneSrc {}

impl ElementImpl for SceneSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Scene source",
                "Source/Video",
                "Draws a street or walking people, with the exact truth about every frame as metadata",
                "The splitinfer authors",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst_video::VideoCapsBuilder::new()
                .format_list(FORMATS)
                .width_range(16..=MAX_SIDE as i32)
                .height_range(16..=MAX_SIDE as i32)
                .framerate_range(gst::Fraction::new(1, i32::MAX)..=gst::Fraction::new(i32::MAX, 1))
                .pixel_aspect_ratio(gst::Fraction::new(1, 1))
                .build();
            gst::PadTemplate::new(
                "src",
                gst::PadDirection::Src,
                gst::PadPresence::Always,
                &caps,
            )
            .into_iter()
            .collect()
        });
        TEMPLATES.as_ref()
    }
}

impl BaseSrcImpl for SceneSrc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let domain = self.settings().domain.clone();
        if let Err(e) = domain.parse::<Schedule>() {
            return Err(gst::error_msg!(
                gst::LibraryError::Settings,
                ("property 'domain': {e}")
            ));
        }
        *self.state.lock().unwrap() = State::default();
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *self.state.lock().unwrap() = State::default();
        Ok(())
    }

    fn fixate(&self, mut caps: gst::Caps) -> gst::Caps {
        caps.truncate();
        if let Some(structure) = caps.make_mut().structure_mut(0) {
            structure.fixate_field_nearest_int("width", 640);
            structure.fixate_field_nearest_int("height", 360);
            structure.fixate_field_nearest_fraction("framerate", gst::Fraction::new(30, 1));
        }
        self.parent_fixate(caps)
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info =
            VideoInfo::from_caps(caps).map_err(|e| gst::loggable_error!(CAT, "{caps}: {e}"))?;
        let negotiated = self.negotiated(info)?;
        let mut state = self.state.lock().unwrap();
        // With another rate the story goes on where it was.
        let now = state
            .negotiated
            .as_ref()
            .and_then(|old| old.time_of(state.next));
        if let Some(time) = state.wanted.take().or(now) {
            state.next = negotiated.frame_at(time);
        }
        state.negotiated = Some(negotiated);
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        !self.obj().is_live()
    }

    fn do_seek(&self, segment: &mut gst::Segment) -> bool {
        let Some(segment) = segment.downcast_mut::<gst::ClockTime>() else {
            return false;
        };
        if segment.rate() < 0.0 {
            gst::warning!(CAT, imp = self, "Scenes do not run backwards");
            return false;
        }
        let (start, position) = (segment.start(), segment.position());
        let Some(target) = position.or(start) else {
            return false;
        };
        let mut state = self.state.lock().unwrap();
        match &state.negotiated {
            Some(negotiated) => state.next = negotiated.frame_at(target),
            None => state.wanted = Some(target),
        }
        true
    }

    /// As a live source, each frame waits for its time.
    fn times(&self, buffer: &gst::BufferRef) -> (Option<gst::ClockTime>, Option<gst::ClockTime>) {
        if !self.obj().is_live() {
            return (None, None);
        }
        (
            buffer.pts(),
            buffer
                .pts()
                .zip(buffer.duration())
                .map(|(pts, duration)| pts + duration),
        )
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(q) = query.view_mut() {
            let state = self.state.lock().unwrap();
            let Some(duration) = state.negotiated.as_ref().and_then(|n| n.time_of(1)) else {
                return false;
            };
            // As a camera has it: a frame is there when its exposure is over.
            q.set(self.obj().is_live(), duration, gst::ClockTime::NONE);
            return true;
        }
        BaseSrcImplExt::parent_query(self, query)
    }
}

impl PushSrcImpl for SceneSrc {
    fn create(&self, given: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
        if let Some(buffer) = given {
            self.draw(buffer)?;
            return Ok(CreateSuccess::FilledBuffer);
        }
        let mut buffer = self.buffer()?;
        self.draw(buffer.make_mut())?;
        Ok(CreateSuccess::NewBuffer(buffer))
    }
}

impl SceneSrc {
    /// A buffer for a frame, from downstream's pool where it offers one.
    fn buffer(&self) -> Result<gst::Buffer, gst::FlowError> {
        if let Some(pool) = self.obj().buffer_pool() {
            return pool.acquire_buffer(None);
        }
        let state = self.state.lock().unwrap();
        let negotiated = state
            .negotiated
            .as_ref()
            .ok_or(gst::FlowError::NotNegotiated)?;
        let size = negotiated.info.size();
        gst::Buffer::with_size(size).map_err(|e| {
            gst::error!(
                CAT,
                imp = self,
                "No memory for a frame of {size} bytes: {e}"
            );
            gst::FlowError::Error
        })
    }

    /// Draws the next frame into a buffer.
    fn draw(&self, buffer: &mut gst::BufferRef) -> Result<(), gst::FlowError> {
        let attach_truth = self.settings().truth;
        let mut state = self.state.lock().unwrap();
        let number = state.next;
        let negotiated = state
            .negotiated
            .as_mut()
            .ok_or(gst::FlowError::NotNegotiated)?;
        let start = negotiated.time_of(number);
        let Some((pts, end)) = start.zip(negotiated.time_of(number.saturating_add(1))) else {
            return Err(gst::FlowError::Eos);
        };
        let truth = negotiated.scene.render(number);
        negotiated
            .write(buffer)
            .map_err(|e| self.failed(&format!("cannot write frame {number}: {e}")))?;
        buffer.set_pts(pts);
        buffer.set_duration(end - pts);
        buffer.set_offset(number);
        buffer.set_offset_end(number.saturating_add(1));
        if attach_truth {
            truth::attach(buffer, &truth)
                .map_err(|e| self.failed(&format!("cannot attach the truth: {e}")))?;
        }
        state.next = number.saturating_add(1);
        Ok(())
    }

    fn failed(&self, why: &str) -> gst::FlowError {
        gst::element_imp_error!(self, gst::StreamError::Failed, ["{why}"]);
        gst::FlowError::Error
    }
}
