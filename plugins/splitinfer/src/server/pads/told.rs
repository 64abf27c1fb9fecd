// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a pad's task is told of a frame, by this server or by its edge.

use std::sync::Arc;

use splitinfer_meta::FrameResult;
use splitinfer_wire::SendFrames;

use crate::net::server::Report;
use crate::server::models::Subject;

/// The edge whose frames a stream is made of.
#[derive(Clone)]
pub struct Source {
    pub peer: String,
    /// [`SendFrames::Never`] also for an edge that cannot.
    pub pictures: SendFrames,
    /// Its model.
    pub subject: Option<Arc<Subject>>,
}

impl Source {
    /// Before the first edge.
    pub fn nobody() -> Self {
        Self {
            peer: String::new(),
            pictures: SendFrames::Never,
            subject: None,
        }
    }

    /// Number of a class.
    fn class(&self, label: &str) -> u32 {
        let labels = self.subject.as_ref().map(|s| s.info.labels.as_slice());
        let at = labels.unwrap_or_default().iter().position(|l| l == label);
        match at {
            Some(class) => u32::try_from(class).unwrap_or(u32::MAX),
            // As a class without a name is called.
            None => label
                .strip_prefix("class ")
                .and_then(|number| number.parse().ok())
                .unwrap_or_default(),
        }
    }
}

/// What became of a frame.
pub enum Told {
    /// This server has completed it. With the time stamp in the edge's stream.
    Completed(FrameResult, Option<gst::ClockTime>),
    /// As the edge says.
    Report(Report),
}

impl Told {
    /// Memory it takes, roughly.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Completed(result, _) => {
                let points = |o: &splitinfer_meta::Object| 64 + 12 * o.keypoints.len();
                let objects: usize = result.objects.iter().map(points).sum();
                let tensors: usize = result.tensors.iter().map(|t| t.data.len()).sum();
                objects + tensors
            }
            Self::Report(report) => report.result.len() + report.picture.len(),
        }
    }

    /// The result, the frame's time stamp in the edge's stream, and its picture as JPEG, empty for none.
    ///
    /// # Errors
    /// In words, when the edge tells what is no result.
    pub(super) fn into_parts(
        self,
        source: &Source,
    ) -> Result<(FrameResult, Option<gst::ClockTime>, bytes::Bytes), String> {
        let report = match self {
            Self::Completed(result, pts) => return Ok((result, pts, bytes::Bytes::new())),
            Self::Report(report) => report,
        };
        let text = std::str::from_utf8(&report.result).map_err(|e| e.to_string())?;
        let (mut result, pts) = splitinfer_meta::from_json(text).map_err(|e| e.to_string())?;
        if result.frame != report.frame {
            return Err(format!(
                "the report of frame {} tells of frame {}",
                report.frame, result.frame
            ));
        }
        for object in &mut result.objects {
            object.class = source.class(&object.label);
        }
        Ok((result, pts, report.picture))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(frame: u64, result: &[u8]) -> Result<FrameResult, String> {
        let report = Report {
            frame,
            result: result.to_vec().into(),
            picture: bytes::Bytes::new(),
        };
        let parts = Told::Report(report).into_parts(&Source::nobody());
        parts.map(|(result, ..)| result)
    }

    #[test]
    fn a_report_is_read_and_what_is_none_is_named() {
        let line = br#"{"frame":4,"pts":9,"completed":"edge","objects":[{"label":"class 2","score":0.5,"box":[1,2,3,4]}]}"#;
        let result = told(4, line).unwrap();
        assert_eq!((result.frame, result.objects[0].class), (4, 2));
        for (frame, line, reason) in [
            (5, &line[..], "frame 5 tells of frame 4"),
            (4, &line[..30], "EOF"),
            (4, b"\xff", "utf-8"),
        ] {
            let refused = told(frame, line).unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
    }
}
