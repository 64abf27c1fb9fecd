// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the `stats` property tells.

use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_meta::Completed;
use splitinfer_plan::{Choice, LatencyWindow};

use super::completion::Finished;
use super::crossing::Coding;
use super::engine::Engine;
use super::job::Times;
use super::link::Link;
use super::monitor;
use super::split;
use super::streaming::Begun;
use super::swap::Swapped;

/// Counters since the element started, and a window of the last latencies.
pub(super) struct Stats {
    /// Whether upstream is live, as the last LATENCY query said.
    pub(super) live: bool,
    /// The latency that the element last answered without a server.
    pub(super) reported_latency: Duration,
    split: String,
    frames: u64,
    inferred: u64,
    completed_edge: u64,
    completed_server: u64,
    /// Of these, from a part of what was sent.
    incomplete: u64,
    skipped: u64,
    deadline_misses: u64,
    local_completions: u64,
    refused_frames: u64,
    switches: u64,
    swaps: u64,
    last_swap: Duration,
    refused_updates: u64,
    sent_frames: u64,
    sent_bytes: u64,
    video_frames: u64,
    video_keys: u64,
    tensor_frames: u64,
    tensor_keys: u64,
    coding: Option<Coding>,
    latency: LatencyWindow,
    times: Times,
    server_queue: Duration,
    server_decode: Duration,
    server_compute: Duration,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            live: false,
            reported_latency: Duration::ZERO,
            split: String::new(),
            frames: 0,
            inferred: 0,
            completed_edge: 0,
            completed_server: 0,
            incomplete: 0,
            skipped: 0,
            deadline_misses: 0,
            local_completions: 0,
            refused_frames: 0,
            switches: 0,
            swaps: 0,
            last_swap: Duration::ZERO,
            refused_updates: 0,
            sent_frames: 0,
            sent_bytes: 0,
            video_frames: 0,
            video_keys: 0,
            tensor_frames: 0,
            tensor_keys: 0,
            coding: None,
            latency: LatencyWindow::default(),
            times: Times::default(),
            server_queue: Duration::ZERO,
            server_decode: Duration::ZERO,
            server_compute: Duration::ZERO,
            first: None,
            last: None,
        }
    }
}

impl Stats {
    /// The streaming thread has done its part of a frame.
    pub(super) fn begun(&mut self, begun: &Begun) {
        self.first.get_or_insert(begun.frame.arrived);
        self.times += begun.times;
        self.coding = begun.coding.or(self.coding);
        // The first plan of all is no switch.
        if begun.plan.as_ref().is_some_and(|p| p.old != "none") {
            self.switches += 1;
        }
        if let Some(sent) = &begun.sent {
            self.sent_frames += 1;
            self.sent_bytes += sent.bytes as u64;
            let alone = u64::from(sent.alone);
            match sent.choice {
                Choice::Video => {
                    self.video_frames += 1;
                    self.video_keys += alone;
                }
                Choice::Candidate(_) => {
                    self.tensor_frames += 1;
                    self.tensor_keys += alone;
                }
                Choice::Here | Choice::Picture => {}
            }
        }
    }

    /// A frame is about to leave.
    pub(super) fn finished(&mut self, finished: &Finished) {
        self.last = Some(Instant::now());
        self.frames += 1;
        if !finished.inferred {
            self.skipped += 1;
            return;
        }
        self.inferred += 1;
        self.split.clone_from(&finished.result.split);
        self.latency.add(finished.latency);
        self.deadline_misses += u64::from(finished.missed);
        self.refused_frames += u64::from(finished.refused);
        let completed = finished.result.completed;
        match completed {
            Completed::Edge => self.completed_edge += 1,
            Completed::Server => self.completed_server += 1,
            Completed::None => self.skipped += 1,
        }
        self.incomplete += u64::from(finished.result.received.is_some());
        if finished.missed && completed == Completed::Edge {
            self.local_completions += 1;
        }
        if let Some(server) = finished.server {
            self.server_queue += server.queue;
            self.server_decode += server.decode;
            self.server_compute += server.compute;
        }
    }

    /// From the next frame on another version of the weights is in use.
    pub(super) fn swapped(&mut self, swapped: &Swapped) {
        self.swaps += 1;
        self.last_swap = swapped.times.total;
    }

    pub(super) fn refused_update(&mut self) {
        self.refused_updates += 1;
    }

    /// Median latency of the last frames.
    pub(super) fn median(&self) -> Option<Duration> {
        self.latency.quantile(0.5)
    }

