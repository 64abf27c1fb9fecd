// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The monitor's two sides over a simulated link.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use splitinfer_link::{Link, Trace, Way};
use splitinfer_wire::Load;
use splitinfer_wire::monitor::{
    EXPORTED_BYTES, EdgeMonitor, MIN_PROBE_BYTES, MonitorConfig, MonitorKeys, Probe, Reachability,
    Reply, ServerMonitor,
};

const MS: fn(u64) -> Duration = Duration::from_millis;
const OVERHEAD: u64 = 28;

fn keys() -> MonitorKeys {
    MonitorKeys::new(&std::array::from_fn::<u8, EXPORTED_BYTES, _>(|i| i as u8))
}

fn load() -> Load {
    Load {
        queue: 3,
        utilisation_permille: 500,
        whole_us: 9000,
        tail_us: (1..=40).collect(),
    }
}

/// A shaper before the link: what finds no tokens waits for them.
struct Shaper {
    /// Bytes a second.
    rate: f64,
    bucket: f64,
    tokens: f64,
    at: Instant,
    waiting: VecDeque<(Instant, Vec<u8>)>,
}

impl Shaper {
    fn new(start: Instant, kbit: u32, bucket: f64) -> Self {
        Self {
            rate: f64::from(kbit) * 125.0,
            bucket,
            tokens: bucket,
            at: start,
            waiting: VecDeque::new(),
        }
    }

    fn send(&mut self, now: Instant, datagram: Vec<u8>) {
        // Packets pass in their order, so that the last one's instant is the bucket's, too.
        let at = self.at.max(now);
        let earned = (at - self.at).as_secs_f64() * self.rate;
        let tokens = (self.tokens + earned).min(self.bucket);
        let needed = datagram.len() as f64 + OVERHEAD as f64;
        let wait = (needed - tokens).max(0.0) / self.rate;
        self.at = at + Duration::from_secs_f64(wait);
        self.tokens = (tokens - needed).max(0.0);
        self.waiting.push_back((self.at, datagram));
    }
}

struct Run {
    shaper: Option<Shaper>,
    start: Instant,
    now: Instant,
    link: Link<Vec<u8>>,
    edge: EdgeMonitor,
    server: ServerMonitor<()>,
}

impl Run {
    fn new(trace: &str, seed: u64) -> Self {
        let start = Instant::now();
        let trace: Trace = trace.parse().unwrap();
        let config = MonitorConfig {
            candidates: 40,
            ..MonitorConfig::default()
        };
        let mut server = ServerMonitor::new(start);
        assert!(server.add(start, keys(), ()));
        Self {
            shaper: None,
            start,
            now: start,
            link: Link::new(Arc::new(trace), start, seed),
            edge: EdgeMonitor::new(start, keys(), config),
            server,
        }
    }

    fn until(&mut self, at: Duration) {
        let end = self.start + at;
        loop {
            while let Some(datagram) = self.edge.poll_transmit(self.now) {
                match &mut self.shaper {
                    Some(shaper) => shaper.send(self.now, datagram),
                    None => self.up(datagram),
                }
            }
            while let Some(passed) = self.passed() {
                self.up(passed);
            }
            let shaped = self.shaper.as_ref().and_then(|s| s.waiting.front());
            let next = [
                self.link.next_arrival(),
                self.edge.poll_timeout(),
                shaped.map(|(at, _)| *at),
            ];
            match next.into_iter().flatten().min() {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => break,
            }
            while let Some(probe) = self.link.receive(self.now, Way::Up) {
                let reply = self.server.handle(self.now, self.now, &probe, |()| load());
                if let Some(reply) = reply {
                    assert!(reply.len() <= probe.len(), "no amplification");
                    let bytes = reply.len() as u64 + OVERHEAD;
                    self.link.send(self.now, Way::Down, bytes, reply);
                }
            }
            while let Some(reply) = self.link.receive(self.now, Way::Down) {
                self.edge.handle_datagram(self.now, &reply);
            }
            self.edge.handle_timeout(self.now);
        }
        self.now = end;
    }

    fn up(&mut self, datagram: Vec<u8>) {
        let bytes = datagram.len() as u64 + OVERHEAD;
        self.link.send(self.now, Way::Up, bytes, datagram);
    }

    /// What has its tokens by now.
    fn passed(&mut self) -> Option<Vec<u8>> {
        let waiting = &mut self.shaper.as_mut()?.waiting;
        let due = waiting.front().is_some_and(|(at, _)| *at <= self.now);
        due.then(|| waiting.pop_front())?.map(|(_, d)| d)
    }

    fn kbit(&self) -> f64 {
        let rate = self.edge.report().bandwidth.map_or(f64::NAN, |e| e.rate);
        rate * 8e-3
    }
}

