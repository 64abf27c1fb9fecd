// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the server tells of itself, and what the edge makes of it: as the elements do it, `server/timing.rs` and
//! `edge/monitor.rs`.

use std::time::Duration;

use splitinfer_plan::{Choice, Profile, Selector};
use splitinfer_wire::Load;

use super::setting::Setting;

/// Weight of the newest time.
const NEWEST: i64 = 8;

/// Smoothed times of inference on the server, microseconds; 0 before the first.
#[derive(Clone, Debug)]
pub struct Times {
    whole: u32,
    tails: Vec<u32>,
}

impl Times {
    pub fn new(setting: &Setting) -> Self {
        Self {
            whole: 0,
            tails: vec![0; setting.model.cuts.len()],
        }
    }

    /// Decoding not included.
    pub fn add(&mut self, choice: Choice, took: Duration) {
        let smoothed = match choice {
            Choice::Here => return,
            Choice::Picture | Choice::Video => &mut self.whole,
            Choice::Candidate(i) => &mut self.tails[i],
        };
        let new = i64::try_from(took.as_micros()).unwrap_or(i64::MAX).max(1);
        let old = i64::from(*smoothed);
        *smoothed = match old {
            0 => new,
            old => old + (new - old) / NEWEST,
        } as u32;
    }

    pub fn load(&self, queue: u32, utilisation_permille: u16) -> Load {
        Load {
            queue,
            utilisation_permille,
            whole_us: self.whole,
            tail_us: self.tails.clone(),
        }
    }
}

/// Tells the selector what the server says of itself.
pub fn tell(selector: &mut Selector, load: &Load, now: std::time::Instant) {
    let Some(profile) = selector.profile() else {
        return;
    };
    let times = times(load, profile);
    selector.server(usual_work(load) * load.queue, times.into_iter(), now);
}

/// How long the server works on frames of each choice, decoding included, where it has run any.
fn times(load: &Load, profile: &Profile) -> Vec<(Choice, Duration)> {
    let known = |us: u32| (us > 0).then(|| Duration::from_micros(us.into()));
    let times = profile.offloads().filter_map(|(choice, offload)| {
        let us = match choice {
            Choice::Candidate(i) => load.tail_us.get(i).copied(),
            _ => Some(load.whole_us),
        };
        Some((choice, us.and_then(known)? + offload.decode))
    });
    times.collect()
}

/// Mean of the times that are known.
fn usual_work(load: &Load) -> Duration {
    let all = load.tail_us.iter().chain([&load.whole_us]);
    let known: Vec<u64> = all.filter(|us| **us > 0).map(|us| (*us).into()).collect();
    let mean = known.iter().sum::<u64>().checked_div(known.len() as u64);
    Duration::from_micros(mean.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use splitinfer_plan::Offload;

    use super::*;

    #[test]
    fn a_server_that_has_worked_on_a_cut_tells_its_time_and_its_queue() {
        let mut times = Times {
            whole: 0,
            tails: vec![0, 0],
        };
        times.add(Choice::Candidate(1), Duration::from_micros(800));
        times.add(Choice::Candidate(1), Duration::from_micros(1600));
        let load = times.load(3, 0);
        assert_eq!((load.whole_us, &load.tail_us[..]), (0, &[0, 900][..]));
        let cut = Offload {
            decode: Duration::from_micros(50),
            ..Offload::default()
        };
        let profile = Profile {
            candidates: vec![cut.clone(), cut],
            ..Profile::default()
        };
        let told = super::times(&load, &profile);
        assert_eq!(told, [(Choice::Candidate(1), Duration::from_micros(950))]);
        assert_eq!(usual_work(&load), Duration::from_micros(900));
    }
}