    fn fps(&self) -> f64 {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return 0.0;
        };
        let seconds = last.duration_since(first).as_secs_f64();
        if seconds > 0.0 {
            self.frames as f64 / seconds
        } else {
            0.0
        }
    }

    /// Times are means in milliseconds over the frames they apply to; `bytes-per-frame` is over frames sent.
    pub(super) fn to_structure(
        &self,
        engine: Option<&Engine>,
        link: Option<&Link>,
    ) -> gst::Structure {
        let mut stats = gst::Structure::builder("splitinfer-edge-stats")
            .field("split", &self.split)
            .field("frames", self.frames)
            .field("inferred", self.inferred)
            .field("completed-edge", self.completed_edge)
            .field("completed-server", self.completed_server)
            .field("incomplete-answers", self.incomplete)
            .field("without-result", self.skipped)
            .field("deadline-misses", self.deadline_misses)
            .field("local-completions", self.local_completions)
            .field("refused-frames", self.refused_frames)
            .field("switches", self.switches)
            .field("swaps", self.swaps)
            .field("last-swap-ms", ms(Some(self.last_swap)))
            .field("refused-updates", self.refused_updates)
            .field("fps", self.fps())
            .field("latency-p50", ms(self.latency.quantile(0.5)))
            .field("latency-p99", ms(self.latency.quantile(0.99)))
            .field("prepare-ms", mean(self.times.prepare, self.inferred))
            .field("infer-ms", mean(self.times.infer, self.inferred))
            .field("encode-ms", mean(self.times.encode, self.sent_frames))
            .field(
                "server-queue-ms",
                mean(self.server_queue, self.completed_server),
            )
            .field(
                "server-decode-ms",
                mean(self.server_decode, self.completed_server),
            )
            .field(
                "server-compute-ms",
                mean(self.server_compute, self.completed_server),
            )
            .field("sent-frames", self.sent_frames)
            .field("sent-bytes", self.sent_bytes)
            .field(
                "bytes-per-frame",
                self.sent_bytes.checked_div(self.sent_frames).unwrap_or(0),
            )
            .field("video-frames", self.video_frames)
            .field("video-key-frames", self.video_keys)
            .field("tensor-frames", self.tensor_frames)
            .field("tensor-key-frames", self.tensor_keys)
            .build();
        if let Some(step) = self.coding.and_then(|c| c.step) {
            stats.set("tensor-step", f64::from(step));
            stats.set("tensor-tuned", self.coding.is_some_and(|c| c.tuned));
        }
        if let Some(error) = self.coding.and_then(|c| c.error) {
            stats.set("output-error", f64::from(error) * 100.0);
        }
        if let Some(engine) = engine {
            stats.set("model-version", engine.version());
            stats.set("candidates", candidates(engine));
        }
        if let Some(link) = link {
            add_link(&mut stats, link);
        }
        stats
    }
}

fn add_link(stats: &mut gst::StructureRef, link: &Link) {
    let now = link.stats();
    stats.set("server", link.server());
    stats.set("connected", now.connected);
    stats.set_if_some("server-version", link.newest_version());
    stats.set("reconnects", now.reconnects);
    stats.set("peer", now.peer.map(|peer| peer.to_string()));
    stats.set("rtt-ms", ms(monitor::rtt(&now)));
    stats.set("bandwidth-kbit", kbit(link.bandwidth()));
    stats.set("loss-percent", monitor::loss(&now) * 100.0);
    stats.set("monitor", monitor::state(&now));
    if let Some(report) = &now.monitor {
        let rate = report.bandwidth.map_or(0.0, |e| e.rate);
        let uncertainty = report.bandwidth.map_or(1.0, |e| e.uncertainty);
        stats.set("monitor-kbit", kbit(rate));
        stats.set("monitor-uncertainty-percent", uncertainty.min(1.0) * 100.0);
        stats.set("monitor-sent-bytes", report.sent_bytes);
        stats.set("monitor-received-bytes", report.received_bytes);
    }
    stats.set("congestion-window", now.cwnd);
    stats.set("link-in-flight", now.in_flight as u64);
    stats.set("sent-packets", now.sent_packets);
    stats.set("lost-packets", now.lost_packets);
    stats.set("link-sent-bytes", now.sent_bytes);
    stats.set("link-received-bytes", now.received_bytes);
    stats.set("server-queue", u64::from(now.load.queue));
}

/// The candidates with their share of the work here and the measured time of each half, one structure each.
fn candidates(engine: &Engine) -> gst::Array {
    let cuts = engine.candidates();
    let rows = cuts.iter().enumerate().map(|(i, cut)| {
        let choice = Choice::Candidate(i);
        let total = (cut.head_macs + cut.tail_macs).max(1) as f64;
        let mut row = gst::Structure::builder("candidate")
            .field("number", i as u32)
            .field("name", split::name(choice, cuts))
            .field("raw-bytes", cut.raw_bytes)
            .field("edge-share", cut.head_macs as f64 / total)
            .build();
        if let Some(profile) = &engine.profile {
            row.set("head-ms", ms(profile.head.get(i).copied()));
            row.set("tail-ms", ms(profile.tail.get(i).copied()));
        }
        row.to_send_value()
    });
    gst::Array::from_values(rows)
}

/// From bytes a second.
fn kbit(rate: f64) -> f64 {
    rate * 8e-3
}

fn ms(time: Option<Duration>) -> f64 {
    time.unwrap_or_default().as_secs_f64() * 1e3
}

fn mean(sum: Duration, n: u64) -> f64 {
    if n == 0 {
        0.0
    } else {
        sum.as_secs_f64() * 1e3 / n as f64
    }
}

impl std::ops::AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        self.prepare += other.prepare;
        self.infer += other.infer;
        self.encode += other.encode;
    }
}
