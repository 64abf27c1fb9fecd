// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A frame's stream as its packets arrive: its header from the beginning or, where that was lost, from the copy at the end; its
//! body whole, or what has come of it once the rest is no longer waited for.

use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use splitinfer_wire::limits::MAX_HEADER_BYTES;
use splitinfer_wire::{Beginning, FrameHeader};

use super::pace::Wait;
use crate::net::ranges::Ranges;
use crate::net::stream::{CHUNK, Stream};

/// While nobody knows what a stream holds, so much of it is taken as fast as it comes, and then a piece in each [`PAUSE`]. The
/// header comes first as soon as it is there.
const HEADLESS: usize = 256 << 10;
const PAUSE: Duration = Duration::from_millis(250);

/// Payload and attachment, as far as they have come.
#[derive(Debug, PartialEq, Eq)]
pub struct Body {
    /// As long as was announced; zeros where nothing has come.
    pub bytes: Bytes,
    /// In ascending order; none of the whole.
    pub missing: Vec<Range<usize>>,
    /// The longest time between two pieces.
    pub silence: Duration,
    /// When the last one came.
    pub last: Instant,
}

/// The stream gave something else than was announced: in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong(pub String);

/// What a stream holds.
pub struct Head {
    pub header: FrameHeader,
    /// Of the header.
    len: usize,
    /// When the first bytes of the stream came: the header's, unless they were lost.
    pub since: Instant,
}

impl Head {
    /// Bytes of header and body.
    fn whole(&self) -> usize {
        self.len + self.header.body_len() as usize
    }

    /// Behind the payload of a frame that may be completed from a part may stand its beginning once more.
    fn most(&self) -> usize {
        let whole = self.whole();
        match self.header.patience {
            Some(_) => whole + whole / 64 + 2 * MAX_HEADER_BYTES,
            None => whole,
        }
    }
}

/// A stream, as far as it has come. Takes no memory for what has not.
#[derive(Default)]
pub struct Incoming {
    /// Zeros in gaps.
    bytes: Vec<u8>,
    ranges: Ranges,
    /// When the first and the last of them came.
    came: Option<(Instant, Instant)>,
    /// The longest time between two pieces.
    silence: Duration,
}

impl Incoming {
    /// Reads until the header is known. `None` when the stream breaks, or holds no frame.
    pub async fn header(&mut self, stream: &mut Stream) -> Option<Head> {
        loop {
            if self.bytes.len() > HEADLESS {
                tokio::time::sleep(PAUSE).await;
            }
            let end = self.read(stream, usize::MAX).await.ok()??;
            let since = self.came.map_or_else(Instant::now, |(since, _)| since);
            let known = &self.bytes[..self.ranges.prefix()];
            if let Some((header, len)) = FrameHeader::decode(known).ok()? {
                return Some(Head { header, len, since });
            }
            if let Some(head) = self.head_at_end(end, since) {
                return Some(head);
            }
        }
    }

    /// The header, if the stream ends at `end` and with a copy of its beginning.
    fn head_at_end(&mut self, end: usize, since: Instant) -> Option<Head> {
        let last = self.ranges.run(end)?;
        let beginning = Beginning::read(&self.bytes[last], end)?;
        let (header, len) = (beginning.header, beginning.header_len);
        let bytes = beginning.bytes.to_vec();
        self.add(0, &bytes).ok()?;
        Some(Head { header, len, since })
    }

    /// Reads on until all is there; or as long as `wait` says, and until then there is enough.
    ///
    /// # Errors
    /// `None` when the stream breaks.
    pub async fn body(
        mut self,
        stream: &mut Stream,
        head: &Head,
        wait: Option<Wait>,
    ) -> Result<Body, Option<Wrong>> {
        let mut over = false;
        let enough = |came: usize| wait.is_some_and(|wait| came as u64 >= wait.least);
        while !(self.is_whole(head) || over && enough(self.bytes_of_body(head))) {
            let last = self.came.map_or(head.since, |(_, last)| last);
            let end = wait.map(|wait| wait.end(head.since, last));
            tokio::select! {
                biased;
                read = self.read(stream, head.most()) => {
                    if read?.is_none() {
                        return Err(Some(self.wrong(head)));
                    }
                }
                () = at(end), if !over => over = true,
            }
        }
        self.finish(head).map_err(Some)
    }

    fn is_whole(&self, head: &Head) -> bool {
        self.ranges.are_all(head.whole())
    }

    /// That have come.
    fn bytes_of_body(&self, head: &Head) -> usize {
        self.ranges.within(head.len..head.whole())
    }

    fn finish(mut self, head: &Head) -> Result<Body, Wrong> {
        if self.bytes.len() > head.most() {
            return Err(self.wrong(head));
        }
        let whole = head.whole();
        self.bytes.resize(whole, 0);
        let missing = self.ranges.missing(whole).into_iter();
        Ok(Body {
            bytes: Bytes::from(self.bytes).slice(head.len..),
            missing: missing
                .map(|gap| gap.start - head.len..gap.end - head.len)
                .collect(),
            silence: self.silence,
            last: self.came.map_or(head.since, |(_, last)| last),
        })
    }

