// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! `splitinfer-server` in a process that can be asked how many clients it has, which `gst-launch-1.0` cannot.

use std::io::BufRead;
use std::time::Duration;

use anyhow::{Context, Result};
use gst::prelude::*;
use serde::{Deserialize, Serialize};

use super::child::{Child, say};
use crate::split_switch::memory;

/// The argument with which the program becomes one.
pub const ARGUMENT: &str = "--host";
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Job {
    model: String,
}

/// What it says.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Line {
    port: u32,
    clients: usize,
}

/// Ends when dropped.
pub struct Host {
    child: Child<Line>,
    port: u32,
}

impl Host {
    /// Returns once it listens.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(model: &str) -> Result<Self> {
        let model = model.to_owned();
        let child: Child<Line> = Child::start(ARGUMENT, &Job { model })?;
        let port = child.next(PATIENCE)?.port;
        Ok(Self { child, port })
    }

    /// Of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Clients that it has a session with; and it gives back what memory it can.
    ///
    /// # Errors
    /// When it does not say.
    pub fn clients(&mut self) -> Result<usize> {
        self.child.order("clients")?;
        Ok(self.child.next(PATIENCE)?.clients)
    }
}

/// The process itself.
///
/// # Errors
/// When the server does not start.
pub fn work(job: &str) -> Result<()> {
    let job: Job = serde_json::from_str(job)?;
    crate::init();
    let server = gst::ElementFactory::make("splitinfer-server")
        .property("model", &job.model)
        .property("port", 0u32)
        .build()?;
    let pipeline = gst::Pipeline::new();
    pipeline.add(&server)?;
    pipeline.set_state(gst::State::Playing)?;
    let tell = || {
        let stats: gst::Structure = server.property("stats");
        let clients: gst::Array = stats.get("clients").context("no clients")?;
        let port = server.property("current-port");
        say(&Line {
            port,
            clients: clients.len(),
        })
    };
    tell()?;
    for line in std::io::stdin().lock().lines() {
        line?;
        memory::give_back();
        tell()?;
    }
    pipeline.set_state(gst::State::Null)?;
    Ok(())
}
