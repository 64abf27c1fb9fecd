// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Frames that carry their number, through switches as fast as they go and several in flight: what is lost or mixed up.

use anyhow::Result;
use gst::prelude::*;
use splitinfer_meta::Completed;

use super::edge::candidates;
use crate::numbered::{self, NUMBERS};
use crate::pipeline::{Numbered, Received};
use crate::process::Server;

/// Frames at each split.
const STRETCH: u64 = 3;

/// What became of the frames.
pub struct Fate {
    pub frames: u64,
    pub switches: u64,
    pub by_server: u64,
    /// That did not come out once, in order, with the number that the model read off this very frame.
    pub lost: u64,
}

/// Switches after every third frame.
///
/// # Errors
/// When the model cannot be written.
pub fn run(frames: u64) -> Result<Fate> {
    let folder = tempfile::tempdir()?;
    let model = numbered::write_model(folder.path())?;
    let server = Server::start(&[&format!("model={model}")]);
    let stream = Numbered::start(false, |edge| {
        edge.set_property("model", &model);
        edge.set_property("server", server.address());
        edge.set_property("split", "edge");
        edge.set_property("latency-budget", 1000u32);
    });
    stream.wait_until_connected();
    let mut splits = candidates(&stream.edge)?;
    splits.extend(["server".to_owned(), "edge".to_owned()]);
    for number in 0..frames {
        if number % STRETCH == 0 {
            let split = &splits[(number / STRETCH) as usize % splits.len()];
            stream.edge.set_property("split", split);
        }
        stream.push(number);
    }
    let edge = stream.edge.clone();
    let received = stream.finish();
    let stats: gst::Structure = edge.property("stats");
    Ok(Fate {
        frames,
        switches: stats.get("switches")?,
        by_server: received
            .iter()
            .filter(|r| r.completed() == Completed::Server)
            .count() as u64,
        lost: lost(&received, frames),
    })
}

/// Frames that are missing, or that came out otherwise than once, in order, with what the model reads off them.
fn lost(received: &[Received], frames: u64) -> u64 {
    let mut next = 0;
    let mut kept = 0;
    for frame in received {
        let in_order =
            frame.number >= next && frame.number < frames && frame.offset == frame.number;
        let result = frame.result.as_ref();
        let own = result.is_some_and(|r| r.frame == frame.number)
            && frame.read == Some(frame.number % NUMBERS);
        if in_order && own {
            kept += 1;
            next = frame.number + 1;
        }
    }
    frames.max(received.len() as u64) - kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as the element gives it, with what the model read off it.
    fn received(number: u64, read: u64) -> Received {
        Received {
            number,
            offset: number,
            read: Some(read),
            at: std::time::Instant::now(),
            result: Some(splitinfer_meta::FrameResult {
                frame: number,
                ..Default::default()
            }),
        }
    }

    #[test]
    fn frames_that_are_missing_doubled_swapped_or_of_others_are_lost() {
        let numbers =
            |numbers: &[u64]| numbers.iter().map(|n| received(*n, *n)).collect::<Vec<_>>();
        assert_eq!(lost(&numbers(&[0, 1, 2, 3]), 4), 0);
        assert_eq!(lost(&numbers(&[0, 2, 3]), 4), 1);
        assert_eq!(lost(&numbers(&[0, 1, 1, 2, 3]), 4), 1);
        assert_eq!(lost(&numbers(&[0, 2, 1, 3]), 4), 1);
        assert_eq!(lost(&[received(0, 0), received(1, 0)], 2), 1);
    }
}
