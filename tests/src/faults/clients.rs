// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Edges that are killed in the middle of their streams: what they leave behind in the server.

use std::time::{Duration, Instant};

use anyhow::Result;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::host::Host;
use super::schedule::between;
use super::series::{Cycles, Series, series};
use super::watch::Watched;

const PATIENCE: Duration = Duration::from_secs(20);

/// One edge after the other, with all splits in turns.
///
/// # Errors
/// When the server ends.
pub fn measure(
    model: &str,
    splits: &[String],
    cycles: Cycles,
    seed: u64,
    mut done: impl FnMut(),
) -> Result<Series> {
    let mut host = Host::start(model)?;
    let address = host.address();
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let (mut most, mut unserved) = (0, 0);
    let host = std::cell::RefCell::new(&mut host);
    let cycle = |i: usize| {
        let split = &splits[i % splits.len()];
        let mut edge = Watched::start(super::properties(model, &address, split))?;
        if edge.wait_for_server(0.0, PATIENCE)?.is_none() {
            unserved += 1;
            eprintln!(
                "split={split}: the server completes no frame; {}",
                edge.finish()?.stats
            );
            return Ok(());
        }
        std::thread::sleep(between(10, 400, dice.random()));
        edge.kill();
        most = most.max(host.borrow_mut().clients()?);
        done();
        Ok(())
    };
    let id = host.borrow().id();
    let mut series = series("server: edges killed", id, cycles, cycle, || {
        let begun = Instant::now();
        while host.borrow_mut().clients()? > 0 && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    })?;
    series.clients = Some(host.borrow_mut().clients()?);
    series.remark = format!(
        "at most {most} clients at once, dead ones included; {unserved} edges had no frame completed"
    );
    Ok(series)
}
