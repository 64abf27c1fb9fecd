// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Edges that are killed in the middle of their streams: what they leave behind in the server.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::host::Host;
use super::schedule::between;
use super::series::{Cycles, Series, series};
use super::watch::Watched;

const PATIENCE: Duration = Duration::from_secs(20);

/// Clients at once, dead ones included that the server has not missed yet. It keeps a pad with its thread for as many as there
/// ever were at once, so they are as many once before anything is counted.
const MOST: usize = 8;

/// One edge after the other, with all splits in turns.
///
/// # Errors
/// When the server ends, or does not complete an edge's frames.
pub fn measure(
    model: &str,
    splits: &[String],
    cycles: Cycles,
    seed: u64,
    mut done: impl FnMut(),
) -> Result<Series> {
    let host = RefCell::new(Host::start(model)?);
    let (id, address) = (host.borrow().id(), host.borrow().address());
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let start = |i: usize| {
        let split = &splits[i % splits.len()];
        Watched::start(super::properties(model, &address, split))
    };
    let crowd = (0..MOST).map(start).collect::<Result<Vec<_>>>()?;
    crowd.iter().try_for_each(wait_until_served)?;
    drop(crowd);
    let wait_for_fewer = |clients: usize| {
        let begun = Instant::now();
        while host.borrow_mut().clients()? >= clients && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        anyhow::Ok(())
    };
    let cycle = |i: usize| {
        wait_for_fewer(MOST)?;
        let mut edge = start(i)?;
        wait_until_served(&edge)?;
        std::thread::sleep(between(10, 400, dice.random()));
        edge.kill();
        host.borrow_mut().clients()?;
        done();
        Ok(())
    };
    let mut series = series("server: edges killed", id, cycles, cycle, || {
        wait_for_fewer(1)
    })?;
    series.clients = Some(host.borrow_mut().clients()?);
    series.remark = format!("at most {MOST} clients at once, dead ones included");
    Ok(series)
}

fn wait_until_served(edge: &Watched) -> Result<()> {
    let served = edge.wait_for_server(0.0, PATIENCE)?;
    served.map(|_| ()).context("the server completes no frame")
}
