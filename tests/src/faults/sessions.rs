// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! An edge that plays on while its server ends and comes back over and over: what sessions leave behind in it.

use std::time::Duration;

use anyhow::{Context, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::injure::wait_until_listening;
use super::schedule::between;
use super::series::{Cycles, Series, series};
use super::watch::Watched;
use crate::process::Server;

const PATIENCE: Duration = Duration::from_secs(20);
/// For the server's good-bye.
const GOODBYE: Duration = Duration::from_secs(3);

/// Each session ends as Ctrl-C ends the server, which says so, in the middle of the stream.
///
/// # Errors
/// When a process ends or the edge does not come back.
pub fn measure(
    model: &str,
    split: &str,
    cycles: Cycles,
    seed: u64,
    mut done: impl FnMut(),
) -> Result<Series> {
    let mut server = Server::start(&[&format!("model={model}")]);
    wait_until_listening(&server)?;
    let edge = Watched::start(super::properties(model, &server.address(), split))?;
    edge.wait_until_steady(PATIENCE)?;
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let cycle = |_| {
        std::thread::sleep(between(50, 300, dice.random()));
        server.interrupt(GOODBYE);
        server.restart();
        wait_until_listening(&server)?;
        let again = super::now();
        let back = edge.wait_for_server(again, PATIENCE)?;
        done();
        back.map(|_| ()).context("the edge does not come back")
    };
    let mut series = series("edge: sessions", edge.id(), cycles, cycle, || Ok(()))?;
    let seen = edge.finish()?;
    series.remark = format!("{} frames", seen.frames.len());
    Ok(series)
}
