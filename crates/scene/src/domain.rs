// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What makes one domain look different from another, and the domains that have a name.

use crate::config::SceneError;
use crate::geometry::lerp;
use std::str::FromStr;

/// A domain: every property of a scene that is not its motion.
///
/// Written as a preset followed by changes, for example `night rain=0.5 noise=8`.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    /// The preset it started from.
    pub name: String,
    /// Settings in the order of [`SETTINGS`].
    values: [f32; SETTINGS.len()],
}

/// A setting's name, lowest and highest value, default, whether it can change gradually, and meaning.
pub struct Setting {
    pub name: &'static str,
    pub low: f32,
    pub high: f32,
    pub default: f32,
    pub gradual: bool,
    pub meaning: &'static str,
}

const fn setting(
    name: &'static str,
    (low, high): (f32, f32),
    default: f32,
    gradual: bool,
    meaning: &'static str,
) -> Setting {
    Setting {
        name,
        low,
        high,
        default,
        gradual,
        meaning,
    }
}

/// All settings of a domain.
pub const SETTINGS: [Setting; 14] = [
    setting(
        "daylight",
        (0.0, 1.0),
        1.0,
        true,
        "1 is noon, 0 night; headlights and lamps go on below 0.45",
    ),
    setting(
        "warmth",
        (-1.0, 1.0),
        0.0,
        true,
        "colour of the light: -1 blue, 1 orange",
    ),
    setting(
        "sun",
        (0.0, 1.0),
        1.0,
        true,
        "strength of direct light and of cast shadows",
    ),
    setting(
        "shadows",
        (0.0, 1.0),
        1.0,
        true,
        "strength of all shadows, those under things too",
    ),
    setting(
        "haze",
        (0.0, 1.0),
        0.0,
        true,
        "fog: 1 leaves about 25 m of sight",
    ),
    setting("rain", (0.0, 1.0), 0.0, true, "rain streaks and wet ground"),
    setting(
        "noise",
        (0.0, 60.0),
        1.5,
        true,
        "sensor noise, standard deviation in 8-bit steps",
    ),
    setting(
        "blur",
        (0.0, 8.0),
        0.0,
        true,
        "defocus, radius in pixels of a picture 360 high",
    ),
    setting(
        "compression",
        (0.0, 100.0),
        0.0,
        true,
        "strength of JPEG artefacts; 0 is none, 100 quality 1",
    ),
    setting(
        "camera",
        (0.0, 3.0),
        0.0,
        false,
        "camera position: 0 usual, 1 high, 2 low, 3 from the side or oblique",
    ),
    setting(
        "backdrop",
        (0.0, 2.0),
        0.0,
        false,
        "surroundings: 0 suburb or living room, 1 city or clinic, 2 open land or park",
    ),
    setting(
        "density",
        (0.0, 1.0),
        0.45,
        false,
        "how many vehicles or people",
    ),
    setting(
        "heavy",
        (0.0, 1.0),
        0.2,
        false,
        "share of vans, trucks and buses; of people who wear coats or skirts",
    ),
    setting(
        "palette",
        (0.0, 2.0),
        0.0,
        false,
        "clothes and paint: 0 colourful, 1 greys, 2 dark",
    ),
];

/// Named domains, each with its changes to the defaults.
pub const PRESETS: [(&str, &[(&str, f32)]); 10] = [
    ("day", &[]),
    (
        "dusk",
        &[
            ("daylight", 0.5),
            ("warmth", 0.8),
            ("sun", 0.35),
            ("noise", 3.0),
            ("palette", 1.0),
        ],
    ),
    (
        "night",
        &[
            ("daylight", 0.06),
            ("warmth", -0.4),
            ("sun", 0.0),
            ("noise", 8.0),
            ("palette", 2.0),
        ],
    ),
    (
        "rain",
        &[
            ("daylight", 0.62),
            ("warmth", -0.3),
            ("sun", 0.0),
            ("haze", 0.18),
            ("rain", 0.8),
            ("noise", 3.0),
            ("backdrop", 2.0),
        ],
    ),
    (
        "fog",
        &[
            ("daylight", 0.85),
            ("warmth", -0.1),
            ("sun", 0.0),
            ("haze", 0.7),
            ("backdrop", 2.0),
            ("palette", 1.0),
        ],
    ),
    (
        "crowded",
        &[
            ("density", 1.0),
            ("heavy", 0.4),
            ("backdrop", 1.0),
            ("palette", 1.0),
        ],
    ),
    (
        "highway",
        &[
            ("camera", 1.0),
            ("density", 0.7),
            ("heavy", 0.6),
            ("backdrop", 2.0),
        ],
    ),
    ("low", &[("camera", 2.0), ("backdrop", 1.0)]),
    (
        "oblique",
        &[("camera", 3.0), ("backdrop", 1.0), ("palette", 2.0)],
    ),
    (
        "cheap-camera",
        &[("noise", 14.0), ("blur", 1.6), ("compression", 88.0)],
    ),
];

