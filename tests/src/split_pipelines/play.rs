// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One run: a server, edges that play the same film at the same time, each behind a link of its own, and a trace.

use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use splitinfer_link::Trace;
use splitinfer_tools::network::{Forward, Relay};

use super::control::Known;
use super::edge::{Done, Frame, Job, Line};
use crate::process::{Server, free_port};
use crate::quota::Quota;

/// The argument with which a measurement is started again as an edge.
pub const EDGE: &str = "--edge";
/// Where the server is; edges reach it at addresses of their own.
const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Beyond the film's length.
const PATIENCE: Duration = Duration::from_secs(120);

/// The machines and what they are to do.
#[derive(Clone, Debug)]
pub struct Stage {
    pub model: PathBuf,
    pub film: PathBuf,
    /// Frames a second.
    pub rate: u32,
    pub budget_ms: u32,
    /// Processors that the machines have, before the trace says otherwise.
    pub edge: f64,
    pub server: f64,
}

/// How it is played.
#[derive(Clone, Debug)]
pub struct Play {
    pub split: String,
    /// Who sets another split while it plays.
    pub control: Option<Known>,
    pub monitor: bool,
    pub edges: usize,
    pub trace: Arc<Trace>,
    pub seed: u64,
}

/// What an edge showed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Recording {
    pub frames: Vec<Frame>,
    pub done: Done,
}

/// Plays the film once.
///
/// # Errors
/// When a machine cannot be made, does not run, or does not end.
pub fn play(stage: &Stage, play: &Play) -> Result<Vec<Recording>> {
    let server_quota = Quota::new(stage.server)?;
    let monitor_port = free_port();
    let server = Server::start(&[
        &format!("address={SERVER}"),
        &format!("model={}", stage.model.display()),
        &match play.monitor {
            true => format!("monitor-port={monitor_port}"),
            false => "monitor-port=-1".into(),
        },
    ]);
    server_quota.add(server.id())?;
    let ports = [server.port(), monitor_port];
    let edges = (0..play.edges).map(|i| Edge::start(stage, play, i, ports));
    let mut edges = edges.collect::<Result<Vec<_>>>()?;
    for edge in &edges {
        match edge.next()? {
            Line::Ready => {}
            other => bail!("an edge said {other:?} before it was ready"),
        }
    }
    let begun = Instant::now();
    for edge in &mut edges {
        edge.relay.change(play.trace.clone());
        edge.orders.write_all(b"go\n")?;
    }
    speeds(stage, &play.trace, begun, &edges, &server_quota)?;
    edges.iter_mut().map(Edge::record).collect()
}

/// Gives the machines the speeds that the trace says, until the film ends.
fn speeds(
    stage: &Stage,
    trace: &Trace,
    begun: Instant,
    edges: &[Edge],
    server: &Quota,
) -> Result<()> {
    let length = edges.first().map_or(Duration::ZERO, |e| e.length);
    for step in trace.steps().iter().take_while(|s| s.at < length) {
        std::thread::sleep((begun + step.at).saturating_duration_since(Instant::now()));
        for edge in edges {
            edge.quota.set(stage.edge * step.edge)?;
        }
        server.set(stage.server * step.server)?;
    }
    Ok(())
}

struct Edge {
    process: Child,
    orders: ChildStdin,
    lines: Receiver<Result<Line>>,
    relay: Relay,
    /// Of the film.
    length: Duration,
    // After the process, which is in it.
    quota: Quota,
}

impl Edge {
    fn start(stage: &Stage, play: &Play, index: usize, ports: [u16; 2]) -> Result<Self> {
        let near = Ipv4Addr::new(127, 0, 1, u8::try_from(index)? + 1);
        let forward = |port| Forward {
            near: (near, port).into(),
            far: (SERVER, port).into(),
        };
        let seed = play.seed + index as u64;
        let still = Arc::new(Trace::new(vec![splitinfer_link::Step::default()], None)?);
        let relay = Relay::start(&ports.map(forward), still, Instant::now(), seed)?;
        let quota = Quota::new(stage.edge)?;
        let property = |name: &str, value: String| (name.to_owned(), value);
        let job = Job {
            film: stage.film.clone(),
            rate: stage.rate,
            properties: vec![
                property("model", stage.model.display().to_string()),
                property("server", format!("{near}:{}", ports[0])),
                property("split", play.split.clone()),
                property("latency-budget", stage.budget_ms.to_string()),
            ],
            control: play.control.clone(),
            quota: Some(quota.members()),
        };
        let mut process = Command::new(std::env::current_exe()?)
            .args([EDGE, &serde_json::to_string(&job)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (sender, lines) = channel();
        let out = BufReader::new(process.stdout.take().context("it was asked for")?);
        std::thread::spawn(move || {
            for line in out.lines() {
                let line = line.map_err(anyhow::Error::from);
                let line = line.and_then(|l| serde_json::from_str(&l).context(l));
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let bytes = std::fs::metadata(&stage.film)?.len() as usize;
        let shots = super::camera::shots(bytes) as u32;
        Ok(Self {
            orders: process.stdin.take().context("it was asked for")?,
            process,
            lines,
            relay,
            length: Duration::from_secs(1) / stage.rate * shots,
            quota,
        })
    }

    fn next(&self) -> Result<Line> {
        let line = self.lines.recv_timeout(self.length + PATIENCE);
        line.map_err(|e| anyhow!("an edge ended or hangs: {e}"))?
    }

    /// All that it says until it is done.
    fn record(&mut self) -> Result<Recording> {
        let mut frames = Vec::new();
        loop {
            match self.next()? {
                Line::Frame(frame) => frames.push(frame),
                Line::Done(done) => return Ok(Recording { frames, done }),
                Line::Ready => bail!("an edge was ready twice"),
            }
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
