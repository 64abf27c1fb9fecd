// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Traces as text.
//!
//! One step a line: its time, then what changes, as `key=value`. Keys that are not named keep what they had. `#` begins
//! a comment. A last line `TIME end` gives the length, after which the trace begins again; without it the last step holds
//! for ever.
//!
//! ```text
//! # an uplink that breaks down for two seconds, and an edge that gets slow
//! 0s    rate=20Mbit/s up.rate=6Mbit/s delay=25ms up.jitter=4ms up.loss=0.5% up.burst=3
//! 10s   up.rate=300kbit/s
//! 12s   up.rate=6Mbit/s edge=0.5
//! 30s   end
//! ```
//!
//! | key | value | |
//! |---|---|---|
//! | `rate` | `6Mbit/s`, `300kbit/s`, `0` | see [`Conditions`](crate::Conditions) |
//! | `delay`, `jitter` | `25ms`, `1.5s`, `300us` | |
//! | `loss`, `reorder` | `0.5%` or a share, `0.005` | |
//! | `burst` | packets, 1 or more, or a time, `8ms` | |
//! | `queue` | `64kB`, `1500B`, `1MB` | |
//! | `cut` | `yes`, `no` | |
//! | `edge`, `server` | factor of speed, above 0 | of the machine at that end |
//!
//! All but the last two hold for both directions, or with `up.` or `down.` before them for one.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::time::Duration;

use crate::{Burst, Conditions, InvalidTrace, Step, Trace};

/// Where a text is no trace, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    #[error("line {line}: '{text}' is no {what}")]
    Value {
        line: usize,
        text: String,
        what: &'static str,
    },
    #[error(
        "line {line}: unknown key '{key}'; there are rate, delay, jitter, loss, burst, reorder, queue and cut, all also with up. or down. before them, and edge and server"
    )]
    Key { line: usize, key: String },
    #[error("line {line}: '{text}' has no '='; a step is a time and then key=value")]
    NoValue { line: usize, text: String },
    #[error("line {line} comes after the end of the trace")]
    AfterEnd { line: usize },
    #[error("{0}")]
    Invalid(#[from] InvalidTrace),
}

impl FromStr for Trace {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Self, TraceError> {
        let mut steps: Vec<Step> = Vec::new();
        let mut length = None;
        for (i, content) in text.lines().enumerate() {
            let line = i + 1;
            let content = content.split('#').next().unwrap_or_default();
            let mut words = content.split_whitespace();
            let Some(time) = words.next() else {
                continue;
            };
            if length.is_some() {
                return Err(TraceError::AfterEnd { line });
            }
            let at = value(line, time, "time, such as 2.5s or 300ms", duration)?;
            let mut step = Step {
                at,
                ..steps.last().cloned().unwrap_or_default()
            };
            for word in words {
                match word.split_once('=') {
                    Some((key, text)) => set(&mut step, line, key, text)?,
                    None if word == "end" => length = Some(at),
                    None => {
                        return Err(TraceError::NoValue {
                            line,
                            text: word.to_owned(),
                        });
                    }
                }
            }
            if length.is_none() {
                steps.push(step);
            }
        }
        Ok(Self::new(steps, length)?)
    }
}

fn set(step: &mut Step, line: usize, key: &str, text: &str) -> Result<(), TraceError> {
    match key {
        "edge" => step.edge = value(line, text, "factor, such as 0.5", number)?,
        "server" => step.server = value(line, text, "factor, such as 0.5", number)?,
        _ => match key.split_once('.') {
            Some(("up", key)) => set_one(&mut step.up, line, key, text)?,
            Some(("down", key)) => set_one(&mut step.down, line, key, text)?,
            _ => {
                set_one(&mut step.up, line, key, text)?;
                set_one(&mut step.down, line, key, text)?;
            }
        },
    }
    Ok(())
}

