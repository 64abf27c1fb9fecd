// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One stream of frames through an edge while faults of one kind come one after the other.

use std::time::Duration;

use anyhow::{Result, bail};

use super::injure::{Span, Target};
use super::resources::Resources;
use super::schedule::{Act, Fault, Kind};
use super::watch::{Seen, Watched};

/// How long the edge may take to come back to the server.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long an edge may take to use the server at first, and how many edges may be tried.
const START: Duration = Duration::from_secs(8);
const STARTS: usize = 8;

/// What is done.
#[derive(Clone, Debug)]
pub struct Setup {
    pub model: String,
    pub kind: Kind,
    pub split: String,
    pub faults: Vec<Fault>,
}

/// A fault as it came about; times are [`super::now`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub span: Span,
    /// When the first frame came out that the server completed after it could answer again.
    pub back: Option<f64>,
}

/// What a process held when all was well, after a first fault, and what when all was well again at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Held {
    pub before: Resources,
    pub after: Resources,
}

impl Held {
    /// Threads and files that are left over.
    pub fn left_over(&self) -> usize {
        self.after.left_over(self.before)
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub struct Recording {
    pub seen: Seen,
    pub hits: Vec<Hit>,
    pub edge: Held,
    /// Where the server lives on.
    pub server: Option<Held>,
}

/// Runs it. `done` is called after each fault.
///
/// # Errors
/// When a process ends that should not, or does not do its work before the first fault.
pub fn run(setup: &Setup, mut done: impl FnMut()) -> Result<Recording> {
    let partition = setup.kind == Kind::Partition;
    let mut target = Target::start(&setup.model, partition)?;
    let edge = start(setup, &target.address())?;
    let lives = matches!(setup.kind, Kind::Nothing | Kind::Freeze | Kind::Partition);
    let server = lives.then(|| target.server.id());
    let least = |server: Option<u32>| server.map(Resources::least).transpose();
    let mut hits = Vec::new();
    let mut before = (Resources::default(), None);
    for (i, fault) in setup.faults.iter().enumerate() {
        std::thread::sleep(fault.calm);
        hits.push(hit(&mut target, &edge, &fault.act)?);
        edge.wait_until_steady(PATIENCE)?;
        // What is made once and kept has been made by now.
        if i == 0 {
            before = (Resources::least(edge.id())?, least(server)?);
        }
        done();
    }
    let held = |process, before| -> Result<Held> {
        let after = Resources::settled(process, before)?;
        Ok(Held { before, after })
    };
    let edge_held = held(edge.id(), before.0)?;
    let server_held = server.zip(before.1).map(|(id, before)| held(id, before));
    Ok(Recording {
        hits,
        edge: edge_held,
        server: server_held.transpose()?,
        seen: edge.finish()?,
    })
}

/// An edge whose frames the server completes.
fn start(setup: &Setup, server: &str) -> Result<Watched> {
    for _ in 0..STARTS {
        let edge = Watched::start(super::properties(&setup.model, server, &setup.split))?;
        if edge.wait_until_steady(START)? {
            return Ok(edge);
        }
        // The model is so small that coding may seem to cost more than all of it, by what is measured at the start.
        eprintln!("{}: the edge does all by itself; another one", setup.split);
    }
    bail!("{}: the server completes no frames", setup.split)
}

fn hit(target: &mut Target, edge: &Watched, act: &Act) -> Result<Hit> {
    let span = target.suffer(act)?;
    let back = edge.wait_for_server(span.again, PATIENCE)?;
    Ok(Hit { span, back })
}
