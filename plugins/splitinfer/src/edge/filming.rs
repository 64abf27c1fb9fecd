// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The picture on its way to the server as the next one of a video: every one is predicted from the one sent before it, until
//! one of them is lost.

use std::time::Duration;

use splitinfer_vision::Picture;
use splitinfer_wire::VideoSender;

use super::engine::Engine;
use super::settings::{Settings, VideoWish};
use splitinfer_video::{Coded, VideoEncoder, VideoError};

/// The video of one started element.
pub(super) struct Filming {
    encoder: VideoEncoder,
    sender: VideoSender,
}

impl Filming {
    /// `None` where no video is wanted, or none is possible and nobody asked for one by name.
    ///
    /// # Errors
    /// When the encoder that the user names, or a video that the user asks for, is not possible.
    pub(super) fn new(
        engine: &Engine,
        settings: &Settings,
    ) -> Result<Option<Self>, gst::ErrorMessage> {
        let input = &engine.info.input;
        let (width, height) = (input.width, input.height);
        let begun = match settings.video() {
            VideoWish::Never => return Ok(None),
            VideoWish::IfPossible => VideoEncoder::new(None, width, height),
            VideoWish::By(elements) => VideoEncoder::new(Some(elements), width, height),
        };
        match begun {
            Ok(encoder) => Ok(Some(Self {
                encoder,
                sender: VideoSender::default(),
            })),
            Err(problem) if settings.video() == VideoWish::IfPossible => {
                gst::info!(super::imp::CAT, "no pictures as video: {problem}");
                Ok(None)
            }
            Err(problem) => Err(gst::error_msg!(
                gst::LibraryError::Settings,
                ("property 'video-encoder': {problem}")
            )),
        }
    }

    /// The server does not have this frame of the video. Whether the video is broken by it, and that is news.
    pub(super) fn lost(&mut self, number: u64) -> bool {
        self.sender.lost(number)
    }

    /// The payload for the picture of this frame, and whether it needs none before it. It has to be sent.
    ///
    /// # Errors
    /// When the encoder fails: it cannot be used any more then.
    pub(super) fn encode(
        &mut self,
        number: u64,
        picture: &Picture,
        answer: Duration,
    ) -> Result<(Vec<u8>, bool), VideoError> {
        let due = self.sender.key_due();
        let Coded { bytes, key } = self.encoder.encode(picture, due)?;
        if due && !key {
            let text = "the encoder gave no key picture when asked for one";
            return Err(VideoError::new(text));
        }
        let answer_us = u32::try_from(answer.as_micros()).unwrap_or(u32::MAX);
        let header = self.sender.sent(number, key, answer_us);
        Ok(([&header.encode()[..], &bytes].concat(), key))
    }

    /// A picture that is only looked at and not sent; `key`: of that kind. So the next one that is sent is a key picture.
    ///
    /// # Errors
    /// When the encoder fails.
    pub(super) fn rehearse(&mut self, picture: &Picture, key: bool) -> Result<usize, VideoError> {
        self.sender.begin_anew();
        let coded = self.encoder.encode(picture, key)?;
        Ok(coded.bytes.len() + splitinfer_wire::VIDEO_HEADER_BYTES)
    }
}

/// Does something with the video, if there is one; a failure ends it.
pub(super) fn attempt<T>(
    filming: &mut Option<Filming>,
    with: impl FnOnce(&mut Filming) -> Result<T, VideoError>,
) -> Option<T> {
    match with(filming.as_mut()?) {
        Ok(done) => Some(done),
        Err(problem) => {
            gst::warning!(super::imp::CAT, "no more pictures as video: {problem}");
            *filming = None;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use splitinfer_wire::VideoHeader;

    use super::*;

    #[test]
    fn a_rehearsal_and_a_lost_picture_are_followed_by_a_key_picture() {
        gst::init().unwrap();
        let mut filming = Filming {
            encoder: VideoEncoder::new(None, 64, 48).unwrap(),
            sender: VideoSender::default(),
        };
        let picture = |shade| Picture::new(64, 48, vec![shade; 64 * 48 * 3]).unwrap();
        let encode = |filming: &mut Filming, number: u64| {
            let answer = Duration::from_millis(80);
            let coded = filming.encode(number, &picture(number as u8), answer);
            let (payload, alone) = coded.unwrap();
            let (header, _) = VideoHeader::decode(&payload).unwrap();
            assert_eq!((header.key, header.answer_us), (alone, 80_000));
            (header.sequence, header.key)
        };
        assert_eq!(encode(&mut filming, 5), (0, true));
        assert_eq!(encode(&mut filming, 6), (1, false));
        assert!(filming.rehearse(&picture(3), false).unwrap() > 9);
        assert_eq!(encode(&mut filming, 7), (2, true));
        assert!(!filming.lost(6) && filming.lost(7));
        assert_eq!(encode(&mut filming, 8), (3, true));
    }
}
