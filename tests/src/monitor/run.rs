// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One link whose rate goes up and down, and what the monitor said meanwhile.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gst::prelude::*;
use splitinfer_link::Trace;
use splitinfer_tools::network::{Forward, Relay};

use super::echo;
use crate::network::{FAR, FarServer, MONITOR_PORT, Network, PORT};

/// What bounds the rate.
#[derive(Clone, Copy, Debug)]
pub enum LinkKind {
    /// `crates/link` between sockets: each packet takes its bytes' time, and then so long each way.
    Emulated { delay: Duration },
    /// The kernel's `tbf`: so many bytes at once after a pause.
    Shaper { bucket: u32 },
}

/// One measurement.
#[derive(Clone, Debug)]
pub struct Case {
    pub link: LinkKind,
    /// The pipeline that ends in the edge, or none that gives frames.
    pub frames: Option<String>,
    pub model: String,
    /// kbit/s, one after the other.
    pub rates: Vec<u32>,
    pub each: Duration,
}

/// One rate of a case.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub kbit: u32,
    /// The estimate one second after the step; `None` before there was any that was more than a guess.
    pub found: Option<f64>,
    /// Until the estimate was first within 10 %, if it was.
    pub seen: Option<Duration>,
    /// The estimate at the end.
    pub settled: Option<f64>,
    /// The monitor's own bytes to the server from two seconds after the step to the end, as a share of what the link carries.
    pub traffic: f64,
}

/// What a case showed.
#[derive(Debug, Default)]
pub struct Found {
    pub steps: Vec<Step>,
    /// Pairs of round trips, ms: what `stats` said, and a datagram sent there and back at that time.
    pub rtt: Vec<(f64, f64)>,
}

/// Runs it, on a thread of its own, for the machine of a thread is its network. `None` where namespaces cannot be made.
///
/// # Errors
/// When the pipeline does not run.
pub fn run(case: Case) -> Result<Option<Found>> {
    let thread = std::thread::spawn(move || Run::new(&case)?.map(|r| r.measure(&case)).transpose());
    thread.join().expect("the measurement does not panic")
}

struct Run {
    pipeline: gst::Pipeline,
    edge: gst::Element,
    network: Network,
    start: Instant,
    echo: Ipv4Addr,
    _relay: Option<Relay>,
    _server: FarServer,
}

impl Run {
    fn new(case: &Case) -> Result<Option<Self>> {
        let Some(network) = Network::new() else {
            return Ok(None);
        };
        let server = FarServer::start(&network, &case.model);
        echo::start(&network);
        let source = case.frames.as_deref();
        let source = source
            .unwrap_or("appsrc caps=video/x-raw,format=RGB,width=64,height=64,framerate=30/1");
        let text = format!("{source} ! splitinfer-edge name=edge ! fakesink");
        let pipeline = gst::parse::launch(&text)?
            .downcast::<gst::Pipeline>()
            .ok()
            .context("no pipeline")?;
        let edge = pipeline.by_name("edge").context("no edge")?;
        server.configure(&edge);
        let start = Instant::now() + Duration::from_millis(500);
        let (mut relay, mut echo) = (None, FAR);
        if let LinkKind::Emulated { delay } = case.link {
            let forward = |port| Forward {
                near: (Ipv4Addr::LOCALHOST, port).into(),
                far: (FAR, port).into(),
            };
            let forwards = [PORT, MONITOR_PORT, echo::PORT].map(forward);
            let trace: Trace = trace(case, delay).parse()?;
            relay = Some(Relay::start(&forwards, trace.into(), start, 1)?);
            echo = Ipv4Addr::LOCALHOST;
            edge.set_property("server", format!("{echo}:{PORT}"));
        }
        let run = Self {
            pipeline,
            edge,
            network,
            start,
            echo,
            _relay: relay,
            _server: server,
        };
        run.set_rate(case, 0);
        run.edge.set_property("latency-budget", 1000u32);
        run.pipeline.set_state(gst::State::Playing)?;
        Ok(Some(run))
    }

    /// Steps come at any phase of the trains.
    fn begin(&self, case: &Case, step: usize) -> Instant {
        let odd = Duration::from_millis((step as u64 * 137) % 250);
        self.start + case.each * step as u32 + odd
    }

    fn set_rate(&self, case: &Case, step: usize) {
        if let LinkKind::Shaper { bucket } = case.link {
            self.network.set_rate(case.rates[step], bucket);
        }
    }

    fn measure(self, case: &Case) -> Result<Found> {
        let mut found = Found::default();
        for step in 0..case.rates.len() {
            sleep_until(self.begin(case, step));
            self.set_rate(case, step);
            let result = self.step(case, step, &mut found.rtt)?;
            // The first one is no step.
            if step > 0 {
                found.steps.push(result);
            }
        }
        self.pipeline.set_state(gst::State::Null)?;
        Ok(found)
    }

    fn step(&self, case: &Case, step: usize, rtt: &mut Vec<(f64, f64)>) -> Result<Step> {
        let kbit = case.rates[step];
        let begun = self.begin(case, step);
        let second = Duration::from_secs(1);
        let mut result = Step {
            kbit,
            found: None,
            seen: None,
            settled: None,
            traffic: 0.0,
        };
        let (mut asked, mut counted) = (false, None);
        loop {
            let now = Instant::now();
            let since = now.saturating_duration_since(begun);
            if since >= case.each.saturating_sub(second / 4) {
                break;
            }
            let stats = self.stats();
            let estimate = estimate(&stats);
            let close = |e: f64| (e / f64::from(kbit) - 1.0).abs() <= 0.1;
            if result.seen.is_none() && estimate.is_some_and(close) {
                result.seen = Some(since);
            }
            if since >= second && !asked {
                asked = true;
                result.found = estimate;
            }
            if since >= 2 * second {
                let bytes: u64 = stats.get("monitor-sent-bytes").unwrap_or_default();
                let (then, first) = *counted.get_or_insert((now, bytes));
                let carried = f64::from(kbit) * 125.0 * (now - then).as_secs_f64();
                result.traffic = (bytes - first) as f64 / carried.max(1.0);
                // Between the trains, if nothing else queues.
                if case.frames.is_none()
                    && let Some(truth) = echo::round_trip(self.echo)?
                {
                    let said: f64 = stats.get("rtt-ms").unwrap_or_default();
                    rtt.push((said, truth.as_secs_f64() * 1e3));
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            result.settled = estimate;
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(result)
    }

    fn stats(&self) -> gst::Structure {
        self.edge.property("stats")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// What trains found, if it is more than a guess.
fn estimate(stats: &gst::StructureRef) -> Option<f64> {
    let uncertainty: f64 = stats.get("monitor-uncertainty-percent").ok()?;
    let rate: f64 = stats.get("monitor-kbit").ok()?;
    (uncertainty <= 30.0 && rate > 0.0).then_some(rate)
}

/// The emulated link from its start on.
fn trace(case: &Case, delay: Duration) -> String {
    let mut text = String::new();
    for (i, rate) in case.rates.iter().enumerate() {
        let at = case.each.as_millis() as u64 * i as u64 + (i as u64 * 137) % 250;
        let at = if i == 0 { 0 } else { at };
        let delay = delay.as_millis();
        let _ = writeln!(
            text,
            "{at}ms up.rate={rate}kbit/s down.rate=100Mbit/s delay={delay}ms queue=200kB"
        );
    }
    text
}

fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}