fn set_one(c: &mut Conditions, line: usize, key: &str, text: &str) -> Result<(), TraceError> {
    let time = "time, such as 25ms or 1.5s";
    let part = "share, such as 0.5% or 0.005";
    match key {
        "rate" => c.rate = value(line, text, "rate, such as 6Mbit/s or 300kbit/s", rate)?,
        "delay" => c.delay = value(line, text, time, duration)?,
        "jitter" => c.jitter = value(line, text, time, duration)?,
        "loss" => c.loss = value(line, text, part, share)?,
        "reorder" => c.reorder = value(line, text, part, share)?,
        "burst" => {
            c.burst = value(
                line,
                text,
                "number of packets or time, such as 3 or 8ms",
                burst,
            )?
        }
        "queue" => c.queue = value(line, text, "size, such as 64kB or 1500B", size)?,
        "cut" => c.cut = value(line, text, "yes or no", yes)?,
        _ => {
            return Err(TraceError::Key {
                line,
                key: key.to_owned(),
            });
        }
    }
    Ok(())
}

fn value<T>(
    line: usize,
    text: &str,
    what: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, TraceError> {
    read(text).ok_or_else(|| TraceError::Value {
        line,
        text: text.to_owned(),
        what,
    })
}

/// Not negative, finite.
fn number(text: &str) -> Option<f64> {
    text.parse()
        .ok()
        .filter(|x: &f64| *x >= 0.0 && x.is_finite())
}

/// A number with the first of the units that it ends with, in units of the smallest; rounded.
fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let unit = |(name, factor): &(&str, f64)| Some((text.strip_suffix(name)?, *factor));
    let (digits, factor) = units.iter().find_map(unit)?;
    let whole = (number(digits)? * factor).round();
    (whole <= 2f64.powi(53)).then_some(whole as u64)
}

fn duration(text: &str) -> Option<Duration> {
    with_unit(text, &[("us", 1e3), ("ms", 1e6), ("s", 1e9)]).map(Duration::from_nanos)
}

fn rate(text: &str) -> Option<u64> {
    with_unit(text, &[("Mbit/s", 1e6), ("kbit/s", 1e3), ("bit/s", 1.0)])
}

fn size(text: &str) -> Option<u64> {
    with_unit(text, &[("MB", 1e6), ("kB", 1e3), ("B", 1.0)])
}

fn share(text: &str) -> Option<f64> {
    match text.strip_suffix('%') {
        Some(percent) => number(percent).map(|x| x / 100.0),
        None => number(text),
    }
}

fn burst(text: &str) -> Option<Burst> {
    match number(text) {
        Some(packets) => Some(Burst::Packets(packets)),
        None => duration(text).map(Burst::Time),
    }
}

fn yes(text: &str) -> Option<bool> {
    match text {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = Step::default();
        for step in self.steps() {
            writeln!(f, "{}{}", time(step.at), changes(&before, step))?;
            before = step.clone();
        }
        match self.length() {
            Some(end) => writeln!(f, "{} end", time(end)),
            None => Ok(()),
        }
    }
}

fn time(time: Duration) -> String {
    format!("{}ms", time.as_nanos() as f64 / 1e6)
}

/// What differs from the step before, each with a blank before it.
fn changes(before: &Step, step: &Step) -> String {
    let mut out = String::new();
    let was = values(&before.up).into_iter().zip(values(&before.down));
    let is = values(&step.up).into_iter().zip(values(&step.down));
    for ((key, (was_up, was_down)), (up, down)) in KEYS.iter().zip(was).zip(is) {
        match (up != was_up, down != was_down) {
            (true, true) if up == down => {
                let _ = write!(out, " {key}={up}");
            }
            (changed_up, changed_down) => {
                if changed_up {
                    let _ = write!(out, " up.{key}={up}");
                }
                if changed_down {
                    let _ = write!(out, " down.{key}={down}");
                }
            }
        }
    }
    for (key, was, is) in [
        ("edge", before.edge, step.edge),
        ("server", before.server, step.server),
    ] {
        if was != is {
            let _ = write!(out, " {key}={is}");
        }
    }
    out
}

const KEYS: [&str; 8] = [
    "rate", "delay", "jitter", "loss", "burst", "reorder", "queue", "cut",
];

