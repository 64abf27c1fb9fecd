// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where to run a frame's inference: all here, all on the server from the picture, or cut at a candidate.
//!
//! [`decide`] is a pure function from what is known ([`Situation`]) to a [`Decision`] that explains itself. The
//! estimators beside it turn what passing frames show into that knowledge; time is passed in.
//!
//! ```
//! use splitinfer_plan::{Choice, Offload, Path, Profile, Server, Situation, decide};
//! use std::time::Duration;
//! let ms = Duration::from_millis;
//! let cut = Offload { name: "relu_7".into(), head: ms(5), encode: ms(1), bytes: 10_000, fresh_bytes: 20_000, decode: ms(1), tail: ms(90) };
//! let profile = Profile { whole: ms(95), candidates: vec![cut], ..Profile::default() };
//! let server = Server { speed: 10.0, ..Server::default() };
//! let path = Path { rtt: ms(4), bandwidth: Some(1.25e6), server, ..Path::default() };
//! let decision = decide(&Situation::new(&profile, Some(&path)));
//! assert_eq!(decision.choice, Choice::Candidate(0));
//! assert!(decision.predicted < ms(30));
//! println!("{}", decision.reason);
//! ```

mod crowd;
mod decide;
mod fixed;
mod health;
mod latency;
mod pace;
mod predict;
mod profile;
mod selector;
mod speeds;
mod tracked;
mod transit;
mod turnaround;
mod waiting;

pub use decide::{Decision, Doubt, Objective, Situation, decide};
pub use fixed::Fixed;
pub use health::{Advice, Change, Health};
pub use latency::LatencyWindow;
pub use predict::{ASSUMED_BANDWIDTH, Prediction, predict};
pub use profile::{Offload, Path, Profile, Server};
pub use selector::{Plan, Round, Selector, Wish};
pub use speeds::Speeds;
pub use tracked::Tracked;
pub use transit::Transit;
pub use turnaround::Turnaround;
pub use waiting::can_pay;

/// Where a frame's inference runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// All of it on this machine.
    Here,
    /// All of it on the server, which gets the picture, coded by itself.
    Picture,
    /// All of it on the server, which gets the picture as the next one of a stream of video.
    Video,
    /// Head here, tail on the server; the candidate's place in the table of candidates.
    Candidate(usize),
}
