// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A camera that costs nothing: pictures that were drawn before and lie in a file.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::measure;

pub const WIDTH: usize = 640;
pub const HEIGHT: usize = 360;
/// I420.
const BYTES: usize = WIDTH * HEIGHT * 3 / 2;

/// Writes what a source shows into a file, one I420 picture after another, and again from the beginning where it is too short.
/// `source`: the beginning of a pipeline.
///
/// # Errors
/// When the source fails or the file cannot be written.
pub fn film(source: &str, rate: u32, count: usize, file: &Path) -> Result<()> {
    let source = format!(
        "{source} ! videoconvert ! videoscale ! videorate \
         ! video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={rate}/1"
    );
    let (_, frames) = measure::frames(&source, count)?;
    let mut out = File::create(file).with_context(|| file.display().to_string())?;
    for frame in frames.iter().cycle().take(count) {
        let map = frame.map_readable()?;
        ensure!(
            map.len() == BYTES,
            "a picture has {} bytes, not {BYTES}",
            map.len()
        );
        out.write_all(&map)?;
    }
    Ok(())
}

/// See the module's documentation.
pub struct Camera {
    film: Arc<Vec<u8>>,
    pub interval: Duration,
}

/// Pictures in a film of so many bytes.
pub fn shots(bytes: usize) -> usize {
    bytes / BYTES
}

/// One picture, where it lies.
struct Shot(Arc<Vec<u8>>, usize);

impl AsRef<[u8]> for Shot {
    fn as_ref(&self) -> &[u8] {
        &self.0[self.1 * BYTES..][..BYTES]
    }
}

impl Camera {
    /// # Errors
    /// When the film cannot be read.
    pub fn open(film: &Path, rate: u32) -> Result<Self> {
        let film = std::fs::read(film).with_context(|| film.display().to_string())?;
        Ok(Self {
            film: Arc::new(film),
            interval: Duration::from_secs(1) / rate,
        })
    }

    /// What comes out of it.
    pub fn caps(&self) -> gst::Caps {
        let rate = (1.0 / self.interval.as_secs_f64()).round() as i32;
        gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", WIDTH as i32)
            .field("height", HEIGHT as i32)
            .field("framerate", gst::Fraction::new(rate, 1))
            .build()
    }

    /// How many pictures there are.
    pub fn count(&self) -> usize {
        shots(self.film.len())
    }

    /// The picture with this number, if there is one.
    pub fn shot(&self, number: usize) -> Option<gst::Buffer> {
        let shot = Shot(self.film.clone(), number);
        (number < self.count()).then(|| gst::Buffer::from_slice(shot))
    }

    /// Gives out all pictures from `start` on, each at its time; what is behind does not hold it up.
    ///
    /// # Errors
    /// When the pipeline takes no more.
    pub fn run(&self, start: Instant, out: &gst_app::AppSrc) -> Result<()> {
        for number in 0.. {
            let Some(mut buffer) = self.shot(number) else {
                break;
            };
            let due = self.interval * number as u32;
            std::thread::sleep((start + due).saturating_duration_since(Instant::now()));
            let writable = buffer.get_mut().context("a new buffer is ours")?;
            writable.set_pts(gst::ClockTime::try_from(due)?);
            writable.set_duration(gst::ClockTime::try_from(self.interval)?);
            writable.set_offset(number as u64);
            out.push_buffer(buffer)?;
        }
        out.end_of_stream()?;
        Ok(())
    }
}
