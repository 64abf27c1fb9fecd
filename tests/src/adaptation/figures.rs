// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From what a run showed to the columns of the table.

use serde::{Deserialize, Serialize};
use splitinfer_evaluate::{Frame, evaluate};

use super::plan::{Case, RATE, Task};
use super::run::Run;
use crate::spread::mean;

/// How wrong the results of some frames are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Pixels: box error for vehicles, joint error for people.
    pub error: Option<f64>,
    /// AP at IoU 0.5 whatever the kind; PCK at a tenth of the body's size.
    pub score: Option<f64>,
    /// What gains are counted in: the box error, and for people the share of joints that were not found, as the joint
    /// error would reward a student that finds nobody.
    pub cost: Option<f64>,
}

impl Quality {
    pub fn of(frames: &[Frame], task: Task) -> Self {
        let figures = evaluate(frames, &task.rules().0);
        match task {
            Task::Traffic => Self {
                error: figures.detection.boxes.mae,
                score: figures.detection.any_label.ap50,
                cost: figures.detection.boxes.mae,
            },
            Task::Walker => {
                let joints = figures.pose.map(|p| p.joints);
                let score = joints.as_ref().and_then(|j| j.pck.get(1)?.all);
                Self {
                    error: joints.and_then(|j| j.joint_error),
                    score,
                    cost: score.map(|s| 1.0 - s),
                }
            }
        }
    }
}

/// A run in figures.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Before the domain changes, from then on, and in the last quarter of the run.
    pub before: Quality,
    pub after: Quality,
    pub end: Quality,
    /// The last weights on the domain before the change.
    pub back: Quality,
    /// Objects found a frame from the change on: a gate that judges objects sees nothing where there are none.
    pub found_after: Option<f64>,
    /// Shares of frames, percent.
    pub updates_pct: f64,
    pub teacher_pct: f64,
    pub updates: f64,
    pub trainings: f64,
    pub steps: f64,
    pub cpu_s: f64,
    pub training_s: f64,
    pub label_s: f64,
    pub update_kbit_s: f64,
    pub lost: f64,
    /// Of the windows that ended before the change, and after it, those that the gate called bad; percent.
    pub bad_before: Option<f64>,
    pub bad_after: Option<f64>,
}

impl Figures {
    pub fn of(run: &Run, case: &Case) -> Self {
        let frames: Vec<Frame> = run.seen.iter().map(|s| s.frame.clone()).collect();
        let of = |from: u64, to: u64| {
            let range = from as usize..(to as usize).min(frames.len());
            Quality::of(&frames[range], case.task)
        };
        let share = |n: u64| n as f64 * 100.0 / case.frames as f64;
        let found = frames.iter().skip(case.drift() as usize);
        let found: Vec<f64> = found.map(|f| f.found.len() as f64).collect();
        let updates = run.accepted + run.recalled;
        let seconds = case.frames as f64 / f64::from(RATE);
        Self {
            before: of(0, case.drift()),
            after: of(case.drift(), case.frames),
            end: of(case.frames - case.frames / 4, case.frames),
            back: Quality::of(&run.back, case.task),
            found_after: mean(&found),
            updates_pct: share(updates),
            teacher_pct: share(run.labelled),
            updates: updates as f64,
            trainings: run.trainings as f64,
            steps: run.steps as f64,
            cpu_s: run.cpu.as_secs_f64(),
            training_s: run.training.as_secs_f64(),
            label_s: run.label.as_secs_f64() * run.labelled as f64,
            update_kbit_s: run.update_bytes as f64 * 8.0 / 1e3 / seconds,
            lost: run.lost as f64,
            bad_before: bad(run, 0..case.drift()),
            bad_after: bad(run, case.drift()..case.frames),
        }
    }
}

fn bad(run: &Run, frames: std::ops::Range<u64>) -> Option<f64> {
    let windows = run.windows.iter();
    let windows = windows.filter(|w| frames.contains(&w.last_frame));
    let bad: Vec<f64> = windows.map(|w| if w.bad { 100.0 } else { 0.0 }).collect();
    mean(&bad)
}

/// Percent of what `always` gains over `none` that `own` gains, in costs after the change; `None` where always gains
/// nothing.
pub fn gain_kept(none: &Figures, always: &Figures, own: &Figures) -> Option<f64> {
    let gain = none.after.cost? - always.after.cost?;
    (gain > 0.0).then_some((none.after.cost? - own.after.cost?) * 100.0 / gain)
}

/// Percent of the steps of `always` that `own` did without; `None` where it made none.
pub fn saved(always: &Figures, own: &Figures) -> Option<f64> {
    (always.steps > 0.0).then(|| (1.0 - own.steps / always.steps) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(cost: f64, steps: f64) -> Figures {
        Figures {
            after: Quality {
                cost: Some(cost),
                ..Quality::default()
            },
            steps,
            ..Figures::default()
        }
    }

    #[test]
    fn gain_and_savings_by_hand() {
        let (none, always, own) = (after(80.0, 0.0), after(30.0, 600.0), after(40.0, 60.0));
        assert_eq!(gain_kept(&none, &always, &own), Some(80.0));
        assert_eq!(gain_kept(&none, &none, &own), None);
        assert_eq!(saved(&always, &own), Some(90.0));
        assert_eq!(saved(&none, &own), None);
    }
}
