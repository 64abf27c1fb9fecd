// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What two looks at `stats` tell of the frames between them.

use std::time::{Duration, Instant};

use gst::glib::value::FromValue;

use crate::baselines::neurosurgeon::SURE;

/// Since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    pub since: Duration,
    /// The streaming thread's time on a frame that it sent.
    pub work: Option<Duration>,
    /// Of a frame that was sent.
    pub bytes: Option<u64>,
    /// Of a frame that the server completed.
    pub server: Option<Served>,
    pub rtt: Duration,
    /// Bytes a second, if it is sure enough.
    pub monitor: Option<f64>,
}

/// A frame's time on the server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Served {
    pub queue: Duration,
    pub decode: Duration,
    pub compute: Duration,
}

/// Sums since the element started; times in ms.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    sent: u64,
    bytes: u64,
    work: f64,
    answered: u64,
    queue: f64,
    decode: f64,
    compute: f64,
}

impl Sums {
    /// `stats` gives means.
    fn of(stats: &gst::StructureRef) -> Self {
        let [inferred, sent, answered]: [u64; 3] =
            ["inferred", "sent-frames", "completed-server"].map(|n| field(stats, n));
        let sum = |name, count: u64| field::<f64>(stats, name) * count as f64;
        Self {
            sent,
            bytes: field(stats, "sent-bytes"),
            work: sum("prepare-ms", inferred) + sum("infer-ms", inferred) + sum("encode-ms", sent),
            answered,
            queue: sum("server-queue-ms", answered),
            decode: sum("server-decode-ms", answered),
            compute: sum("server-compute-ms", answered),
        }
    }
}

/// Looks at `stats` again and again.
#[derive(Default)]
pub struct Watch {
    before: Sums,
    at: Option<Instant>,
}

impl Watch {
    pub fn look(&mut self, stats: &gst::StructureRef, now: Instant) -> Seen {
        let sums = Sums::of(stats);
        let before = std::mem::replace(&mut self.before, sums);
        let since = self.at.replace(now).map(|at| now - at);
        let each = |new: f64, old: f64, n: u64| {
            Duration::from_secs_f64(((new - old) / n.max(1) as f64 / 1e3).max(0.0))
        };
        let sent = sums.sent.saturating_sub(before.sent);
        let answered = sums.answered.saturating_sub(before.answered);
        let unsure = field::<f64>(stats, "monitor-uncertainty-percent") > SURE * 100.0;
        let rate = field::<f64>(stats, "monitor-kbit") / 8e-3;
        Seen {
            since: since.unwrap_or_default(),
            work: (sent > 0).then(|| each(sums.work, before.work, sent)),
            bytes: (sums.bytes - before.bytes.min(sums.bytes)).checked_div(sent),
            server: (answered > 0).then(|| Served {
                queue: each(sums.queue, before.queue, answered),
                decode: each(sums.decode, before.decode, answered),
                compute: each(sums.compute, before.compute, answered),
            }),
            rtt: Duration::from_secs_f64(field::<f64>(stats, "rtt-ms").max(0.0) / 1e3),
            monitor: Some(rate).filter(|rate| *rate > 0.0 && !unsure),
        }
    }
}

/// What is not there counts as nothing.
fn field<'a, T: FromValue<'a> + Default>(stats: &'a gst::StructureRef, name: &str) -> T {
    stats.get(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(inferred: u64, sent: u64, answered: u64) -> gst::Structure {
        gst::init().unwrap();
        // Each frame of n: 2n ms to prepare in the mean, and so on, so that sums grow by the squares.
        let mean = |n: u64, each: f64| n as f64 * each;
        gst::Structure::builder("stats")
            .field("inferred", inferred)
            .field("sent-frames", sent)
            .field("completed-server", answered)
            .field("sent-bytes", sent * 1000)
            .field("prepare-ms", mean(inferred, 1.0))
            .field("infer-ms", mean(inferred, 2.0))
            .field("encode-ms", mean(sent, 3.0))
            .field("server-queue-ms", mean(answered, 1.0))
            .field("server-decode-ms", mean(answered, 2.0))
            .field("server-compute-ms", mean(answered, 3.0))
            .field("rtt-ms", 20.0)
            .field("monitor-kbit", 8000.0)
            .field("monitor-uncertainty-percent", 12.0)
            .build()
    }

    #[test]
    fn the_second_look_tells_of_the_frames_in_between() {
        let mut watch = Watch::default();
        let begun = Instant::now();
        watch.look(&stats(3, 2, 2), begun);
        let ms = Duration::from_millis;
        let seen = watch.look(&stats(4, 3, 3), begun + ms(100));
        // Sums: 3 · 9 + 3 · 4 before, 3 · 16 + 3 · 9 now; on the server n, 2n and 3n in the mean of n.
        let expected = Seen {
            since: ms(100),
            work: Some(ms(36)),
            bytes: Some(1000),
            server: Some(Served {
                queue: ms(5),
                decode: ms(10),
                compute: ms(15),
            }),
            rtt: ms(20),
            monitor: Some(1e6),
        };
        assert_eq!(seen, expected);
    }

    #[test]
    fn nothing_sent_tells_nothing() {
        let mut watch = Watch::default();
        let begun = Instant::now();
        watch.look(&stats(3, 2, 2), begun);
        let mut later = stats(5, 2, 2);
        later.set("monitor-uncertainty-percent", 80.0);
        let seen = watch.look(&later, begun);
        assert_eq!((seen.work, seen.bytes, seen.server), (None, None, None));
        assert_eq!(seen.monitor, None, "a guess");
    }
}
