// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Forward kinematics: from joint angles to joints in space.
//!
//! Segment lengths as shares of the height from R. Drillis and R. Contini, *Body Segment Parameters*,
//! 1966, as tabulated by D. A. Winter, *Biomechanics and Motor Control of Human Movement*, 4th ed., 2009.

use super::gait::{LegAngles, leg_angles};
use crate::geometry::{Stand, Vec3, lerp, vec3};

const THIGH: f32 = 0.245;
const SHANK: f32 = 0.246;
const FOOT_HEIGHT: f32 = 0.039;
const FOOT_LENGTH: f32 = 0.11;
const UPPER_ARM: f32 = 0.186;
const FOREARM: f32 = 0.146;
const HAND: f32 = 0.06;
const TRUNK: f32 = 0.288;
const SHOULDER_HALF: f32 = 0.112;
const HIP_HALF: f32 = 0.058;
const HEAD_UP: f32 = 0.125;
/// Radius of the head.
pub const HEAD: f32 = 0.062;

/// What the body does at one moment, in radians. Index 0 is left, 1 right.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pose {
    pub legs: [LegAngles; 2],
    /// Shoulder flexion and abduction on top of the swing of walking, elbow flexion likewise, degrees.
    pub raise: [[f32; 3]; 2],
    /// 0 standing, 1 seated.
    pub sit: f32,
    /// Turn of the head to the right in degrees.
    pub look: f32,
}

impl Pose {
    /// Walking at a place of the left leg's cycle.
    pub fn walking(phase: f32, vigour: f32) -> Self {
        Self {
            legs: [leg_angles(phase, vigour), leg_angles(phase + 0.5, vigour)],
            ..Self::default()
        }
    }

    /// Knee flexion as drawn, in degrees, left and right.
    pub fn knee_flexion(&self) -> [f32; 2] {
        self.legs.map(|leg| lerp(leg.knee, 92.0, self.sit))
    }
}

/// Joints in world coordinates, metres.
#[derive(Clone, Debug)]
pub struct Skeleton {
    /// COCO order; see [`crate::JOINT_NAMES`].
    pub joints: [Vec3; 17],
    pub head: Vec3,
    pub toes: [Vec3; 2],
    pub heels: [Vec3; 2],
    pub hands: [Vec3; 2],
    /// Where the person looks.
    pub gaze: Vec3,
    pub height: f32,
}

impl Skeleton {
    /// Stands on the ground at `stand`; the lowest point of the feet touches it.
    pub fn new(pose: &Pose, stand: &Stand, height: f32) -> Self {
        let mut body = Body::local(pose);
        let lowest = body
            .heels
            .iter()
            .chain(&body.toes)
            .map(|p| p.y)
            .fold(f32::INFINITY, f32::min);
        body.each(|p| {
            let above = vec3(p.x, p.y - lowest, p.z) * height;
            stand.to_world(above)
        });
        Self {
            joints: body.joints,
            head: body.head,
            toes: body.toes,
            heels: body.heels,
            hands: body.hands,
            gaze: stand.turn(body.gaze),
            height,
        }
    }

    pub fn joint(&self, j: usize) -> Vec3 {
        self.joints[j]
    }
}

/// Joints in the person's axes with the middle of the hips at the origin, heights as unit.
struct Body {
    joints: [Vec3; 17],
    head: Vec3,
    toes: [Vec3; 2],
    heels: [Vec3; 2],
    hands: [Vec3; 2],
    gaze: Vec3,
}

impl Body {
    fn local(pose: &Pose) -> Self {
        let zero = vec3(0.0, 0.0, 0.0);
        let mut body = Self {
            joints: [zero; 17],
            head: zero,
            toes: [zero; 2],
            heels: [zero; 2],
            hands: [zero; 2],
            gaze: zero,
        };
        // Sitting down moves the hips back over the seat while the feet stay.
        let pelvis = vec3(
            0.0,
            0.0,
            -THIGH * (pose.sit * std::f32::consts::FRAC_PI_2).sin(),
        );
        // One leans forward to shift the weight while sitting down and getting up.
        let lean = (3.0 + 32.0 * (pose.sit * std::f32::consts::PI).sin()).to_radians();
        let spine = vec3(0.0, lean.cos(), lean.sin());
        for (i, side) in [-1.0, 1.0].into_iter().enumerate() {
            body.leg(pose, i, pelvis + vec3(side * HIP_HALF, 0.0, 0.0));
            body.arm(
                pose,
                i,
                side,
                pelvis + spine * TRUNK + vec3(side * SHOULDER_HALF, 0.0, 0.0),
            );
        }
        body.face(
            pose,
            pelvis + spine * (TRUNK + 0.01) + vec3(0.0, HEAD_UP, 0.012),
        );
        body
    }

