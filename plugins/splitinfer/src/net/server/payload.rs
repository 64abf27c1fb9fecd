// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What follows the header on a frame's stream: all of it in order, or what has come of it once it is no longer waited for.

use std::ops::Range;
use std::time::Instant;

use crate::net::ranges::Ranges;
use crate::net::stream::{CHUNK, Stream};

/// Payload and attachment, as far as they have come.
#[derive(Debug, PartialEq, Eq)]
pub struct Body {
    /// As long as was announced; zeros where nothing has come.
    pub bytes: Vec<u8>,
    /// In ascending order; none of the whole.
    pub missing: Vec<Range<usize>>,
}

/// The stream gave something else than was announced: in words.
pub struct Wrong(pub String);

/// Reads `whole` bytes, of which the `first` came with the header, whose length is `header`. `enough`: from when on less than
/// all of it will do, and how many bytes that are.
///
/// Takes no more memory than `whole` and what comes at once, and not before it comes.
///
/// # Errors
/// `None` when the stream breaks.
pub async fn receive(
    stream: &mut Stream,
    header: usize,
    first: Vec<u8>,
    whole: usize,
    enough: Option<(Instant, u64)>,
) -> Result<Body, Option<Wrong>> {
    match enough {
        // With the whole of it nothing else has to be known, as with most frames that fit a packet or two.
        Some((until, least)) if first.len() < whole => {
            in_any_order(stream, header, Arriving::new(first, whole)?, until, least).await
        }
        _ => in_order(stream, first, whole).await,
    }
}

async fn in_order(
    stream: &mut Stream,
    mut bytes: Vec<u8>,
    whole: usize,
) -> Result<Body, Option<Wrong>> {
    while bytes.len() < whole {
        if !stream.read_more(&mut bytes).await.map_err(broken)? {
            break;
        }
    }
    match bytes.len() == whole {
        true => Ok(Body {
            bytes,
            missing: Vec::new(),
        }),
        false => Err(Some(wrong(bytes.len(), whole))),
    }
}

async fn in_any_order(
    stream: &mut Stream,
    header: usize,
    mut arriving: Arriving,
    until: Instant,
    least: u64,
) -> Result<Body, Option<Wrong>> {
    let time = tokio::time::sleep_until(until.into());
    tokio::pin!(time);
    let mut over = false;
    while !arriving.is_whole() && !(over && arriving.count() as u64 >= least) {
        tokio::select! {
            biased;
            chunk = stream.recv.read_chunk(CHUNK, false) => match chunk.map_err(broken)? {
                Some(chunk) => {
                    let at = usize::try_from(chunk.offset).unwrap_or(usize::MAX);
                    arriving.add(at.saturating_sub(header), &chunk.bytes)?;
                }
                None => return Err(Some(wrong(arriving.count(), arriving.whole))),
            },
            () = &mut time, if !over => over = true,
        }
    }
    Ok(arriving.finish())
}

fn broken(_: quinn::ReadError) -> Option<Wrong> {
    None
}

fn wrong(came: usize, whole: usize) -> Wrong {
    Wrong(format!("{came} bytes came, {whole} were announced"))
}

/// A body of which pieces come.
struct Arriving {
    /// As far as anything has come.
    bytes: Vec<u8>,
    ranges: Ranges,
    whole: usize,
}

impl Arriving {
    fn new(first: Vec<u8>, whole: usize) -> Result<Self, Wrong> {
        let mut this = Self {
            bytes: Vec::new(),
            ranges: Ranges::default(),
            whole,
        };
        this.add(0, &first)?;
        Ok(this)
    }

    fn add(&mut self, at: usize, piece: &[u8]) -> Result<(), Wrong> {
        let end = at.saturating_add(piece.len());
        if end > self.whole {
            return Err(wrong(end, self.whole));
        }
        let many = |_| Wrong("the payload comes in too many pieces".to_owned());
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

    fn count(&self) -> usize {
        self.ranges.len()
    }

    fn is_whole(&self) -> bool {
        self.ranges.are_all(self.whole)
    }

    fn finish(mut self) -> Body {
        self.bytes.resize(self.whole, 0);
        Body {
            bytes: self.bytes,
            missing: self.ranges.missing(self.whole),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arriving(pieces: &[(usize, &[u8])]) -> Result<Arriving, String> {
        let mut arriving = Arriving::new(b"ab".to_vec(), 8).map_err(|w| w.0)?;
        for (at, piece) in pieces {
            arriving.add(*at, piece).map_err(|w| w.0)?;
        }
        Ok(arriving)
    }

    #[test]
    fn pieces_come_in_any_order() {
        let whole = arriving(&[(6, b"gh"), (2, b"cd"), (4, b"ef")]).unwrap();
        assert!(whole.is_whole());
        let body = whole.finish();
        assert_eq!((&body.bytes[..], body.missing.len()), (&b"abcdefgh"[..], 0));
    }

    #[test]
    fn what_has_not_come_is_told_and_zero() {
        let part = arriving(&[(4, b"ef")]).unwrap();
        assert_eq!((part.is_whole(), part.count()), (false, 4));
        let body = part.finish();
        assert_eq!(body.bytes, b"ab\0\0ef\0\0");
        assert_eq!(body.missing, [2..4, 6..8]);
    }

    #[test]
    fn no_memory_is_taken_for_what_is_only_announced() {
        let huge = Arriving::new(b"ab".to_vec(), 1 << 40).map_err(|w| w.0);
        assert!(huge.unwrap().bytes.capacity() < 100);
    }

    #[test]
    fn more_than_announced_is_refused() {
        let refused = arriving(&[(6, b"ghi")]).map(|_| ());
        assert!(refused.unwrap_err().contains("9 bytes came"));
        assert!(arriving(&[(usize::MAX, b"x")]).is_err());
    }
}