/// In the order of [`KEYS`].
fn values(c: &Conditions) -> [String; 8] {
    [
        format!("{}kbit/s", c.rate as f64 / 1e3),
        time(c.delay),
        time(c.jitter),
        c.loss.to_string(),
        match c.burst {
            Burst::Packets(mean) => mean.to_string(),
            Burst::Time(mean) => time(mean),
        },
        c.reorder.to_string(),
        format!("{}B", c.queue),
        if c.cut { "yes" } else { "no" }.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_that_are_not_named_keep_what_they_had() {
        let text = "# comment\n0s rate=20Mbit/s up.rate=6Mbit/s delay=25ms loss=0.5% queue=64kB\n\n10s up.rate=300kbit/s cut=yes # here\n12.5s edge=0.5\n30s end";
        let trace: Trace = text.parse().unwrap();
        let [first, second, third] = trace.steps() else {
            panic!("{trace:?}");
        };
        assert_eq!((first.up.rate, first.down.rate), (6_000_000, 20_000_000));
        assert_eq!(first.down.delay, Duration::from_millis(25));
        assert_eq!((first.up.loss, first.up.queue), (0.005, 64_000));
        assert_eq!(
            (second.up.rate, second.up.cut, second.down.cut),
            (300_000, true, true)
        );
        assert_eq!(
            (third.edge, third.server, third.up.rate),
            (0.5, 1.0, 300_000)
        );
        assert_eq!(trace.length(), Some(Duration::from_secs(30)));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let error = |text: &str| text.parse::<Trace>().unwrap_err().to_string();
        for (text, parts) in [
            ("0s rate=6\n", ["line 1", "'6' is no rate"]),
            ("\nsoon rate=1Mbit/s", ["line 2", "'soon' is no time"]),
            ("0s speed=3", ["unknown key 'speed'", "edge and server"]),
            ("0s loss", ["'loss' has no '='", "key=value"]),
            ("0s up.cut=1", ["line 1", "'1' is no yes or no"]),
            ("0s loss=-1%", ["'-1%'", "share"]),
            ("0s loss=150%", ["step 0", "loss is a share"]),
            ("0s burst=0.5", ["step 0", "1 or more"]),
            ("0s burst=0ms", ["step 0", "a time above 0"]),
            ("0s burst=long", ["'long' is no number", "8ms"]),
            ("1s rate=1Mbit/s", ["first", "at 0"]),
            ("0s\n2s\n1s", ["step 2", "not later"]),
            ("0s\n2s end\n3s", ["line 3", "after the end"]),
            ("0s edge=0", ["step 0", "factors above 0"]),
            ("", ["at least one step", ""]),
        ] {
            let said = error(text);
            assert!(parts.iter().all(|p| said.contains(p)), "{text:?}: {said}");
        }
    }

    fn any_conditions() -> impl Strategy<Value = Conditions> {
        let times = (0u64..10_000_000_000, 0u64..1_000_000_000);
        let burst = prop_oneof![
            (1.0f64..100.0).prop_map(Burst::Packets),
            (1u64..10_000_000_000).prop_map(|ns| Burst::Time(Duration::from_nanos(ns)))
        ];
        let shares = (0.0f64..=1.0, burst, 0.0f64..=1.0);
        (
            0u64..1_000_000_000,
            times,
            shares,
            any::<u32>(),
            any::<bool>(),
        )
            .prop_map(
                |(rate, (delay, jitter), (loss, burst, reorder), queue, cut)| Conditions {
                    rate,
                    delay: Duration::from_nanos(delay),
                    jitter: Duration::from_nanos(jitter),
                    loss,
                    burst,
                    reorder,
                    queue: queue.into(),
                    cut,
                },
            )
    }

    fn any_trace() -> impl Strategy<Value = Trace> {
        let step = (
            1u64..5_000_000_000,
            any_conditions(),
            any_conditions(),
            0.01f64..10.0,
            0.01f64..10.0,
        );
        (prop::collection::vec(step, 1..8), any::<bool>()).prop_map(|(steps, ends)| {
            let mut now = 0;
            let steps: Vec<Step> = steps
                .into_iter()
                .map(|(lasts, up, down, edge, server)| {
                    let at = Duration::from_nanos(now);
                    now += lasts;
                    Step {
                        at,
                        up,
                        down,
                        edge,
                        server,
                    }
                })
                .collect();
            Trace::new(steps, ends.then(|| Duration::from_nanos(now))).unwrap()
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_the_same(trace in any_trace()) {
            prop_assert_eq!(trace.to_string().parse::<Trace>(), Ok(trace));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9a-z=.%#/\n +-]{0,200}") {
            let _ = text.parse::<Trace>();
        }
    }
}
