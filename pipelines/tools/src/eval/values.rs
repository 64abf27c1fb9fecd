// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What stands behind the options of the command line.

use std::str::FromStr;

/// The kinds of scene that `scenesrc` draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SceneKind(&'static str);

impl SceneKind {
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl FromStr for SceneKind {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let kinds = ["traffic", "walker"];
        let kind = kinds.into_iter().find(|k| *k == s);
        kind.map(Self)
            .ok_or_else(|| format!("there are {}", kinds.join(" and ")))
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let side = |v: &str| v.parse().ok().filter(|v| (16..=8192).contains(v));
        let sides = s.split_once('x').and_then(|(w, h)| {
            Some(Self {
                width: side(w)?,
                height: side(h)?,
            })
        });
        sides.ok_or_else(|| "give it like 640x360, each side 16 to 8192".to_owned())
    }
}

/// Frames a second, as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(i32, i32);

impl Rate {
    pub fn fraction(self) -> (i32, i32) {
        (self.0, self.1)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let number = |v: &str| v.parse().ok().filter(|v| *v > 0);
        let (n, d) = s.split_once('/').unwrap_or((s, "1"));
        let rate = number(n).zip(number(d)).map(|(n, d)| Self(n, d));
        rate.ok_or_else(|| "give it like 30 or 6/5".to_owned())
    }
}

pub(crate) fn property(s: &str) -> Result<(String, String), String> {
    let pair = s.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(a, b)| (a.to_owned(), b.to_owned()))
        .ok_or_else(|| "give it like name=value".to_owned())
}

fn number(s: &str, good: impl Fn(f64) -> bool, what: &str) -> Result<f64, String> {
    let value = s.parse().ok().filter(|v| good(*v));
    value.ok_or_else(|| format!("it must be {what}"))
}

pub(super) fn share(s: &str) -> Result<f64, String> {
    number(s, |v| (0.0..=1.0).contains(&v), "a number from 0 to 1")
}

pub(super) fn share32(s: &str) -> Result<f32, String> {
    share(s).map(|v| v as f32)
}

pub(super) fn pixels(s: &str) -> Result<f64, String> {
    number(s, |v| v >= 0.0 && v.is_finite(), "a number of at least 0")
}

pub(super) fn positive(s: &str) -> Result<f64, String> {
    number(s, |v| v > 0.0 && v.is_finite(), "a number above 0")
}