impl Default for Domain {
    fn default() -> Self {
        Self {
            name: "day".into(),
            values: SETTINGS.map(|s| s.default),
        }
    }
}

impl Domain {
    /// The value of a setting.
    ///
    /// # Panics
    /// When no setting has this name: names are literals of this crate.
    pub(crate) fn get(&self, name: &str) -> f32 {
        self.values[index_of(name).unwrap_or_else(|| panic!("no domain setting {name}"))]
    }

    /// The same with one setting changed; an error says the permitted range.
    pub fn with(mut self, name: &str, value: f32) -> Result<Self, SceneError> {
        let i = index_of(name).ok_or_else(|| SceneError::UnknownName {
            what: "domain setting",
            name: name.into(),
            known: SETTINGS.map(|s| s.name).join(", "),
        })?;
        let Setting { low, high, .. } = SETTINGS[i];
        if !(low..=high).contains(&value) {
            return Err(SceneError::Setting {
                setting: name.into(),
                value: value.to_string(),
                low,
                high,
            });
        }
        self.values[i] = value;
        Ok(self)
    }

    /// Between two domains: what can change gradually is mixed, the rest switches half-way.
    pub(crate) fn mix(&self, to: &Self, t: f32) -> Self {
        let mut mixed = if t < 0.5 { self.clone() } else { to.clone() };
        for (i, setting) in SETTINGS.iter().enumerate() {
            if setting.gradual {
                mixed.values[i] = lerp(self.values[i], to.values[i], t);
            }
        }
        mixed
    }
}

fn index_of(name: &str) -> Option<usize> {
    SETTINGS.iter().position(|s| s.name == name)
}

impl FromStr for Domain {
    type Err = SceneError;

    fn from_str(text: &str) -> Result<Self, SceneError> {
        let mut words = text.split_whitespace().peekable();
        let preset = words.next_if(|w| !w.contains('=')).unwrap_or("day");
        let changes = PRESETS
            .iter()
            .find(|(name, _)| *name == preset)
            .ok_or_else(|| SceneError::UnknownName {
                what: "domain",
                name: preset.into(),
                known: PRESETS.map(|(name, _)| name).join(", "),
            })?;
        let mut domain = Self {
            name: preset.into(),
            ..Self::default()
        };
        for (name, value) in changes.1 {
            domain = domain.with(name, *value)?;
        }
        for word in words {
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| SceneError::UnknownName {
                    what: "domain setting",
                    name: word.into(),
                    known: SETTINGS.map(|s| s.name).join(", "),
                })?;
            // Not a number: refused by the range check, which names the range.
            domain = domain.with(name, value.parse().unwrap_or(f32::NAN))?;
        }
        Ok(domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_can_be_changed() {
        let d: Domain = "night rain=0.5".parse().unwrap();
        assert_eq!((d.get("rain"), d.get("daylight")), (0.5, 0.06));
        assert_eq!("noise=3".parse::<Domain>().unwrap().get("daylight"), 1.0);
    }

    #[test]
    fn every_preset_is_within_range() {
        for (name, _) in PRESETS {
            name.parse::<Domain>().unwrap();
        }
    }

    #[test]
    fn errors_say_what_is_known() {
        let text = |s: &str| s.parse::<Domain>().unwrap_err().to_string();
        assert!(text("mars").contains("day, dusk, night"));
        assert!(text("day rain=2").contains("from 0 to 1"));
        assert!(text("day rain=wet").contains("rain"));
        assert!(text("day hail=1").contains("daylight"));
    }

    #[test]
    fn only_what_can_be_gradual_is_mixed() {
        let (a, b): (Domain, Domain) = (
            "day".parse().unwrap(),
            "oblique daylight=0".parse().unwrap(),
        );
        assert_eq!(a.mix(&b, 0.25).get("daylight"), 0.75);
        assert_eq!(a.mix(&b, 0.25).get("camera"), 0.0);
        assert_eq!(a.mix(&b, 0.75).get("camera"), 3.0);
    }
}
