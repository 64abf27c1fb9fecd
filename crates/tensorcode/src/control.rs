// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How coarse a stream may be coded so that the model's outputs change by no more than a user accepts.
//!
//! How much an error at a cut disturbs what comes after it differs by orders of magnitude from model to model and from cut
//! to cut (docs/measurements/tensor-code.md), so it is measured on the stream itself: now and then somebody runs the tail on
//! the tensors as they are and as the receiver has them, and tells [`StepControl`].

use std::collections::VecDeque;

/// Steps stay within this range of shares of the root mean square.
const FINEST: f32 = 0.004;
const COARSEST: f32 = 1.0;
/// Where nothing is known yet.
const FIRST: f32 = 0.0625;
/// Measurements remembered. The worst of them counts: what is harmless on one frame need not be on the next.
const REMEMBERED: usize = 8;
/// So many, of frames in about the step of now, are needed before it may grow, and then by no more than this at once. What finer steps
/// have shown does not assure it: their errors may average out where those of coarser ones, alike all over a flat part, do not.
const ASSURED: usize = 4;
const GROWTH: f32 = 1.5;
/// For less than this the step does not grow: each change makes every reference a little wrong.
const WORTHWHILE: f32 = 1.25;
/// Frames between two measurements: at first, and when all has long been well.
const SOON: u32 = 4;
const SELDOM: u32 = 256;

/// Finds the step for one cut of one model: finer at once where a frame asks for it, coarser only after several have
/// allowed it.
#[derive(Clone, Debug)]
pub struct StepControl {
    step: f32,
    /// Step, and error over step, of the last measurements.
    gains: VecDeque<(f32, f32)>,
    /// Of the last frame measured.
    error: Option<f32>,
    interval: u32,
    waiting: u32,
}

impl Default for StepControl {
    fn default() -> Self {
        Self {
            step: FIRST,
            gains: VecDeque::with_capacity(REMEMBERED),
            error: None,
            interval: SOON,
            waiting: 0,
        }
    }
}

impl StepControl {
    /// For [`Predictive::set_step`](crate::Predictive::set_step).
    pub fn step(&self) -> f32 {
        self.step
    }

    /// Change of the outputs, relative to their size, on the last frame measured.
    pub fn error(&self) -> Option<f32> {
        self.error
    }

    /// To be asked once a frame: whether this one should be measured.
    pub fn is_due(&mut self) -> bool {
        if self.waiting > 0 {
            self.waiting -= 1;
            return false;
        }
        self.waiting = self.interval;
        true
    }

    /// What was measured no longer tells how the error follows from the step. Half of it is taken until that is known.
    pub fn forget(&mut self) {
        self.gains.clear();
        self.step = (self.step / 2.0).max(FINEST);
        (self.interval, self.waiting) = (SOON, 0);
    }

    /// A frame coded in this `step` changed the outputs by `error`, relative to their size; `target` is accepted.
    pub fn measured(&mut self, step: f32, error: f32, target: f32) {
        if !(error.is_finite() && target > 0.0 && step > 0.0) {
            return;
        }
        self.error = Some(error);
        if self.gains.len() == REMEMBERED {
            self.gains.pop_front();
        }
        self.gains.push_back((step, error / step));
        let worst = self.gains.iter().map(|g| g.1).fold(0.0, f32::max);
        let allowed = (target / worst).clamp(FINEST, COARSEST);
        let in_this_step = |g: &&(f32, f32)| g.0 * WORTHWHILE > self.step;
        let assured = self.gains.iter().filter(in_this_step).count() >= ASSURED;
        let wanted = match () {
            () if allowed < self.step => allowed,
            () if assured && allowed > self.step * WORTHWHILE => allowed.min(self.step * GROWTH),
            () => self.step,
        };
        // Until it is assured that nothing needs to change, looking stays frequent.
        self.interval = match wanted == self.step && assured {
            true => (self.interval * 2).min(SELDOM),
            false => SOON,
        };
        self.waiting = self.waiting.min(self.interval);
        self.step = wanted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a stream whose error is `gain` times the step, with scatter; the steps at the measured frames.
    fn run(gain: f32, target: f32, frames: u32) -> Vec<f32> {
        let mut control = StepControl::default();
        let mut steps = Vec::new();
        for frame in 0..frames {
            if control.is_due() {
                let scatter = 1.0 + 0.1 * ((frame * 7919 % 13) as f32 / 6.0 - 1.0);
                let step = control.step();
                control.measured(step, gain * step * scatter, target);
                steps.push(step);
            }
        }
        steps
    }

    #[test]
    fn the_step_is_found_from_either_side_and_then_seldom_looked_at() {
        for gain in [0.05, 0.3, 2.0] {
            let steps = run(gain, 0.02, 1000);
            let last = steps[steps.len() - 1];
            assert!(
                (0.7..=1.0).contains(&(gain * last / 0.02)),
                "{gain}: {steps:?}"
            );
            assert!(steps.len() < 40, "{gain}: {} measurements", steps.len());
        }
    }

    #[test]
    fn one_frame_in_some_that_needs_it_keeps_the_step_fine() {
        let mut control = StepControl::default();
        for frame in 0..4000 {
            if control.is_due() {
                let gain = if frame % 12 == 0 { 1.0 } else { 0.01 };
                control.measured(control.step(), gain * control.step(), 0.02);
            }
        }
        assert!(control.step() <= 0.02, "{}", control.step());
    }

    #[test]
    fn errors_that_average_out_in_fine_steps_only_are_met_before_they_are_too_large() {
        // Worst where the step is above the texture of the tensors; frames scatter.
        let gain = |step: f32, frame: u32| {
            let scatter = (frame * 7919 % 101) as f32 / 100.0;
            let worst = if step > 0.05 { 0.6 } else { 0.15 };
            worst * (0.2 + 0.8 * scatter)
        };
        let mut control = StepControl::default();
        control.forget();
        let mut most = 0.0f32;
        for frame in 0..3000 {
            let step = control.step();
            most = most.max(gain(step, frame) * step);
            if control.is_due() {
                control.measured(step, gain(step, frame) * step, 0.02);
            }
        }
        assert!(most < 0.06, "{most}");
        assert!(control.step() > 0.02, "{}", control.step());
    }

    #[test]
    fn the_step_stays_within_its_range() {
        assert_eq!(run(0.0, 0.02, 500).last(), Some(&COARSEST));
        assert_eq!(run(1e3, 0.02, 500).last(), Some(&FINEST));
        // At the end of the range, too, looking becomes seldom: 28 looks to get there, four for each of seven times that it grows.
        assert!(run(0.0, 0.02, 2000).len() < 48);
    }

    #[test]
    fn what_cannot_be_measured_changes_nothing() {
        let mut control = StepControl::default();
        control.measured(0.1, f32::NAN, 0.02);
        control.measured(0.1, 0.5, 0.0);
        assert_eq!((control.step(), control.error()), (FIRST, None));
    }
}
