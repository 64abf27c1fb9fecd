// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A scene that is watched for minutes: whether what was learnt once has to be learnt again when its domain returns, and how the
//! student goes on where the domain stays.

use std::ops::Range;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::figures::Quality;
use super::plan::{Case, Method, RATE, Task, Tuning};
use super::policy::Policy;
use super::run::{Run, Spent, play};
use crate::spread::mean;

/// Frames of a visit, 20 s.
const FRAMES: u64 = 300;

/// Which of two domains a scene visits, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Both in turns.
    Returning,
    /// The second for good.
    Staying,
}

impl Course {
    pub fn name(self) -> &'static str {
        match self {
            Self::Returning => "recurring",
            Self::Staying => "staying",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Returning => "Domains that return",
            Self::Staying => "A domain that stays",
        }
    }

    fn visits(self) -> &'static [usize] {
        match self {
            Self::Returning => &[0, 1, 0, 1, 0, 1],
            Self::Staying => &[0, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        }
    }

    /// As `scenesrc domain` has it.
    fn schedule(self, domains: &[String; 2]) -> String {
        let mut schedule = String::new();
        let mut before = None;
        for (visit, domain) in self.visits().iter().enumerate() {
            if before.replace(*domain) == Some(*domain) {
                continue;
            }
            let domain = &domains[*domain];
            match visit as u64 * FRAMES {
                0 => schedule.push_str(domain),
                frame => {
                    let at = frame as f64 / f64::from(RATE);
                    schedule.push_str(&format!("; {at:.3} {domain}"));
                }
            }
        }
        schedule
    }
}

/// The time that a scene is in one domain, or a part of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Visit {
    pub domain: String,
    /// Without training, on the same frames.
    pub untrained: Quality,
    pub quality: Quality,
    /// In the second half of it.
    pub end: Quality,
    pub labelled: f64,
    pub steps: f64,
    pub accepted: f64,
    pub recalled: f64,
    /// Frames until the first other weights; none came if `None`.
    pub until_weights: Option<f64>,
}

/// Runs a scene without training and with ours.
///
/// # Errors
/// When a pipeline fails.
pub fn run(
    course: Course,
    task: Task,
    seed: u64,
    domains: &[String],
    tuning: &Tuning,
) -> Result<Vec<Visit>> {
    let [first, second] = domains else {
        bail!("two domains are wanted");
    };
    let visits = course.visits();
    let case = Case {
        task,
        scenario: "semi-repetitive",
        seed,
        frames: FRAMES * visits.len() as u64,
        domains: [first.clone(), second.clone()],
    };
    let schedule = course.schedule(&case.domains);
    let [untrained, ours] = [Method::None, Method::Combined].map(|method| -> Result<Run> {
        let folder = tempfile::tempdir()?;
        let mut run = Run::default();
        let launch = case.launch_on(&schedule, method, folder.path(), tuning);
        play(&launch, task, Policy::All, &mut run)?;
        match run.seen.len() as u64 == case.frames {
            true => Ok(run),
            false => bail!("{} frames came through {launch}", run.seen.len()),
        }
    });
    let (untrained, ours) = (untrained?, ours?);
    let visit = |(i, domain): (usize, &usize)| {
        let frames = i * FRAMES as usize..(i + 1) * FRAMES as usize;
        visit(task, &case.domains[*domain], frames, &untrained, &ours)
    };
    Ok(visits.iter().enumerate().map(visit).collect())
}

fn visit(task: Task, domain: &str, frames: Range<usize>, untrained: &Run, ours: &Run) -> Visit {
    let quality = |run: &Run, frames: Range<usize>| {
        let frames: Vec<_> = run.seen[frames].iter().map(|s| s.frame.clone()).collect();
        Quality::of(&frames, task)
    };
    let before = match frames.start {
        0 => Spent::default(),
        start => ours.spent[start - 1],
    };
    let after = ours.spent[frames.end - 1];
    let seen = &ours.seen[frames.clone()];
    let version = seen[0].version;
    let other = seen.iter().position(|s| s.version != version);
    Visit {
        domain: domain.to_owned(),
        untrained: quality(untrained, frames.clone()),
        quality: quality(ours, frames.clone()),
        end: quality(ours, frames.start.midpoint(frames.end)..frames.end),
        labelled: (after.labelled - before.labelled) as f64,
        steps: (after.steps - before.steps) as f64,
        accepted: (after.accepted - before.accepted) as f64,
        recalled: (after.recalled - before.recalled) as f64,
        until_weights: other.map(|n| n as f64),
    }
}

