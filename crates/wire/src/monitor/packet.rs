// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The two datagrams, probe and reply: their bytes before and after sealing.

use super::keys::{MonitorId, MonitorKeys, Side};
use super::{MAX_DATAGRAM_BYTES, MIN_PROBE_BYTES};
use crate::codec::{DecodeError, Problem, Reader, Writer};
use crate::message::Load;

/// Kind, session and number, in the clear.
pub const HEADER_BYTES: usize = 1 + 8 + 4;
/// Of ChaCha20-Poly1305.
pub const TAG_BYTES: usize = 16;
/// Arrivals in one reply; no train is longer.
pub const MAX_ARRIVALS: usize = 16;
/// Times of tails in one reply.
pub const MAX_TAILS: usize = 16;

/// A reply's body without lists.
const REPLY_FIXED: usize = 32;
const ARRIVAL_BYTES: usize = 5;
const TAIL_BYTES: usize = 4;
const ANSWER: u8 = 1;
const TAILS: u8 = 2;

/// From edge to server. Alone it measures the round trip; several in a row are a train.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// Whether a reply is wanted.
    pub answer: bool,
    /// Whether the reply may tell times of tails, and of which candidate the first.
    pub tails_from: Option<u16>,
}

impl Probe {
    /// The body, filled up with zeros to a datagram of `datagram` bytes ([`MIN_PROBE_BYTES`] to
    /// [`MAX_DATAGRAM_BYTES`]; other lengths become the nearest of these).
    pub fn encode(&self, datagram: usize) -> Vec<u8> {
        let datagram = datagram.clamp(MIN_PROBE_BYTES, MAX_DATAGRAM_BYTES);
        let mut w = Writer::new();
        let tails = self.tails_from.map_or(0, |_| TAILS);
        w.u8((u8::from(self.answer) * ANSWER) | tails);
        w.u16(self.tails_from.unwrap_or_default());
        let mut body = w.into_vec();
        body.resize(datagram - HEADER_BYTES - TAG_BYTES, 0);
        body
    }

    /// # Errors
    /// When the body is shorter than that of any probe. Unknown flags and what follows are ignored.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let needed = MIN_PROBE_BYTES - HEADER_BYTES - TAG_BYTES;
        let left = body.len();
        if left < needed {
            let problem = Problem::Short { needed, left };
            return Err(Reader::error(0, "probe", problem));
        }
        let r = &mut Reader::new(body);
        let flags = r.u8("Probe.flags")?;
        let from = r.u16("Probe.tails_from")?;
        Ok(Self {
            answer: flags & ANSWER != 0,
            tails_from: (flags & TAILS != 0).then_some(from),
        })
    }
}

/// When an earlier probe came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its number is so much smaller than that of the answered one.
    pub back: u8,
    /// It came so much earlier than the answered one, µs; negative if it was overtaken.
    pub before_us: i32,
}

/// [`Load`] in a datagram: the times of the tails in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyLoad {
    /// As in [`Load`], as are the next two.
    pub queue: u32,
    pub utilisation_permille: u16,
    pub whole_us: u32,
    /// Candidates in the server's table.
    pub tails: u16,
    /// Candidate of the first time in `tail_us`.
    pub tails_from: u16,
    /// At most [`MAX_TAILS`].
    pub tail_us: Vec<u32>,
}

impl ReplyLoad {
    /// As much of `load` as `room` bytes hold, beginning with the tail that the probe asked for.
    fn new(load: &Load, tails_from: Option<u16>, room: usize) -> Self {
        let count = load.tail_us.len();
        let from = tails_from.map_or(count, usize::from).min(count);
        let most = (room / TAIL_BYTES).min(MAX_TAILS);
        let tail_us = load.tail_us[from..].iter().copied().take(most).collect();
        Self {
            queue: load.queue,
            utilisation_permille: load.utilisation_permille,
            whole_us: load.whole_us,
            tails: u16::try_from(count).unwrap_or(u16::MAX),
            tails_from: u16::try_from(from).unwrap_or(u16::MAX),
            tail_us,
        }
    }
}

/// From server to edge. Times are of the server's clock, in µs modulo 2³²; the two clocks are never compared, only
/// differences of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Number of the probe that is answered.
    pub answered: u32,
    /// When it came.
    pub arrived_us: u32,
    /// When the reply was written.
    pub replied_us: u32,
    /// Probes of the session that have come so far, modulo 2³².
    pub received: u32,
    pub load: ReplyLoad,
    /// The probes just before, newest first; at most [`MAX_ARRIVALS`].
    pub arrivals: Vec<Arrival>,
}

impl Reply {
    /// A reply that as a datagram has at most `room` bytes: arrivals first, then as many times of tails as fit.
    pub(super) fn fitting(
        mut self,
        room: usize,
        load: &Load,
        tails_from: Option<u16>,
    ) -> Option<Self> {
        let room = room.checked_sub(HEADER_BYTES + TAG_BYTES + REPLY_FIXED)?;
        let most = (room / ARRIVAL_BYTES).min(MAX_ARRIVALS);
        self.arrivals.truncate(most);
        let room = room - self.arrivals.len() * ARRIVAL_BYTES;
        self.load = ReplyLoad::new(load, tails_from, room);
        Some(self)
    }

