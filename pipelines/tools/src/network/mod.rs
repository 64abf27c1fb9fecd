// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A network between two programs on this machine: delay, loss, rate, queue and partitions as a trace has them, for UDP.

mod args;
mod diary;
mod relay;

pub use args::Args;
pub use diary::{Entry, read};
pub use relay::{Forward, Relay};

use anyhow::{Context, Result};
use splitinfer_link::Trace;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

/// Forwards until Ctrl-C or SIGTERM. Writes what holds from when on to `out`: see [`Entry`].
///
/// # Errors
/// When the trace cannot be read or an address cannot be had; the message names it.
pub fn serve(args: &Args, mut out: impl Write) -> Result<()> {
    let file = args.trace.display().to_string();
    let text = std::fs::read_to_string(&args.trace).with_context(|| file.clone())?;
    let trace: Arc<Trace> = Arc::new(text.parse().with_context(|| file)?);
    let (ended, end) = mpsc::channel();
    let asked = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        if !asked.swap(true, Ordering::Relaxed) {
            let _ = ended.send(());
        }
    })?;
    let (start, clock) = (Instant::now(), SystemTime::now());
    let addresses = args.forward.iter().map(ToString::to_string);
    let addresses = addresses.collect::<Vec<_>>().join(", ");
    let _relay = Relay::start(&args.forward, trace.clone(), start, args.seed)
        .with_context(|| format!("cannot forward {addresses}"))?;
    for step in diary::steps(&trace) {
        let wait = (start + step.at).saturating_duration_since(Instant::now());
        match end.recv_timeout(wait) {
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            _ => return Ok(()),
        }
        let line = serde_json::to_string(&Entry::new(&step, clock))?;
        writeln!(out, "{line}")
            .and_then(|()| out.flush())
            .context("standard output")?;
    }
    let _ = end.recv_timeout(Duration::MAX);
    Ok(())
}