    fn leg(&mut self, pose: &Pose, i: usize, hip: Vec3) {
        let angles = pose.legs[i];
        let thigh = lerp(angles.hip, 88.0, pose.sit).to_radians();
        let shank = thigh - pose.knee_flexion()[i].to_radians();
        let foot = shank + lerp(angles.ankle, 4.0, pose.sit).to_radians();
        let down = |a: f32| vec3(0.0, -a.cos(), a.sin());
        let knee = hip + down(thigh) * THIGH;
        let ankle = knee + down(shank) * SHANK;
        let (ahead, below) = (vec3(0.0, foot.sin(), foot.cos()), down(foot));
        self.joints[11 + i] = hip;
        self.joints[13 + i] = knee;
        self.joints[15 + i] = ankle;
        self.heels[i] = ankle + below * FOOT_HEIGHT - ahead * 0.03;
        self.toes[i] = ankle + below * FOOT_HEIGHT + ahead * FOOT_LENGTH;
    }

    fn arm(&mut self, pose: &Pose, i: usize, side: f32, shoulder: Vec3) {
        let [flex, abduct, bend] = pose.raise[i];
        let calm = 1.0 - 0.7 * pose.sit;
        let swing = (pose.legs[i].shoulder * calm + flex + 12.0 * pose.sit).to_radians();
        let out = (4.0 + abduct).to_radians();
        let elbow_flex = (pose.legs[i].elbow + bend + 45.0 * pose.sit * calm.min(1.0)).to_radians();
        let direction = |a: f32| vec3(side * out.sin(), -a.cos() * out.cos(), a.sin() * out.cos());
        // An arm raised sideways bends up and in rather than forward.
        let fore = if abduct > 60.0 {
            let a = out + elbow_flex;
            vec3(side * a.sin(), -a.cos(), 0.0)
        } else {
            direction(swing + elbow_flex)
        };
        let elbow = shoulder + direction(swing) * UPPER_ARM;
        let wrist = elbow + fore * FOREARM;
        self.joints[5 + i] = shoulder;
        self.joints[7 + i] = elbow;
        self.joints[9 + i] = wrist;
        self.hands[i] = wrist + fore * HAND;
    }

    fn face(&mut self, pose: &Pose, head: Vec3) {
        let turn = Stand {
            origin: head,
            yaw: pose.look.to_radians(),
        };
        let at = |x: f32, y: f32, z: f32| turn.to_world(vec3(x, y, z) * HEAD);
        self.head = head;
        self.gaze = turn.turn(vec3(0.0, 0.0, 1.0));
        self.joints[0] = at(0.0, -0.12, 1.05);
        for (i, side) in [-1.0, 1.0].into_iter().enumerate() {
            self.joints[1 + i] = at(side * 0.38, 0.18, 0.85);
            self.joints[3 + i] = at(side * 0.88, -0.02, -0.05);
        }
    }

    fn each(&mut self, f: impl Fn(Vec3) -> Vec3) {
        let points = self
            .joints
            .iter_mut()
            .chain(&mut self.toes)
            .chain(&mut self.heels)
            .chain(&mut self.hands);
        for p in points.chain(std::iter::once(&mut self.head)) {
            *p = f(*p);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn angle(a: Vec3, b: Vec3, c: Vec3) -> f32 {
        (a - b)
            .unit()
            .dot((c - b).unit())
            .clamp(-1.0, 1.0)
            .acos()
            .to_degrees()
    }

    #[test]
    fn the_stated_knee_flexion_is_the_angle_between_the_joints() {
        for i in 0..50 {
            let pose = Pose {
                sit: if i % 3 == 0 { 0.6 } else { 0.0 },
                ..Pose::walking(i as f32 / 50.0, 1.0)
            };
            let s = Skeleton::new(&pose, &Stand::at(3.0, 7.0, 0.8), 1.8);
            for side in 0..2 {
                let drawn =
                    180.0 - angle(s.joint(11 + side), s.joint(13 + side), s.joint(15 + side));
                let stated = pose.knee_flexion()[side];
                assert!((drawn - stated.abs()).abs() < 0.3, "{i}: {drawn} {stated}");
            }
        }
    }

    #[test]
    fn feet_stand_on_the_ground_and_the_head_is_at_body_height() {
        let s = Skeleton::new(&Pose::walking(0.0, 0.0), &Stand::at(0.0, 0.0, 0.0), 1.8);
        let lowest = s
            .toes
            .iter()
            .chain(&s.heels)
            .map(|p| p.y)
            .fold(f32::INFINITY, f32::min);
        assert!(lowest.abs() < 1e-4);
        let top = s.head.y + HEAD * 1.8 * 1.25;
        assert!((1.7..1.9).contains(&top), "{top}");
    }

    #[test]
    fn sitting_lowers_the_hips_to_a_seat() {
        let pose = Pose {
            sit: 1.0,
            ..Pose::walking(0.0, 0.0)
        };
        let s = Skeleton::new(&pose, &Stand::at(0.0, 0.0, 0.0), 1.75);
        let hip = s.joint(11).y;
        assert!((0.42..0.58).contains(&hip), "{hip}");
        assert!(s.joint(11).z < s.joint(15).z - 0.3);
    }
}
