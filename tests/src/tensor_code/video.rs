// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Video codecs through GStreamer, without delay: a frame in, its bytes out, its reconstruction out.
//!
//! Times include the change of threads between the pipeline and its caller, some 50 µs.

use anyhow::{Context, Result, bail, ensure};
use gst::prelude::*;
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};

/// Which codec, how it is driven, and how fine the chroma of a picture is.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub standard: Standard,
    pub control: Control,
    /// The encoder's psychovisual tuning off: what a picture of features wants.
    pub plain: bool,
    pub chroma: Chroma,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standard {
    H264,
    H265,
}

#[derive(Clone, Copy, Debug)]
pub enum Control {
    /// Constant quality.
    Crf(u32),
    /// Constant quantiser.
    Qp(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chroma {
    Half,
    Full,
}

impl Standard {
    pub const fn encoder(self) -> &'static str {
        match self {
            Self::H264 => "x264enc",
            Self::H265 => "x265enc",
        }
    }

    pub const fn decoder(self) -> &'static str {
        match self {
            Self::H264 => "avdec_h264",
            Self::H265 => "avdec_h265",
        }
    }

    /// Whether this machine can encode and decode it; else what is missing.
    ///
    /// # Errors
    /// The names of the elements that are missing.
    pub fn available(self) -> Result<(), String> {
        let missing: Vec<&str> = [self.encoder(), self.decoder()]
            .into_iter()
            .filter(|name| gst::ElementFactory::find(name).is_none())
            .collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(format!("no {}", missing.join(", no "))),
        }
    }
}

impl Settings {
    /// The encoder as text of a pipeline: one thread, a buffer out for each one in, one key frame at the beginning.
    fn encoder(self) -> String {
        match self.standard {
            Standard::H264 => {
                let control = match self.control {
                    Control::Crf(n) => format!("pass=qual quantizer={n}"),
                    Control::Qp(n) => format!("pass=quant quantizer={n}"),
                };
                let tuning = if self.plain { "psy-tune=psnr" } else { "" };
                format!(
                    "x264enc name=encoder tune=zerolatency speed-preset=veryfast threads=1 qp-min=0 key-int-max=10000 {control} {tuning} \
                     ! video/x-h264,stream-format=byte-stream,alignment=au"
                )
            }
            Standard::H265 => {
                let control = match self.control {
                    Control::Crf(n) => format!("crf={n}"),
                    Control::Qp(n) => format!("qp={n}"),
                };
                let tuning = match self.plain {
                    true => ":psy-rd=0:psy-rdoq=0:aq-mode=0",
                    false => "",
                };
                format!(
                    "x265enc name=encoder tune=zerolatency speed-preset=veryfast key-int-max=10000 log-level=none \
                     option-string=\"{control}:pools=none:frame-threads=1:wpp=0:info=0{tuning}\" \
                     ! video/x-h265,stream-format=byte-stream,alignment=au"
                )
            }
        }
    }
}

/// A pipeline that gives one buffer for each it is given.
struct Pipe {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    sink: gst_app::AppSink,
    count: u64,
}

impl Pipe {
    fn new(inner: &str, caps: &gst::Caps) -> Result<Self> {
        let text = format!(
            "appsrc name=source format=time ! {inner} ! appsink name=sink sync=false max-buffers=4"
        );
        let pipeline = gst::parse::launch(&text)?
            .downcast::<gst::Pipeline>()
            .ok()
            .context("not a pipeline")?;
        let source = pipeline
            .by_name("source")
            .and_downcast::<gst_app::AppSrc>()
            .context("no appsrc")?;
        let sink = pipeline
            .by_name("sink")
            .and_downcast::<gst_app::AppSink>()
            .context("no appsink")?;
        source.set_caps(Some(caps));
        pipeline.set_state(gst::State::Playing)?;
        Ok(Self {
            pipeline,
            source,
            sink,
            count: 0,
        })
    }

