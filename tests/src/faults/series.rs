// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The same thing over and over, and what a process holds after each time.

use anyhow::Result;

use super::growth::Growth;
use super::resources::Resources;
use super::run::Held;

/// What a process held over many cycles.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub cycles: usize,
    pub held: Held,
    /// A server's, when all should have gone.
    pub clients: Option<usize>,
    pub growth: Growth,
    /// What else is worth telling.
    pub remark: String,
}

/// How often: first without counting, so that caches and pools fill, then with.
#[derive(Clone, Copy, Debug)]
pub struct Cycles {
    pub warm: usize,
    pub count: usize,
}

impl Cycles {
    pub fn total(self) -> usize {
        self.warm + self.count
    }
}

/// Runs `cycle` over and over, then `rest` until all that should go has gone.
///
/// # Errors
/// Those of `cycle`, or when the process ends.
pub fn series(
    name: &str,
    process: u32,
    cycles: Cycles,
    mut cycle: impl FnMut(usize) -> Result<()>,
    mut rest: impl FnMut() -> Result<()>,
) -> Result<Series> {
    (0..cycles.warm).try_for_each(&mut cycle)?;
    rest()?;
    let before = Resources::least(process)?;
    let mut memory = Vec::new();
    for i in cycles.warm..cycles.total() {
        cycle(i)?;
        memory.push(Resources::of(process)?.memory);
    }
    rest()?;
    let after = Resources::settled(process, before)?;
    Ok(Series {
        name: name.to_owned(),
        cycles: cycles.count,
        held: Held { before, after },
        clients: None,
        growth: Growth::new(&memory),
        remark: String::new(),
    })
}

impl Series {
    /// Threads, files, clients, and one for memory that goes on to grow.
    pub fn leaked(&self) -> usize {
        let grows = self.growth.goes_on == Some(true);
        self.held.left_over() + self.clients.unwrap_or_default() + usize::from(grows)
    }
}
