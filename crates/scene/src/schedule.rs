// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! When the domain changes: suddenly, gradually, again and again.

use crate::config::SceneError;
use crate::domain::Domain;
use std::str::FromStr;

/// The domain as a function of time.
///
/// Written as entries separated by `;`, each `TIME[~TRANSITION] DOMAIN` in seconds: from `TIME` on the
/// domain changes over `TRANSITION` seconds (0: suddenly) to `DOMAIN`. A last entry `loop TIME` starts the
/// list again at that time. A domain without a time holds from the start.
///
/// `day; 20 rain; 40~10 night; loop 60` is by day for 20 s, then suddenly rain, from 40 s to 50 s
/// gradually night, and at 60 s suddenly day again.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    entries: Vec<Entry>,
    period: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    start: f64,
    transition: f64,
    domain: Domain,
}

/// A gradual change is drawn in this many steps, so that what does not move is redrawn only that often.
const STEPS: f64 = 32.0;

impl Default for Schedule {
    fn default() -> Self {
        Self::fixed(Domain::default())
    }
}

impl Schedule {
    /// One domain for ever.
    pub fn fixed(domain: Domain) -> Self {
        Self {
            entries: vec![Entry {
                start: 0.0,
                transition: 0.0,
                domain,
            }],
            period: None,
        }
    }

    /// The domain in force at `time` seconds.
    pub fn at(&self, time: f64) -> Domain {
        let time = self.period.map_or(time, |period| time % period);
        let current = self
            .entries
            .iter()
            .rposition(|e| e.start <= time)
            .unwrap_or(0);
        let entry = &self.entries[current];
        let share = (time - entry.start) / entry.transition;
        if current == 0 || entry.transition <= 0.0 || share >= 1.0 {
            return entry.domain.clone();
        }
        let step = (share * STEPS).floor() / STEPS;
        self.entries[current - 1]
            .domain
            .mix(&entry.domain, step as f32)
    }
}

impl FromStr for Schedule {
    type Err = SceneError;

    fn from_str(text: &str) -> Result<Self, SceneError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut period = None;
        for part in text.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            let wrong = |why: &str| SceneError::Schedule {
                entry: part.into(),
                why: why.into(),
            };
            if period.is_some() {
                return Err(wrong("nothing may follow the loop entry"));
            }
            if let Some(time) = part.strip_prefix("loop ") {
                period = Some(
                    seconds(time.trim()).ok_or_else(|| wrong("the loop time is not a number"))?,
                );
                continue;
            }
            let entry = parse_entry(part).map_err(|e| match e {
                EntryError::Text(why) => wrong(why),
                EntryError::Domain(e) => e,
            })?;
            match entries.last() {
                None if entry.start > 0.0 => return Err(wrong("the first entry must start at 0")),
                Some(last) if entry.start <= last.start => {
                    return Err(wrong("it does not start later than the entry before it"));
                }
                _ => entries.push(entry),
            }
        }
        let last = entries.last().ok_or_else(|| SceneError::Schedule {
            entry: text.into(),
            why: "it names no domain".into(),
        })?;
        if period.is_some_and(|p| p <= last.start) {
            return Err(SceneError::Schedule {
                entry: text.into(),
                why: "the loop time must be later than the last entry".into(),
            });
        }
        Ok(Self { entries, period })
    }
}

enum EntryError {
    Text(&'static str),
    Domain(SceneError),
}

fn parse_entry(part: &str) -> Result<Entry, EntryError> {
    let (first, rest) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
    let timed = first.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let (time, domain) = if timed { (first, rest) } else { ("0", part) };
    if domain.trim().is_empty() {
        return Err(EntryError::Text("it names no domain"));
    }
    let (start, transition) = time.split_once('~').unwrap_or((time, "0"));
    Ok(Entry {
        start: seconds(start).ok_or(EntryError::Text("the time is not a number"))?,
        transition: seconds(transition)
            .ok_or(EntryError::Text("the transition is not a number"))?,
        domain: domain.parse().map_err(EntryError::Domain)?,
    })
}

fn seconds(text: &str) -> Option<f64> {
    text.parse::<f64>()
        .ok()
        .filter(|s| s.is_finite() && *s >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daylight(schedule: &Schedule, time: f64) -> f32 {
        schedule.at(time).get("daylight")
    }

    #[test]
    fn changes_can_be_sudden_gradual_and_recurring() {
        let s: Schedule = "day; 20 dusk; 40~10 night; loop 60".parse().unwrap();
        assert_eq!((daylight(&s, 19.9), daylight(&s, 20.0)), (1.0, 0.5));
        let half = daylight(&s, 45.0);
        assert!(half < 0.5 && half > 0.06, "{half}");
        assert_eq!(
            (daylight(&s, 55.0), daylight(&s, 60.0), daylight(&s, 80.0)),
            (0.06, 1.0, 0.5)
        );
    }

    #[test]
    fn one_domain_is_a_schedule() {
        let s: Schedule = "night rain=0.5".parse().unwrap();
        assert_eq!((daylight(&s, 0.0), daylight(&s, 1e6)), (0.06, 0.06));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for bad in [
            "",
            "5 day",
            "day; 3",
            "day; 9 night; 8 dusk",
            "day; x~1 night",
            "day; 9 night; loop 9",
            "loop 9; day",
            "day; 3~x night",
        ] {
            assert!(bad.parse::<Schedule>().is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_and_every_schedule_has_a_domain_at_any_time(
            text in "[a-z0-9~;=. -]{0,40}",
            domains in proptest::collection::vec("(day|night|fog)( rain=0\\.[0-9])?", 1..4),
            times in proptest::collection::vec(0.0f64..1e6, 1..20),
        ) {
            if let Ok(schedule) = text.parse::<Schedule>() {
                schedule.at(1.0);
            }
            let entries = domains.iter().enumerate().map(|(i, d)| format!("{}~7 {d}", i * 5));
            let schedule: Schedule = entries.collect::<Vec<_>>().join("; ").parse().unwrap();
            for time in times {
                proptest::prop_assert!((0.0..=1.0).contains(&daylight(&schedule, time)));
            }
        }
    }
}