    fn pass(&mut self, mut buffer: gst::Buffer) -> Result<gst::Sample> {
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(FRAME_TIME * self.count);
            buffer.set_dts(FRAME_TIME * self.count);
            buffer.set_duration(FRAME_TIME);
        }
        self.count += 1;
        self.source.push_buffer(buffer)?;
        match self.sink.try_pull_sample(gst::ClockTime::from_seconds(20)) {
            Some(sample) => Ok(sample),
            None => bail!("frame {} did not come out: {}", self.count, self.error()),
        }
    }

    fn error(&self) -> String {
        let bus = self.pipeline.bus();
        let message = bus.and_then(|b| b.pop_filtered(&[gst::MessageType::Error]));
        match message.as_ref().map(|m| m.view()) {
            Some(gst::MessageView::Error(e)) => format!("{} ({:?})", e.error(), e.debug()),
            _ => "the codec holds it back".to_owned(),
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Full range, BT.709.
const COLORIMETRY: &str = "1:3:5:1";

const FRAME_TIME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// Both ends of one stream of frames of one size, given and returned without padding.
pub struct VideoCodec {
    raw: VideoInfo,
    encoder: Pipe,
    /// Made when the first bytes say what it has to decode.
    decoder: Option<Pipe>,
    decoder_text: String,
    coded_caps: Option<gst::Caps>,
}

impl VideoCodec {
    /// Luma and chroma of full range.
    ///
    /// # Errors
    /// When the elements are missing or do not take such a size.
    pub fn new(settings: Settings, width: usize, height: usize) -> Result<Self> {
        settings.standard.available().map_err(anyhow::Error::msg)?;
        let format = match settings.chroma {
            Chroma::Half => VideoFormat::I420,
            Chroma::Full => VideoFormat::Y444,
        };
        let raw = VideoInfo::builder(format, u32::try_from(width)?, u32::try_from(height)?)
            .fps(gst::Fraction::new(25, 1))
            .colorimetry(&COLORIMETRY.parse()?)
            .build()?;
        Ok(Self {
            encoder: Pipe::new(&settings.encoder(), &raw.to_caps()?)?,
            decoder: None,
            decoder_text: format!("{} max-threads=1", settings.standard.decoder()),
            coded_caps: None,
            raw,
        })
    }

    /// The planes one after the other, without padding.
    ///
    /// # Errors
    /// When the frame has another size, or the pipeline fails.
    pub fn encode(&mut self, planes: &[u8]) -> Result<Vec<u8>> {
        let sample = self.encoder.pass(padded(&self.raw, planes)?)?;
        self.coded_caps = sample.caps_owned();
        let buffer = sample.buffer().context("a sample without a buffer")?;
        Ok(buffer.map_readable()?.to_vec())
    }

    /// The planes one after the other, without padding.
    ///
    /// # Errors
    /// When nothing was encoded yet, or the pipeline fails.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        let pipe = match &mut self.decoder {
            Some(pipe) => pipe,
            none => {
                let caps = self.coded_caps.as_ref().context("nothing was encoded")?;
                none.insert(Pipe::new(&self.decoder_text, caps)?)
            }
        };
        tight(&pipe.pass(gst::Buffer::from_slice(bytes.to_vec()))?)
    }
}

/// Bytes of a line of a plane, and its lines.
fn plane_size(info: &VideoInfo, plane: u32) -> (usize, usize) {
    let component = plane as u8;
    let width = info.format_info().scale_width(component, info.width());
    let pixel = info.comp_pstride(component).max(1) as usize;
    let lines = info.comp_height(component);
    (width as usize * pixel, lines as usize)
}

/// The planes in a buffer with the strides of the format.
fn padded(info: &VideoInfo, planes: &[u8]) -> Result<gst::Buffer> {
    let mut buffer = gst::Buffer::with_size(info.size())?;
    let mut rest = planes;
    {
        let target = buffer.get_mut().context("a new buffer")?;
        let mut frame = VideoFrameRef::from_buffer_ref_writable(target, info)?;
        for plane in 0..info.n_planes() {
            let (line, lines) = plane_size(info, plane);
            let stride = usize::try_from(frame.plane_stride()[plane as usize])?;
            let data = frame.plane_data_mut(plane)?;
            let (here, behind) = rest
                .split_at_checked(line * lines)
                .context("a short frame")?;
            rest = behind;
            for (to, from) in data.chunks_mut(stride).zip(here.chunks(line)) {
                to[..line].copy_from_slice(from);
            }
        }
    }
    ensure!(rest.is_empty(), "the frame is longer than its format");
    Ok(buffer)
}

/// The planes of a sample without padding.
fn tight(sample: &gst::Sample) -> Result<Vec<u8>> {
    let info = VideoInfo::from_caps(sample.caps().context("a sample without caps")?)?;
    let buffer = sample.buffer().context("a sample without a buffer")?;
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &info)?;
    let mut out = Vec::with_capacity(info.size());
    for plane in 0..info.n_planes() {
        let (line, lines) = plane_size(&info, plane);
        let stride = usize::try_from(frame.plane_stride()[plane as usize])?;
        let data = frame.plane_data(plane)?;
        for from in data.chunks(stride).take(lines) {
            out.extend_from_slice(&from[..line]);
        }
    }
    Ok(out)
}