/// Steps between rates, and the estimate one second after each.
#[test]
fn one_second_after_a_step_the_bandwidth_is_known_and_little_was_sent_for_it() {
    let rates = [
        1000, 250, 4000, 20_000, 2000, 500, 8000, 50_000, 1000, 5000, 10_000, 2000,
    ];
    let mut errors = Vec::new();
    for (delay, seed) in [(2, 1), (20, 2), (75, 3)] {
        let mut trace = String::new();
        for (i, rate) in rates.iter().enumerate() {
            // Steps at any phase of the trains.
            let at = i as u64 * 10_000 + (i as u64 * 137) % 400;
            trace += &format!("{at}ms rate={rate}kbit/s delay={delay}ms queue=200kB\n");
        }
        let mut run = Run::new(&trace, seed);
        for (i, &rate) in rates.iter().enumerate() {
            let at = i as u64 * 10_000 + (i as u64 * 137) % 400;
            if i > 0 {
                run.until(MS(at + 1000));
                let error = (run.kbit() / f64::from(rate) - 1.0).abs();
                println!("{delay} ms, {rate} kbit/s: {} ({error:.3})", run.kbit());
                errors.push(error);
            }
            run.until(MS(at + 2000));
            let sent = run.edge.report().sent_bytes;
            run.until(MS(at + 9500));
            let sent = run.edge.report().sent_bytes - sent;
            let share = sent as f64 * 8.0 / (f64::from(rate) * 1e3 * 7.5);
            assert!(share <= 0.02, "{rate} kbit/s: {share}");
        }
    }
    errors.sort_by(f64::total_cmp);
    let p90 = errors[errors.len() * 9 / 10];
    println!("p90 {p90:.3}, worst {:.3}", errors[errors.len() - 1]);
    assert!(p90 <= 0.10, "{errors:?}");
}

/// A whole train of a fast link would keep frames on a slow one waiting for a third of a second.
#[test]
fn on_a_link_that_has_become_slow_no_train_of_the_fast_one_is_sent() {
    let mut whole_trains = 0;
    for phase in (0..250).step_by(25) {
        let at = 5_000 + phase;
        let trace = format!("0s rate=50Mbit/s delay=10ms queue=200kB\n{at}ms up.rate=250kbit/s");
        let mut run = Run::new(&trace, phase);
        run.until(MS(at));
        let before = run.edge.report().sent_bytes;
        run.until(MS(at + 600));
        let sent = run.edge.report().sent_bytes - before;
        assert!(sent > 300, "{phase} ms: {sent} bytes");
        whole_trains += u32::from(sent > 3_000);
        run.until(MS(at + 1_600));
        assert!((run.kbit() / 250.0 - 1.0).abs() < 0.1, "{}", run.kbit());
    }
    // One that was let go just before: the round trip is a twelfth of what is between two trains.
    assert!(whole_trains <= 1, "{whole_trains} of 10");
}

/// A shaper that lets a bucket of bytes pass at once: what comes after it tells the rate.
#[test]
fn a_token_bucket_is_seen_through() {
    let rates = [1000, 4000, 20_000, 2000, 8000, 500, 5000, 1000];
    for bucket in [1540.0, 4000.0] {
        let mut run = Run::new("0s rate=1000Mbit/s delay=10ms", 11);
        let mut errors = Vec::new();
        for (i, &rate) in rates.iter().enumerate() {
            let at = i as u64 * 30_000 + (i as u64 * 137) % 400;
            run.until(MS(at));
            let waiting = run.shaper.take().map(|s| s.waiting).unwrap_or_default();
            let mut shaper = Shaper::new(run.now, rate, bucket);
            waiting
                .into_iter()
                .for_each(|(_, d)| shaper.send(run.now, d));
            run.shaper = Some(shaper);
            for ms in [1000, 5000] {
                run.until(MS(at + ms));
                let error = (run.kbit() / f64::from(rate) - 1.0).abs();
                println!(
                    "{bucket} B, {rate} kbit/s, {ms} ms: {} ({error:.3})",
                    run.kbit()
                );
                if ms == 5000 {
                    errors.push(error);
                }
            }
            let sent = run.edge.report().sent_bytes;
            // Long enough for several trains: one alone may be a hundredth of what passes in five seconds.
            run.until(MS(at + 29_500));
            let sent = run.edge.report().sent_bytes - sent;
            let share = sent as f64 * 8.0 / (f64::from(rate) * 1e3 * 24.5);
            println!("share {share:.4}");
            assert!(share <= 0.02, "{rate} kbit/s: {share}");
        }
        errors.sort_by(f64::total_cmp);
        assert!(errors[errors.len() * 9 / 10] <= 0.10, "{errors:?}");
    }
}

/// Of what no train can see through nothing is claimed, and little is sent for it.
#[test]
fn a_bucket_that_hides_the_rate_costs_no_more_than_a_known_link() {
    let mut run = Run::new("0s rate=1000Mbit/s delay=10ms", 12);
    run.shaper = Some(Shaper::new(run.now, 250, 30_000.0));
    run.until(MS(40_000));
    let sent = run.edge.report().sent_bytes;
    run.until(MS(140_000));
    let share = (run.edge.report().sent_bytes - sent) as f64 / (31_250.0 * 100.0);
    assert!(share <= 0.02, "{share}");
    let estimate = run.edge.report().bandwidth;
    assert!(estimate.is_none_or(|e| !e.is_certain()), "{estimate:?}");
    assert!(run.edge.report().rtt.is_some());
    assert_eq!(run.edge.report().load, Some(load()));
}