    /// Lists beyond their bounds are cut off there.
    pub fn encode(&self) -> Vec<u8> {
        let tails = &self.load.tail_us[..self.load.tail_us.len().min(MAX_TAILS)];
        let arrivals = &self.arrivals[..self.arrivals.len().min(MAX_ARRIVALS)];
        let mut w = Writer::new();
        w.u32(self.answered);
        w.u32(self.arrived_us);
        w.u32(self.replied_us);
        w.u32(self.received);
        w.u32(self.load.queue);
        w.u16(self.load.utilisation_permille);
        w.u32(self.load.whole_us);
        w.u16(self.load.tails);
        w.u16(self.load.tails_from);
        w.u8(tails.len() as u8);
        w.u8(arrivals.len() as u8);
        tails.iter().for_each(|&us| w.u32(us));
        for arrival in arrivals {
            w.u8(arrival.back);
            w.u32(arrival.before_us as u32);
        }
        w.into_vec()
    }

    /// # Errors
    /// When a field is missing or a list beyond its bound. What follows the lists is ignored.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(body);
        let (answered, arrived_us) = (r.u32("Reply.answered")?, r.u32("Reply.arrived_us")?);
        let (replied_us, received) = (r.u32("Reply.replied_us")?, r.u32("Reply.received")?);
        let (queue, utilisation_permille) = (r.u32("Reply.queue")?, r.u16("Reply.utilisation")?);
        let whole_us = r.u32("Reply.whole_us")?;
        let (tails, tails_from) = (r.u16("Reply.tails")?, r.u16("Reply.tails_from")?);
        let tail_count = count(r, MAX_TAILS, "Reply.tail_us")?;
        let arrival_count = count(r, MAX_ARRIVALS, "Reply.arrivals")?;
        let tail_us = (0..tail_count)
            .map(|_| r.u32("Reply.tail_us"))
            .collect::<Result<_, _>>()?;
        let arrivals = (0..arrival_count)
            .map(|_| {
                Ok(Arrival {
                    back: r.u8("Reply.back")?,
                    before_us: r.u32("Reply.before_us")? as i32,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            answered,
            arrived_us,
            replied_us,
            received,
            load: ReplyLoad {
                queue,
                utilisation_permille,
                whole_us,
                tails,
                tails_from,
                tail_us,
            },
            arrivals,
        })
    }
}

fn count(r: &mut Reader, max: usize, what: &'static str) -> Result<usize, DecodeError> {
    let offset = r.offset();
    let len = r.u8(what)?;
    if usize::from(len) > max {
        let (len, max) = (len.into(), max as u64);
        return Err(Reader::error(offset, what, Problem::TooLong { len, max }));
    }
    Ok(len.into())
}

impl Side {
    fn kind(self) -> u8 {
        match self {
            Self::Edge => 1,
            Self::Server => 2,
        }
    }
}

/// Session and number of a datagram of this kind; `None` if it is none.
pub(super) fn header(side: Side, datagram: &[u8]) -> Option<(MonitorId, u32)> {
    if datagram.len() > MAX_DATAGRAM_BYTES {
        return None;
    }
    let r = &mut Reader::new(datagram);
    let kind = r.u8("kind").ok()?;
    let id = r.array("session").ok()?;
    let number = r.u32("number").ok()?;
    (kind == side.kind()).then_some((id, number))
}

/// The datagram with this body.
pub(super) fn seal(keys: &MonitorKeys, side: Side, number: u32, body: Vec<u8>) -> Option<Vec<u8>> {
    let mut header = [0; HEADER_BYTES];
    header[0] = side.kind();
    header[1..9].copy_from_slice(&keys.id());
    header[9..].copy_from_slice(&number.to_be_bytes());
    keys.seal(side, number, &header, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_probe_has_room_for_a_reply() {
        let load = Load {
            tail_us: vec![5; 40],
            ..Load::default()
        };
        let reply = Reply {
            arrivals: vec![
                Arrival {
                    back: 1,
                    before_us: 9
                };
                16
            ],
            ..Reply::default()
        };
        for room in MIN_PROBE_BYTES..=MAX_DATAGRAM_BYTES {
            let fitted = reply.clone().fitting(room, &load, Some(30)).unwrap();
            assert!(fitted.encode().len() + HEADER_BYTES + TAG_BYTES <= room);
            assert_eq!((fitted.load.tails, fitted.load.tails_from), (40, 30));
            if room == MAX_DATAGRAM_BYTES {
                assert_eq!((fitted.load.tail_us.len(), fitted.arrivals.len()), (10, 16));
            }
        }
        assert_eq!(reply.fitting(MIN_PROBE_BYTES - 12, &load, None), None);
    }

    #[test]
    fn lists_that_announce_too_much_are_refused() {
        let mut bytes = Reply::default().encode();
        assert_eq!(bytes.len(), REPLY_FIXED);
        bytes[30] = 17;
        let error = Reply::decode(&bytes).unwrap_err();
        assert_eq!(error.problem, Problem::TooLong { len: 17, max: 16 });
        bytes[30] = 3;
        assert!(matches!(
            Reply::decode(&bytes).unwrap_err().problem,
            Problem::Short { .. }
        ));
    }
}