/// The means of all scenes, a line a visit.
pub fn print(course: Course, all: &[(Task, Vec<Vec<Visit>>)]) {
    println!("### {}\n", course.title());
    for (task, runs) in all {
        let [error, score] = task.columns();
        println!(
            "| {} | domain | {error}: no training | ours | second half | {score}: no training | ours | second half | \
             teacher's frames | steps | trained | recalled | frames until other weights |",
            task.name()
        );
        println!("|---:|---|{}", "---:|".repeat(11));
        for i in 0..runs.first().map_or(0, Vec::len) {
            let visits: Vec<&Visit> = runs.iter().filter_map(|run| run.get(i)).collect();
            println!("| {} | {} |", i + 1, line(&visits));
        }
        println!();
    }
}

fn line(visits: &[&Visit]) -> String {
    let of = |f: &dyn Fn(&Visit) -> Option<f64>, digits: usize| {
        let values: Vec<f64> = visits.iter().filter_map(|v| f(v)).collect();
        mean(&values).map_or("–".to_owned(), |m| format!("{m:.digits$}"))
    };
    let cells = [
        of(&|v| v.untrained.error, 1),
        of(&|v| v.quality.error, 1),
        of(&|v| v.end.error, 1),
        of(&|v| v.untrained.score, 3),
        of(&|v| v.quality.score, 3),
        of(&|v| v.end.score, 3),
        of(&|v| Some(v.labelled), 1),
        of(&|v| Some(v.steps), 0),
        of(&|v| Some(v.accepted), 1),
        of(&|v| Some(v.recalled), 1),
        of(&|v| v.until_weights, 0),
    ];
    let domain = visits.first().map_or("", |v| v.domain.as_str());
    format!("{domain} | {}", cells.join(" | "))
}

/// Steps of the visits after the first two, over those of the first two, where each domain is new or known; `None` where
/// nothing was trained.
pub fn steps_again(all: &[(Task, Vec<Vec<Visit>>)]) -> Option<f64> {
    let runs = all.iter().flat_map(|(_, runs)| runs);
    let sum = |part: fn(&[Visit]) -> &[Visit]| -> f64 {
        let visits = runs.clone().flat_map(|run| part(run));
        visits.map(|v| v.steps).sum()
    };
    let first = sum(|run| &run[..run.len().min(2)]);
    let again = sum(|run| &run[run.len().min(2)..]);
    (first > 0.0).then_some(again / first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(steps: f64) -> Visit {
        Visit {
            domain: "day".to_owned(),
            untrained: Quality::default(),
            quality: Quality::default(),
            end: Quality::default(),
            labelled: 3.0,
            steps,
            accepted: 0.0,
            recalled: 1.0,
            until_weights: None,
        }
    }

    #[test]
    fn a_schedule_names_each_change_once() {
        let domains = ["day", "night"].map(str::to_owned);
        let [returning, staying] =
            [Course::Returning, Course::Staying].map(|c| c.schedule(&domains));
        assert_eq!(staying, "day; 20.000 night");
        assert!(returning.starts_with("day; 20.000 night; 40.000 day; "));
        assert!(returning.ends_with("; 100.000 night"));
    }

    #[test]
    fn steps_of_known_domains_are_counted_against_those_of_new_ones() {
        let run = [60.0, 120.0, 0.0, 30.0, 0.0, 0.0].map(visit).to_vec();
        let all = [(Task::Walker, vec![run.clone(), run])];
        assert_eq!(steps_again(&all), Some(30.0 / 180.0));
        assert_eq!(steps_again(&[]), None);
    }

    #[test]
    fn a_line_has_the_means_and_says_where_there_is_none() {
        let (a, b) = (visit(10.0), visit(20.0));
        assert_eq!(
            line(&[&a, &b]),
            "day | – | – | – | – | – | – | 3.0 | 15 | 0.0 | 1.0 | –"
        );
    }
}
