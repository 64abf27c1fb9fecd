// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Traces on which nothing was tuned: the drawn kinds drawn anew, and the hand-written ones with other times, rates,
//! delays, losses and speeds.
//!
//! They are for reports only. Who chooses a constant by them, or looks for what goes wrong in them, makes them useless, and draws others
//! (another [`FIRST_SEED`]).

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use splitinfer_link::{Conditions, Step, Trace};

use super::traces::{self, KINDS, Kind, LENGTH, Named, RATES};

/// Of each kind, and of each hand-written trace.
const EACH: u64 = 2;
/// Away from the seeds of the traces that were tuned on; 1000 and 3000 were looked at.
const FIRST_SEED: u64 = 4000;
/// Half a round trip of 5 to 150 ms.
const DELAYS: RangeInclusive<f64> = 0.0025..=0.075;
const MOST_LOSS: f64 = 0.05;

/// All of them, by name.
///
/// # Errors
/// When a hand-written trace cannot be read.
pub fn load() -> Result<Vec<Named>> {
    let known = traces::load()?;
    let by_hand = known
        .iter()
        .filter(|t| KINDS.iter().all(|k| k.name != t.name));
    let mut all = Vec::new();
    for (place, kind) in KINDS.iter().enumerate() {
        for n in 0..EACH {
            let seed = FIRST_SEED + place as u64 * EACH + n;
            all.push(drawn(kind, n, seed)?);
        }
    }
    for (place, model) in by_hand.enumerate() {
        for n in 0..EACH {
            let seed = 2 * FIRST_SEED + place as u64 * EACH + n;
            all.push(Named {
                name: format!("{}-{}", model.name, n + 1),
                trace: Arc::new(varied(&model.trace, seed).context(model.name.clone())?),
                seed,
            });
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn drawn(kind: &Kind, n: u64, seed: u64) -> Result<Named> {
    let name = format!("{}-{}", kind.name, n + 1);
    let trace = kind.draw(seed).parse().with_context(|| name.clone())?;
    Ok(Named {
        name,
        trace: Arc::new(trace),
        seed,
    })
}

/// The same story with other figures.
fn varied(model: &Trace, seed: u64) -> Result<Trace> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let of_all = Factors::draw(&mut dice, 2.0);
    let times = times(model.steps(), &mut dice);
    let mut steps = Vec::new();
    let mut of_one = Factors::default();
    let mut before: Option<&Step> = None;
    for (step, at) in model.steps().iter().zip(times) {
        of_one = of_one.drawn_again_where_it_changes(before, step, &mut dice);
        let (delay, loss) = (of_all.delay * of_one.delay, of_all.loss * of_one.loss);
        steps.push(Step {
            at,
            up: conditions(&step.up, of_all.up * of_one.up, delay, loss),
            down: conditions(&step.down, of_all.down * of_one.down, delay, loss),
            edge: speed(step.edge, of_one.edge),
            server: speed(step.server, of_one.server),
        });
        before = Some(step);
    }
    Ok(Trace::new(steps, model.length())?)
}

/// By what the figures of a trace or of one of its steps are multiplied.
#[derive(Clone, Copy)]
struct Factors {
    up: f64,
    down: f64,
    delay: f64,
    loss: f64,
    edge: f64,
    server: f64,
}

impl Default for Factors {
    fn default() -> Self {
        Self {
            up: 1.0,
            down: 1.0,
            delay: 1.0,
            loss: 1.0,
            edge: 1.0,
            server: 1.0,
        }
    }
}

impl Factors {
    /// Each between 1/`most` and `most`.
    fn draw(dice: &mut ChaCha8Rng, most: f64) -> Self {
        Self {
            up: factor(dice, most),
            down: factor(dice, most),
            delay: factor(dice, most),
            loss: factor(dice, most),
            edge: factor(dice, most),
            server: factor(dice, most),
        }
    }

    /// What does not change from step to step does not change here either.
    fn drawn_again_where_it_changes(
        self,
        before: Option<&Step>,
        step: &Step,
        dice: &mut ChaCha8Rng,
    ) -> Self {
        let fresh = Self::draw(dice, 1.5);
        let keep = |same: &dyn Fn(&Step) -> bool| before.is_some_and(same);
        let pick = |same: bool, old, new| if same { old } else { new };
        Self {
            up: pick(keep(&|b| b.up.rate == step.up.rate), self.up, fresh.up),
            down: pick(
                keep(&|b| b.down.rate == step.down.rate),
                self.down,
                fresh.down,
            ),
            delay: pick(
                keep(&|b| b.up.delay == step.up.delay),
                self.delay,
                fresh.delay,
            ),
            loss: pick(keep(&|b| b.up.loss == step.up.loss), self.loss, fresh.loss),
            edge: pick(keep(&|b| b.edge == step.edge), self.edge, fresh.edge),
            server: pick(
                keep(&|b| b.server == step.server),
                self.server,
                fresh.server,
            ),
        }
    }
}

/// Evenly in its logarithm.
fn factor(dice: &mut ChaCha8Rng, most: f64) -> f64 {
    most.powf(dice.random_range(-1.0..=1.0))
}

/// Each stretch between two steps is up to 1.7 times as long or as short, the whole as long as before.
fn times(steps: &[Step], dice: &mut ChaCha8Rng) -> Vec<Duration> {
    let ends = steps.iter().skip(1).map(|s| s.at).chain([LENGTH]);
    let stretches: Vec<f64> = steps
        .iter()
        .zip(ends)
        .map(|(s, end)| end.saturating_sub(s.at).as_secs_f64() * factor(dice, 1.7))
        .collect();
    let whole = LENGTH.as_secs_f64() / stretches.iter().sum::<f64>();
    let mut at = 0.0;
    stretches
        .iter()
        .map(|stretch| {
            let begin = at;
            at += stretch * whole;
            // As they are written: whole milliseconds.
            Duration::from_millis((begin * 1e3).round() as u64)
        })
        .collect()
}

/// With the rate, the delay and the loss times these.
fn conditions(model: &Conditions, rate: f64, delay: f64, loss: f64) -> Conditions {
    let rate = model.rate as f64 * rate;
    let delay = model.delay.as_secs_f64() * delay;
    Conditions {
        // A link that stands still goes on doing so.
        rate: match model.rate {
            0 => 0,
            _ => folded(rate, &RATES) as u64,
        },
        delay: Duration::from_secs_f64(folded(delay, &DELAYS)),
        loss: folded(model.loss * loss, &(0.0..=MOST_LOSS)),
        ..model.clone()
    }
}

/// What is outside of the range comes back into it by the factor by which it is outside: at the end of a range, too,
/// figures differ from those of the model.
fn folded(x: f64, range: &RangeInclusive<f64>) -> f64 {
    let (least, most) = (*range.start(), *range.end());
    let inside = match x {
        x if x > most => most * most / x,
        x if x < least => least * least / x,
        x => x,
    };
    inside.clamp(least, most)
}

/// Full speed stays full speed.
fn speed(model: f64, factor: f64) -> f64 {
    match model >= 1.0 {
        true => model,
        false => folded(model * factor, &(0.0..=1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_others_than_those_tuned_on_the_same_each_time_and_within_the_ranges() {
        let known = traces::load().unwrap();
        let (first, second) = (load().unwrap(), load().unwrap());
        assert_eq!(first.len() as u64, EACH * known.len() as u64);
        for (a, b) in first.iter().zip(&second) {
            assert_eq!((&a.name, &a.trace), (&b.name, &b.trace));
            assert!(known.iter().all(|k| k.trace != a.trace), "{}", a.name);
            for step in a.trace.steps() {
                let rate = step.up.rate as f64;
                assert!(rate == 0.0 || RATES.contains(&rate), "{} {rate}", a.name);
                assert!(step.up.loss <= MOST_LOSS && step.edge <= 1.0 && step.server <= 1.0);
            }
        }
    }

    #[test]
    fn a_varied_trace_changes_where_its_model_does() {
        let model: Trace =
            "0s rate=10Mbit/s delay=10ms\n5s up.rate=1Mbit/s\n9s edge=0.5\n14s cut=yes\n15s cut=no"
                .parse()
                .unwrap();
        let varied = varied(&model, 5).unwrap();
        let steps = varied.steps();
        assert_eq!(steps.len(), 5);
        assert_ne!(steps[0].up.rate, model.steps()[0].up.rate);
        assert!(steps[1].up.rate < steps[0].up.rate);
        assert_eq!(steps[1].up.rate, steps[2].up.rate);
        assert_eq!(steps[0].up.delay, steps[4].up.delay);
        assert_eq!(
            steps.iter().map(|s| s.up.cut).collect::<Vec<_>>(),
            [false, false, false, true, false]
        );
        assert!(steps[1].edge == 1.0 && steps[2].edge < 1.0);
    }
}
