// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the plan learns from the UDP monitor, together with what passing frames show.

use std::time::{Duration, Instant};

use splitinfer_plan::{Choice, Profile, Selector};
use splitinfer_wire::monitor::{Estimate, Reachability, Report};
use splitinfer_wire::{Load, RttEstimator};

use crate::net::client::LinkStats;

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

/// Tells the selector what the monitor has found and what the server says of itself.
pub(super) fn tell(selector: &mut Selector, stats: &LinkStats, now: Instant) {
    let load = answered(stats).and_then(|m| m.load.as_ref());
    let load = load.unwrap_or(&stats.load);
    if let Some(report) = answered(stats) {
        let rtt = report.rtt.as_ref().map(RttEstimator::latest);
        let certain = report.bandwidth.filter(Estimate::is_certain);
        selector.monitored(rtt, certain.map(|b| (b.rate, b.at)), now);
    }
    let Some(profile) = selector.profile() else {
        return;
    };
    let times = times(load, &stats.load, profile);
    selector.server(usual_work(load) * load.queue, times.into_iter(), now);
    selector.waiting(load.queue, now);
}

/// How long the server works on frames of each choice, decoding included, where it has run any. The monitor tells times of
/// tails in pieces, QUIC all at once.
fn times(load: &Load, of_quic: &Load, profile: &Profile) -> Vec<(Choice, Duration)> {
    let known = |us: u32| (us > 0).then(|| Duration::from_micros(us.into()));
    let tail = |load: &Load, i: usize| load.tail_us.get(i).copied().and_then(known);
    let work = |choice| match choice {
        Choice::Here => None,
        Choice::Picture | Choice::Video => known(load.whole_us),
        Choice::Candidate(i) => tail(load, i).or_else(|| tail(of_quic, i)),
    };
    let offloads = profile.offloads();
    let times = offloads.filter_map(|(choice, o)| Some((choice, work(choice)? + o.decode)));
    times.collect()
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
                    rate,
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

    #[test]
    fn the_round_trip_is_the_monitors_while_it_is_answered() {
        assert_eq!(rtt(&stats(1e6, 0.0)), Some(20 * MS));
        assert_eq!(rtt(&blocked()), Some(30 * MS));
        assert_eq!(
            (state(&blocked()), state(&LinkStats::default())),
            ("blocked", "off")
        );
    }

    fn cut() -> Offload {
        Offload {
            name: "cut".into(),
            bytes: 1000,
            fresh_bytes: 1000,
            decode: MS,
            tail: 10 * MS,
            ..Offload::default()
        }
    }

    #[test]
    fn times_of_others_are_those_that_the_server_has_measured() {
        let load = Load {
            queue: 2,
            tail_us: vec![4000, 0, 8000],
            ..Load::default()
        };
        let profile = Profile {
            candidates: vec![cut(), cut(), cut()],
            picture: Some(cut()),
            ..Profile::default()
        };
        let expected = [
            (Choice::Candidate(0), 5 * MS),
            (Choice::Candidate(2), 9 * MS),
        ];
        assert_eq!(times(&load, &Load::default(), &profile), expected);
        assert_eq!(usual_work(&load), 6 * MS);
    }

    #[test]
    fn the_selector_knows_the_link_before_a_frame_has_passed() {
        let mut selector = Selector::default();
        selector.set_profile(Profile {
            whole: 50 * MS,
            candidates: vec![cut()],
            ..Profile::default()
        });
        let now = Instant::now();
        tell(&mut selector, &blocked(), now);
        assert_eq!(selector.bandwidth(now), None);
        tell(&mut selector, &stats(1e6, 0.05), now);
        let known = selector.bandwidth(now).expect("the monitor has told it");
        assert!((known / 1e6 - 1.0).abs() < 0.1, "{known}");
    }
}