#[test]
fn loss_reordering_and_jitter_are_borne_and_loss_is_told() {
    let trace = "0s rate=4Mbit/s delay=20ms jitter=3ms reorder=2% up.loss=5% up.burst=2 queue=64kB";
    let mut run = Run::new(trace, 5);
    run.until(MS(60_000));
    let report = run.edge.report();
    assert_eq!(report.reachability, Reachability::Reachable);
    assert!((run.kbit() / 4000.0 - 1.0).abs() < 0.3, "{}", run.kbit());
    assert!(report.loss_up > 0.0 && report.loss_up < 0.2, "{report:?}");
    assert!(report.loss_down < 0.02, "{report:?}");
    assert_eq!(report.load, Some(load()), "the table came in pieces");
}

#[test]
fn a_partition_is_told_and_survived() {
    let trace = "0s rate=2Mbit/s delay=10ms\n10s cut=yes\n40s cut=no rate=1Mbit/s";
    let mut run = Run::new(trace, 7);
    run.until(MS(9_900));
    assert_eq!(run.edge.report().reachability, Reachability::Reachable);
    run.until(MS(16_000));
    assert_eq!(run.edge.report().reachability, Reachability::Blocked);
    let sent = run.edge.report().sent_bytes;
    run.until(MS(39_000));
    assert!(run.edge.report().sent_bytes - sent < 1500, "it backs off");
    run.until(MS(60_000));
    assert_eq!(run.edge.report().reachability, Reachability::Reachable);
    assert!((run.kbit() / 1000.0 - 1.0).abs() < 0.1, "{}", run.kbit());
}

/// docs/protocol.md tells the truth: its datagrams are those of the code.
#[test]
fn the_datagrams_are_as_documented() {
    let doc = include_str!("../../../docs/protocol.md");
    let vector = |name: &str| -> Vec<u8> {
        let (_, rest) = doc.split_once(&format!("```hex {name}\n")).unwrap();
        let (block, _) = rest.split_once("```").unwrap();
        let bytes = block
            .lines()
            .flat_map(|line| line.split(';').next().unwrap().split_whitespace());
        bytes.map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
    };
    let (_, mut server, probe, start) = probe();
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|b| format!("{b:02x} "))
            .collect::<String>()
    };
    let at = start + MS(1);
    let reply = server.handle(at, at, &probe, |()| load()).unwrap();
    assert_eq!(hex(&vector("MonitorProbe")), hex(&probe));
    assert_eq!(hex(&vector("MonitorReply")), hex(&reply));
}

/// The first probe that an edge sends.
fn probe() -> (EdgeMonitor, ServerMonitor<()>, Vec<u8>, Instant) {
    let now = Instant::now();
    let mut edge = EdgeMonitor::new(now, keys(), MonitorConfig::default());
    edge.handle_timeout(now);
    let probe = edge.poll_transmit(now).unwrap();
    let mut server = ServerMonitor::new(now);
    server.add(now, keys(), ());
    (edge, server, probe, now)
}

#[test]
fn a_datagram_that_comes_again_is_not_answered_again() {
    let (mut edge, mut server, probe, now) = probe();
    let reply = server.handle(now, now, &probe, |()| load()).unwrap();
    assert_eq!(server.handle(now, now, &probe, |()| load()), None);
    edge.handle_datagram(now, &reply);
    let received = edge.report().received_bytes;
    edge.handle_datagram(now, &reply);
    assert_eq!(edge.report().received_bytes, received);
}

#[test]
fn an_ended_session_is_not_answered() {
    let (_, mut server, probe, now) = probe();
    assert_eq!(server.remove(&keys().id()), Some(()));
    assert_eq!(server.handle(now, now, &probe, |()| load()), None);
}

proptest! {
    /// One bit of a datagram changed: no answer, and nothing learnt.
    #[test]
    fn what_was_changed_on_the_way_is_not_answered(bit in 0usize..MIN_PROBE_BYTES * 8) {
        let (mut edge, mut server, probe, now) = probe();
        let reply = server.handle(now, now, &probe, |()| load()).unwrap();
        let mut changed = probe.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(server.handle(now, now, &changed, |()| load()), None);
        let mut changed = reply;
        let bit = bit % (changed.len() * 8);
        changed[bit / 8] ^= 1 << (bit % 8);
        edge.handle_datagram(now, &changed);
        prop_assert_eq!(edge.report().received_bytes, 0);
    }

    #[test]
    fn any_bytes_are_borne(bytes in proptest::collection::vec(any::<u8>(), 0..1400)) {
        let (mut edge, mut server, _, now) = probe();
        prop_assert_eq!(server.handle(now, now, &bytes, |()| load()), None);
        edge.handle_datagram(now, &bytes);
        if let Ok(reply) = Reply::decode(&bytes) {
            prop_assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
        }
        if let Ok(probe) = Probe::decode(&bytes) {
            prop_assert_eq!(Probe::decode(&probe.encode(MIN_PROBE_BYTES)), Ok(probe));
        }
    }
}