    /// Where the next piece ends, which must not be beyond `most`; `None` at the end of the stream.
    ///
    /// # Errors
    /// `None` when the stream breaks.
    async fn read(
        &mut self,
        stream: &mut Stream,
        most: usize,
    ) -> Result<Option<usize>, Option<Wrong>> {
        let chunk = stream.recv.read_chunk(CHUNK, false).await;
        let Some(chunk) = chunk.map_err(|_| None::<Wrong>)? else {
            return Ok(None);
        };
        let now = Instant::now();
        let (since, last) = self.came.unwrap_or((now, now));
        self.silence = self.silence.max(now - last);
        self.came = Some((since, now));
        let at = usize::try_from(chunk.offset).unwrap_or(usize::MAX);
        let end = at.saturating_add(chunk.bytes.len());
        if end > most {
            return Err(Some(wrong(end, most)));
        }
        self.add(at, &chunk.bytes)?;
        Ok(Some(end))
    }

    fn add(&mut self, at: usize, piece: &[u8]) -> Result<(), Wrong> {
        let end = at + piece.len();
        let many = |_| Wrong("the frame comes in too many pieces".to_owned());
        self.ranges.add(at..end).map_err(many)?;
        if self.bytes.len() == at {
            self.bytes.extend_from_slice(piece);
            return Ok(());
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(piece);
        Ok(())
    }

    fn wrong(&self, head: &Head) -> Wrong {
        let more = self.bytes.len().saturating_sub(head.whole());
        wrong(head.len + self.bytes_of_body(head) + more, head.whole())
    }
}

/// Never without a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

fn wrong(came: usize, whole: usize) -> Wrong {
    Wrong(format!(
        "{came} bytes came, header included; {whole} were announced"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_wire::{Content, Patience, trailer};

    fn frame(payload: usize, patient: bool) -> (Head, Vec<u8>) {
        let header = FrameHeader {
            number: 41,
            content: Content::Candidate(1),
            model_version: 3,
            pts_ns: None,
            budget_us: 80_000,
            placement: [1.0, 1.0, 0.0, 0.0, 640.0, 360.0],
            picture_size: (416, 416),
            payload_len: payload as u32,
            attachment_len: 0,
            patience: patient.then_some(Patience {
                wait_us: 25_000,
                least_permille: 500,
            }),
            longest_us: None,
        };
        let mut stream = header.encode().unwrap();
        let len = stream.len();
        stream.extend((0..payload).map(|i| i as u8 | 1));
        if patient {
            let end = trailer(&stream[..len], &stream[len..]);
            stream.extend(end);
        }
        let since = Instant::now();
        (Head { header, len, since }, stream)
    }

    fn incoming(stream: &[u8], pieces: &[Range<usize>]) -> Incoming {
        let mut incoming = Incoming::default();
        for piece in pieces {
            incoming.add(piece.start, &stream[piece.clone()]).unwrap();
        }
        incoming
    }

    #[test]
    fn pieces_come_in_any_order_and_what_is_behind_the_body_is_left_out() {
        let (head, stream) = frame(5000, true);
        let end = stream.len();
        let whole = incoming(&stream, &[2400..end, 0..1200, 1200..2400]);
        assert!(whole.is_whole(&head));
        let body = whole.finish(&head).unwrap();
        assert_eq!(body.bytes, stream[head.len..head.len + 5000]);
        assert!(body.missing.is_empty());
    }

    #[test]
    fn what_has_not_come_is_told_and_zero() {
        let (head, stream) = frame(5000, true);
        let part = incoming(&stream, &[0..1200, 3600..4800]);
        assert!(!part.is_whole(&head));
        assert_eq!(part.bytes_of_body(&head), 2400 - head.len);
        let body = part.finish(&head).unwrap();
        assert_eq!(body.bytes.len(), 5000);
        let (first, second) = (1200 - head.len, 4800 - head.len);
        let gaps = [first..3600 - head.len, second..5000];
        assert_eq!(body.missing, gaps);
        assert!(
            gaps.into_iter()
                .all(|gap| body.bytes[gap].iter().all(|b| *b == 0))
        );
    }

    #[test]
    fn a_lost_beginning_is_known_from_the_end() {
        let (head, stream) = frame(5000, true);
        let end = stream.len();
        let mut part = incoming(&stream, std::slice::from_ref(&(1200..4000)));
        assert!(part.head_at_end(4000, head.since).is_none());
        part.add(4000, &stream[4000..]).unwrap();
        let found = part.head_at_end(end, head.since).unwrap();
        assert_eq!((&found.header, found.len), (&head.header, head.len));
        let body = part.finish(&head).unwrap();
        let [gap] = &body.missing[..] else {
            panic!("{:?}", body.missing);
        };
        assert!(gap.start > 128 && gap.end == 1200 - head.len, "{gap:?}");
        assert_eq!(body.bytes[..gap.start], stream[head.len..][..gap.start]);
    }

    #[test]
    fn no_memory_is_taken_for_what_is_only_announced() {
        let (_, stream) = frame(5000, true);
        let begun = incoming(&stream, std::slice::from_ref(&(0..100)));
        assert!(begun.bytes.capacity() < 1000);
    }

    #[test]
    fn more_than_announced_is_refused_where_nothing_may_follow() {
        let (head, mut stream) = frame(100, false);
        stream.push(0);
        let end = stream.len();
        let refused = incoming(&stream, std::slice::from_ref(&(0..end)))
            .finish(&head)
            .unwrap_err();
        assert!(refused.0.contains("169 bytes came"), "{refused:?}");
    }
}
