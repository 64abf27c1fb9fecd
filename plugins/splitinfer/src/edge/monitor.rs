// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the plan learns from the UDP monitor, together with what passing frames show.

use std::time::{Duration, Instant};

use splitinfer_plan::{Bandwidth, Profile, Server};
use splitinfer_wire::Load;
use splitinfer_wire::monitor::{Reachability, Report};

use crate::net::client::LinkStats;

/// Of a link's rate what payloads get: the rest is headers of IP, UDP and QUIC.
const PAYLOAD: f64 = 0.95;
/// After so long without a frame the server's queue as frames found it is history.
const FRESH: Duration = Duration::from_secs(1);

/// Where the monitor stands, as `stats` tells it.
pub(super) fn state(stats: &LinkStats) -> &'static str {
    match stats.monitor.as_ref().map(|m| m.reachability) {
        None => "off",
        Some(Reachability::Trying) => "trying",
        Some(Reachability::Reachable) => "ok",
        Some(Reachability::Blocked) => "blocked",
    }
}

/// The monitor's figures, while it is answered.
fn answered(stats: &LinkStats) -> Option<&Report> {
    let report = stats.monitor.as_ref()?;
    (report.reachability == Reachability::Reachable).then_some(report)
}

/// Round trip of a small packet: the monitor's, or QUIC's where it has none.
pub(super) fn rtt(stats: &LinkStats) -> Option<Duration> {
    let monitor = answered(stats).and_then(|m| m.rtt.as_ref());
    monitor.map(|rtt| rtt.smoothed()).or(stats.rtt)
}

/// Share of packets lost on the way to the server: of the last ten seconds by the monitor, or of all by QUIC.
pub(super) fn loss(stats: &LinkStats) -> f64 {
    let of_quic = || stats.lost_packets as f64 / stats.sent_packets.max(1) as f64;
    answered(stats).map_or_else(of_quic, |m| m.loss_up)
}

/// What trains find, in bytes of payload a second.
pub(super) fn train_rate(stats: &LinkStats) -> Option<f64> {
    let estimate = answered(stats)?.bandwidth?;
    estimate.is_certain().then_some(estimate.rate * PAYLOAD)
}

/// How fast payloads get to the server. While frames pass they say it; between them, and when none pass, what trains find
/// says how it has changed since the last one.
#[derive(Debug, Default)]
pub(super) struct Capacity {
    frames: Bandwidth,
    last: Option<Instant>,
    /// What trains found when the last frame passed.
    trains_then: Option<f64>,
}

impl Capacity {
    /// A frame has arrived; see [`Bandwidth::add`].
    pub(super) fn add(&mut self, now: Instant, bytes: u64, took: Duration, stats: &LinkStats) {
        self.frames.add(now, bytes, took);
        self.last = Some(now);
        self.trains_then = train_rate(stats);
    }

    /// Bytes of payload a second; `None` until something is known.
    pub(super) fn estimate(&self, stats: &LinkStats) -> Option<f64> {
        let (frames, now) = (self.frames.estimate(), train_rate(stats));
        let (Some(frames), Some(now)) = (frames, now) else {
            return frames.or(now);
        };
        Some(match self.trains_then {
            Some(then) => carried_over(frames, then, now),
            None => frames,
        })
    }

    /// Whether frames have passed lately.
    fn is_fresh(&self, now: Instant) -> bool {
        let fresh = |last| now.saturating_duration_since(last) <= FRESH;
        self.last.is_some_and(fresh)
    }
}

/// What frames found when trains found `then`, now that trains find `now`. Frames are slower than trains by a share (other
/// traffic, a shaper that lets short trains through) or by a time each (threads that wake up); the change tells the two
/// apart, and before a frame has shown which it is the better one is assumed: a frame sent in vain corrects that, and none
/// sent never would.
fn carried_over(frames: f64, then: f64, now: f64) -> f64 {
    let share = (frames / then).min(1.0);
    let extra = (1.0 / frames - 1.0 / then).max(0.0);
    (share * now).max(1.0 / (1.0 / now + extra))
}

/// What the server tells of itself, where frames have not shown it: how long its queue is while none pass, and times of what
/// it has run for others.
pub(super) fn complete(
    server: &mut Server,
    capacity: &Capacity,
    profile: Option<&Profile>,
    stats: &LinkStats,
    now: Instant,
) {
    let told = answered(stats).and_then(|m| m.load.as_ref());
    let load = told.unwrap_or(&stats.load);
    if !capacity.is_fresh(now) {
        server.queue = usual_work(load) * load.queue;
    }
    let Some(profile) = profile else {
        return;
    };
    let known = |us: u32| (us > 0).then(|| Duration::from_micros(us.into()));
    if server.picture.is_none()
        && let (Some(whole), Some(picture)) = (known(load.whole_us), &profile.picture)
    {
        server.picture = Some(whole + picture.decode);
    }
    // The monitor tells times of tails in pieces, QUIC all at once.
    let tail = |load: &Load, i: usize| load.tail_us.get(i).copied().and_then(known);
    let all = server.tails.iter_mut().zip(&profile.candidates);
    for (i, (there, offload)) in all.enumerate() {
        let told = tail(load, i).or_else(|| tail(&stats.load, i));
        *there = there.or(told.map(|time| time + offload.decode));
    }
}

