// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The picture on its way to the server as the next one of a video: every one is predicted from the one sent before it, until
//! one of them is lost.

use std::time::Duration;

use splitinfer_vision::Picture;
use splitinfer_wire::VideoHeader;

use super::engine::Engine;
use super::settings::{Settings, VideoWish};
use splitinfer_video::{Coded, VideoEncoder, VideoError};

/// The video of one started element.
pub(super) struct Filming {
    encoder: VideoEncoder,
    /// Of the next picture.
    sequence: u32,
    /// The next picture has to be a key picture.
    key_due: bool,
    /// The last frame that was one.
    last_key: Option<u64>,
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
                sequence: 0,
                key_due: true,
                last_key: None,
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

    /// To be called before each frame. `lost`: the newest frame of the video that the server does not have. Whether the video
    /// is broken by it: the next picture has to be a key picture then.
    pub(super) fn heed(&mut self, lost: Option<u64>) -> bool {
        let broken = lost.is_some_and(|lost| self.last_key.is_none_or(|key| lost >= key));
        let news = broken && !self.key_due;
        self.key_due |= broken;
        news
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
        let Coded { bytes, key } = self.encoder.encode(picture, self.key_due)?;
        if self.key_due && !key {
            return Err(VideoError::new(
                "the encoder gave no key picture when asked for one",
            ));
        }
        self.key_due = false;
        if key {
            self.last_key = Some(number);
        }
        let header = VideoHeader {
            sequence: self.sequence,
            answer_us: u32::try_from(answer.as_micros()).unwrap_or(u32::MAX),
            key,
        };
        self.sequence = self.sequence.wrapping_add(1);
        Ok(([&header.encode()[..], &bytes].concat(), key))
    }

    /// A picture that is only looked at and not sent; `key`: of that kind. So the next one that is sent is a key picture.
    ///
    /// # Errors
    /// When the encoder fails.
    pub(super) fn rehearse(&mut self, picture: &Picture, key: bool) -> Result<usize, VideoError> {
        self.key_due = true;
        let coded = self.encoder.encode(picture, key)?;
        Ok(coded.bytes.len() + splitinfer_wire::VIDEO_HEADER_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filming() -> Filming {
        gst::init().unwrap();
        Filming {
            encoder: VideoEncoder::new(None, 64, 48).unwrap(),
            sequence: 7,
            key_due: true,
            last_key: None,
        }
    }

    fn encode(filming: &mut Filming, number: u64) -> VideoHeader {
        let picture = Picture::new(64, 48, vec![number as u8; 64 * 48 * 3]).unwrap();
        let answer = Duration::from_millis(80);
        let (payload, alone) = filming.encode(number, &picture, answer).unwrap();
        let (header, _) = VideoHeader::decode(&payload).unwrap();
        assert_eq!((header.key, header.answer_us), (alone, 80_000));
        header
    }

    #[test]
    fn a_lost_picture_is_followed_by_a_key_picture_unless_one_was_sent_since() {
        let mut filming = filming();
        let first = encode(&mut filming, 10);
        assert!(first.key && first.sequence == 7);
        let second = encode(&mut filming, 12);
        assert!(!second.key && second.sequence == 8);
        assert!(!filming.heed(None));
        assert!(filming.heed(Some(12)), "that breaks it");
        assert!(!filming.heed(Some(12)), "it is broken already");
        assert!(encode(&mut filming, 13).key);
        assert!(!filming.heed(Some(12)), "that was before the key picture");
        assert!(!encode(&mut filming, 14).key);
        assert!(filming.heed(Some(13)), "the key picture itself");
        assert!(encode(&mut filming, 15).key);
    }

    #[test]
    fn a_rehearsal_is_not_part_of_the_video() {
        let mut filming = filming();
        encode(&mut filming, 0);
        let picture = Picture::new(64, 48, vec![3; 64 * 48 * 3]).unwrap();
        assert!(filming.rehearse(&picture, true).unwrap() > 9);
        let next = encode(&mut filming, 1);
        assert!(next.key && next.sequence == 8);
    }
}
