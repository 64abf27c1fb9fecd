// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Colours that stay with a class or a track, frame after frame.

use splitinfer_meta::Object;
use tiny_skia::Color;

/// Successive hues differ by the golden ratio of the circle, so that neighbours in any range of
/// numbers are far apart.
const GOLDEN: f32 = 0.618_034;

/// The colour of an object: of its track if it has one, else of its class.
pub(super) fn of(object: &Object) -> Color {
    match object.track {
        Some(track) => numbered((track % 997) as u32),
        None => numbered(object.class),
    }
}

fn numbered(n: u32) -> Color {
    let hue = (0.33 + n as f32 * GOLDEN).fract();
    let (r, g, b) = from_hue(hue);
    // Never darker than this: dark pixels around every line set it off from a bright picture.
    let lift = |c: f32| 0.25 + 0.75 * c;
    Color::from_rgba(lift(r), lift(g), lift(b), 1.0).unwrap_or(Color::WHITE)
}

/// A fully saturated colour; `hue` from 0 to 1.
fn from_hue(hue: f32) -> (f32, f32, f32) {
    let channel = |offset: f32| {
        let distance = ((hue + offset).fract() * 6.0 - 3.0).abs() - 1.0;
        distance.clamp(0.0, 1.0)
    };
    (channel(0.0), channel(2.0 / 3.0), channel(1.0 / 3.0))
}

/// Black or white, whichever reads better on `background`.
pub(super) fn readable_on(background: Color) -> Color {
    let light = 0.299 * background.red() + 0.587 * background.green() + 0.114 * background.blue();
    if light > 0.5 {
        Color::BLACK
    } else {
        Color::WHITE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_keeps_its_colour_when_its_class_changes() {
        let object = |class, track| Object {
            class,
            track,
            ..Default::default()
        };
        assert_eq!(of(&object(1, Some(5))), of(&object(2, Some(5))));
        assert_ne!(of(&object(1, None)), of(&object(2, None)));
        assert_ne!(of(&object(1, Some(5))), of(&object(1, Some(6))));
    }

    #[test]
    fn the_hues_are_those_of_the_colour_circle() {
        assert_eq!(from_hue(0.0), (1.0, 0.0, 0.0));
        let (r, g, b) = from_hue(1.0 / 3.0);
        assert!(g == 1.0 && r < 1e-5 && b < 1e-5, "{r} {g} {b}");
    }
}