/// Mean of the times that are known.
fn usual_work(load: &Load) -> Duration {
    let all = [load.whole_us]
        .into_iter()
        .chain(load.tail_us.iter().copied());
    let known: Vec<_> = all.filter(|us| *us > 0).map(u64::from).collect();
    let mean = known.iter().sum::<u64>().checked_div(known.len() as u64);
    Duration::from_micros(mean.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use splitinfer_plan::Offload;
    use splitinfer_wire::RttEstimator;
    use splitinfer_wire::monitor::Estimate;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn stats(rate: f64, uncertainty: f64) -> LinkStats {
        LinkStats {
            connected: true,
            rtt: Some(30 * MS),
            monitor: Some(Report {
                reachability: Reachability::Reachable,
                rtt: Some(RttEstimator::new(20 * MS)),
                bandwidth: Some(Estimate {
                    rate: rate / PAYLOAD,
                    uncertainty,
                    at: Instant::now(),
                }),
                ..Report::default()
            }),
            ..LinkStats::default()
        }
    }

    fn blocked() -> LinkStats {
        let mut stats = stats(1e6, 0.0);
        stats.monitor.as_mut().unwrap().reachability = Reachability::Blocked;
        stats
    }

    /// Frames that get `rate`.
    fn passing(capacity: &mut Capacity, rate: f64, stats: &LinkStats) {
        let start = Instant::now();
        for i in 0..60 {
            let took = Duration::from_secs_f64(20_000.0 / rate);
            capacity.add(start + i * 50 * MS, 20_000, took, stats);
        }
    }

    fn close(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a / b - 1.0).abs() < 0.02)
    }

    #[test]
    fn trains_alone_frames_alone_or_nothing() {
        let mut capacity = Capacity::default();
        assert_eq!(capacity.estimate(&blocked()), None);
        assert_eq!(capacity.estimate(&stats(1e6, 0.9)), None, "too uncertain");
        assert!(close(capacity.estimate(&stats(1e6, 0.05)), 1e6));
        passing(&mut capacity, 4e5, &blocked());
        assert!(close(capacity.estimate(&blocked()), 4e5));
        assert!(
            close(capacity.estimate(&stats(1e6, 0.05)), 4e5),
            "frames first"
        );
    }

    /// 50 Mbit/s, of which frames get a third because each takes some milliseconds more.
    #[test]
    fn a_change_that_only_trains_have_seen_is_carried_over() {
        let mut capacity = Capacity::default();
        passing(&mut capacity, 2e6, &stats(6e6, 0.05));
        assert!(
            close(capacity.estimate(&stats(6e6, 0.05)), 2e6),
            "frames count"
        );
        let slower = capacity.estimate(&stats(1e5, 0.05)).unwrap();
        assert!(slower > 9e4 && slower <= 1e5, "{slower}");
        let faster = capacity.estimate(&stats(12e6, 0.05)).unwrap();
        assert!((2e6..=12e6).contains(&faster), "{faster}");
        let mut capacity = Capacity::default();
        passing(&mut capacity, 1e5, &stats(1.2e5, 0.05));
        let faster = capacity.estimate(&stats(6e6, 0.05)).unwrap();
        assert!(faster > 4e6, "{faster}");
    }

    #[test]
    fn the_round_trip_is_the_monitors_while_it_is_answered() {
        assert_eq!(rtt(&stats(1e6, 0.0)), Some(20 * MS));
        assert_eq!(rtt(&blocked()), Some(30 * MS));
        assert_eq!(
            (state(&blocked()), state(&LinkStats::default())),
            ("blocked", "off")
        );
    }

    #[test]
    fn times_of_others_fill_the_gaps_and_an_idle_server_is_known_to_be_idle() {
        let mut stats = stats(1e6, 0.0);
        stats.monitor.as_mut().unwrap().load = Some(Load {
            queue: 2,
            whole_us: 0,
            tail_us: vec![4000, 0, 8000],
            ..Load::default()
        });
        let offload = Offload {
            decode: MS,
            ..Offload::default()
        };
        let profile = Profile {
            candidates: vec![offload.clone(), offload.clone(), offload.clone()],
            picture: Some(offload),
            ..Profile::default()
        };
        let mut server = Server {
            queue: 100 * MS,
            tails: vec![Some(7 * MS), None, None],
            ..Server::default()
        };
        let (mut capacity, now) = (Capacity::default(), Instant::now());
        complete(&mut server, &capacity, Some(&profile), &stats, now);
        assert_eq!(server.tails, [Some(7 * MS), None, Some(9 * MS)]);
        assert_eq!((server.picture, server.queue), (None, 12 * MS));
        // While frames pass they say how long they wait.
        capacity.add(now, 20_000, MS, &stats);
        server.queue = 100 * MS;
        complete(&mut server, &capacity, Some(&profile), &stats, now);
        assert_eq!(server.queue, 100 * MS);
    }
}
