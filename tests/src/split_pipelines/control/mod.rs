// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Methods that choose the split from outside of the element: while the pipeline plays they set its property `split` for the
//! frames to come, and see what anyone sees, the results that leave and `stats`.

mod surgeon;
mod watch;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use gst::prelude::*;
use serde::{Deserialize, Serialize};
use splitinfer_plan::Choice;

use self::surgeon::Surgeon;
use self::watch::{Seen, Watch};
use super::profile::Profile;
use crate::baselines::bandit::Bandit;

/// Which method.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// `coding`: it knows how long encoding and decoding take, too.
    Neurosurgeon { coding: bool },
    /// It takes no more from the profile than what there is to choose among.
    Bandit { budget_ms: u32 },
}

/// The method and what it may know before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Known {
    pub control: Control,
    pub profile: Profile,
}

/// A frame that has left the element.
#[derive(Clone, Debug)]
pub struct Left {
    pub split: String,
    pub by_server: bool,
    /// From its capture.
    pub latency: Duration,
    /// From its entry into the element to its result.
    pub inside: Duration,
}

/// Chooses for the first frame, and then, on a thread of its own, after each that leaves and is told of. The thread ends when
/// nobody can tell of frames any more.
pub fn start(edge: &gst::Element, known: &Known) -> Sender<Left> {
    let profile = known.profile.clone();
    let mut method: Box<dyn Method> = match known.control {
        Control::Neurosurgeon { coding } => Box::new(Surgeon::new(&profile, coding)),
        Control::Bandit { budget_ms } => {
            let budget = Duration::from_millis(budget_ms.into());
            Box::new(Bandit::new(profile.choices(), budget))
        }
    };
    let (sender, frames) = channel();
    set(edge, &profile, method.choose());
    let edge = edge.clone();
    std::thread::spawn(move || follow(&edge, &profile, &mut *method, &frames));
    sender
}

fn follow(
    edge: &gst::Element,
    profile: &Profile,
    method: &mut dyn Method,
    frames: &Receiver<Left>,
) {
    let mut watch = Watch::default();
    for left in frames {
        let stats: gst::Structure = edge.property("stats");
        let seen = watch.look(&stats, Instant::now());
        if let Some(choice) = profile.choice(&left.split) {
            method.left(choice, &left, &seen);
        }
        set(edge, profile, method.choose());
    }
}

fn set(edge: &gst::Element, profile: &Profile, choice: Choice) {
    let name = profile.name(choice);
    if edge.property::<String>("split") != name {
        edge.set_property("split", name);
    }
}

/// One of the baselines, as it sees a pipeline.
trait Method: Send {
    fn left(&mut self, choice: Choice, left: &Left, seen: &Seen);

    fn choose(&self) -> Choice;
}

impl Method for Bandit {
    fn left(&mut self, choice: Choice, left: &Left, _: &Seen) {
        Self::left(self, choice, left.latency);
    }

    fn choose(&self) -> Choice {
        Self::choose(self)
    }
}
