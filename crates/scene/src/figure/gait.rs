// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Joint angles of normal walking over the gait cycle.
//!
//! Key values of sagittal hip, knee and ankle angle of healthy adults at free speed, read off the mean
//! curves in J. Perry and J. M. Burnfield, *Gait Analysis: Normal and Pathological Function*, 2nd ed.,
//! SLACK 2010, ch. 3–6, which agree within a standard deviation with D. A. Winter, *The Biomechanics and
//! Motor Control of Human Gait*, 2nd ed., Waterloo 1991. Between them a periodic cubic runs.

use crate::geometry::lerp;

/// Share of the cycle (0 is heel strike) and angle in degrees.
type Keys = [(f32, f32)];

/// Hip flexion of the thigh against the vertical: flexed at contact, extended at 50 %.
const HIP: &Keys = &[
    (0.0, 30.0),
    (0.12, 25.0),
    (0.31, 5.0),
    (0.50, -10.0),
    (0.62, -2.0),
    (0.75, 22.0),
    (0.87, 33.0),
];
/// Knee flexion: about 5° at contact, 18° when the leg takes the weight, 60° in initial swing.
const KNEE: &Keys = &[
    (0.0, 5.0),
    (0.07, 13.0),
    (0.14, 18.0),
    (0.25, 12.0),
    (0.40, 5.0),
    (0.50, 12.0),
    (0.62, 40.0),
    (0.72, 60.0),
    (0.85, 30.0),
    (0.95, 3.0),
];
/// Ankle dorsiflexion: foot flat, forward over the foot, push-off at 62 %, neutral in swing.
const ANKLE: &Keys = &[
    (0.0, 0.0),
    (0.07, -5.0),
    (0.20, 3.0),
    (0.45, 10.0),
    (0.62, -17.0),
    (0.75, -4.0),
    (0.87, 0.0),
];
/// Shoulder flexion in antiphase to the leg of the same side, and the elbow that goes with it.
const SHOULDER: &Keys = &[(0.0, -22.0), (0.25, -4.0), (0.50, 16.0), (0.75, -2.0)];
const ELBOW: &Keys = &[(0.0, 12.0), (0.25, 20.0), (0.50, 34.0), (0.75, 22.0)];

/// Angles of one side in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LegAngles {
    pub hip: f32,
    pub knee: f32,
    pub ankle: f32,
    pub shoulder: f32,
    pub elbow: f32,
}

/// The angles at a place of the cycle of the same side's leg.
///
/// `vigour` scales the excursion about standing: 1 is free walking, 0 standing.
pub fn leg_angles(phase: f32, vigour: f32) -> LegAngles {
    let angle = |keys, rest| lerp(rest, periodic(keys, phase), vigour);
    LegAngles {
        hip: angle(HIP, 0.0),
        knee: angle(KNEE, 3.0),
        ankle: angle(ANKLE, 0.0),
        shoulder: angle(SHOULDER, 0.0),
        elbow: angle(ELBOW, 12.0),
    }
}

/// Metres per cycle: about 0.8 of the height at free speed (Perry and Burnfield: 1.41 m), shorter steps
/// with less vigour.
pub fn stride_length(height: f32, vigour: f32) -> f32 {
    0.8 * height * vigour.max(0.05)
}

/// Catmull–Rom through the keys, closed over the cycle.
fn periodic(keys: &Keys, phase: f32) -> f32 {
    let phase = phase.rem_euclid(1.0);
    let n = keys.len();
    let i = keys.iter().rposition(|k| k.0 <= phase).unwrap_or(n - 1);
    // Keys left and right of the interval, shifted by whole cycles where they wrap.
    let key = |j: isize| {
        let at = (i as isize + j).rem_euclid(n as isize) as usize;
        let turns = (i as isize + j).div_euclid(n as isize) as f32;
        (keys[at].0 + turns, keys[at].1)
    };
    let (k0, k1, k2, k3) = (key(-1), key(0), key(1), key(2));
    let h = k2.0 - k1.0;
    let slope = |a: (f32, f32), b: (f32, f32)| (b.1 - a.1) / (b.0 - a.0);
    let (m1, m2) = (slope(k0, k2) * h, slope(k1, k3) * h);
    let t = (phase - k1.0) / h;
    let (t2, t3) = (t * t, t * t * t);
    (2.0 * t3 - 3.0 * t2 + 1.0) * k1.1
        + (t3 - 2.0 * t2 + t) * m1
        + (3.0 * t2 - 2.0 * t3) * k2.1
        + (t3 - t2) * m2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_bends_twice_a_cycle_as_in_the_literature() {
        let knee = |phase| leg_angles(phase, 1.0).knee;
        let peak = (0..1000)
            .map(|i| (knee(i as f32 / 1000.0), i))
            .fold((0.0, 0), |a, b| if b.0 > a.0 { b } else { a });
        assert!(
            (58.0..63.0).contains(&peak.0) && (700..750).contains(&peak.1),
            "{peak:?}"
        );
        assert!((15.0..20.0).contains(&knee(0.14)) && knee(0.40) < 8.0 && knee(0.0) < 8.0);
    }

    #[test]
    fn curves_close_without_a_jump() {
        for i in 0..1000 {
            let (a, b) = (
                leg_angles(i as f32 / 1000.0, 1.0),
                leg_angles((i + 1) as f32 / 1000.0, 1.0),
            );
            assert!(
                (a.knee - b.knee).abs() < 1.0 && (a.hip - b.hip).abs() < 1.0,
                "{i}: {a:?} {b:?}"
            );
        }
    }

    #[test]
    fn standing_is_a_nearly_straight_leg() {
        assert_eq!(leg_angles(0.72, 0.0).knee, 3.0);
    }
}
