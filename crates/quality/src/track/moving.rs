// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where a box is and how fast it moves: four Kalman filters of constant velocity, one a coordinate.
//!
//! Noise is in units of the box's height, as in ByteTrack (Zhang et al., ECCV 2022) and DeepSORT (Wojke et al., ICIP
//! 2017). The filters of those are these four: their matrices couple no two coordinates.

/// Standard deviations in units of the height.
const MEASUREMENT: f64 = 1.0 / 20.0;
const PLACE: f64 = 1.0 / 20.0;
const SPEED: f64 = 1.0 / 160.0;

/// One coordinate: its value and its change a frame, and how sure both are.
#[derive(Clone, Copy, Debug)]
struct Coordinate {
    value: f64,
    speed: f64,
    /// Covariance: of the value, of both, of the speed.
    p: [f64; 3],
}

impl Coordinate {
    fn new(value: f64, height: f64) -> Self {
        Self {
            value,
            speed: 0.0,
            p: [
                (2.0 * PLACE * height).powi(2),
                0.0,
                (10.0 * SPEED * height).powi(2),
            ],
        }
    }

    fn predict(&mut self, height: f64) {
        self.value += self.speed;
        let [vv, vs, ss] = self.p;
        self.p = [
            vv + 2.0 * vs + ss + (PLACE * height).powi(2),
            vs + ss,
            ss + (SPEED * height).powi(2),
        ];
    }

    fn correct(&mut self, measured: f64, height: f64) {
        let [vv, vs, ss] = self.p;
        let innovation = vv + (MEASUREMENT * height).powi(2);
        if innovation <= 0.0 {
            self.value = measured;
            return;
        }
        let (gain_v, gain_s) = (vv / innovation, vs / innovation);
        let error = measured - self.value;
        self.value += gain_v * error;
        self.speed += gain_s * error;
        self.p = [(1.0 - gain_v) * vv, (1.0 - gain_v) * vs, ss - gain_s * vs];
    }
}

/// A moving box.
#[derive(Clone, Debug)]
pub(super) struct MovingBox([Coordinate; 4]);

impl MovingBox {
    /// From a box x, y, width, height.
    pub(super) fn new(bbox: [f64; 4]) -> Self {
        let height = height_of(bbox);
        Self(centred(bbox).map(|v| Coordinate::new(v, height)))
    }

    /// One frame on.
    pub(super) fn predict(&mut self) {
        let height = height_of(self.bbox());
        self.0.iter_mut().for_each(|c| c.predict(height));
    }

    pub(super) fn correct(&mut self, bbox: [f64; 4]) {
        let height = height_of(bbox);
        for (coordinate, measured) in self.0.iter_mut().zip(centred(bbox)) {
            coordinate.correct(measured, height);
        }
    }

    /// x, y, width, height.
    pub(super) fn bbox(&self) -> [f64; 4] {
        let [x, y, w, h] = self.0.each_ref().map(|c| c.value);
        let (w, h) = (w.max(0.0), h.max(0.0));
        [x - w / 2.0, y - h / 2.0, w, h]
    }
}

/// Centre and size.
fn centred([x, y, w, h]: [f64; 4]) -> [f64; 4] {
    [x + w / 2.0, y + h / 2.0, w, h]
}

fn height_of([_, _, _, height]: [f64; 4]) -> f64 {
    height.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_at_constant_speed_is_predicted() {
        let at = |frame: f64| [10.0 + 6.0 * frame, 50.0 - 2.0 * frame, 40.0, 80.0];
        let mut moving = MovingBox::new(at(0.0));
        for frame in 1..40 {
            moving.predict();
            moving.correct(at(f64::from(frame)));
        }
        for _ in 0..5 {
            moving.predict();
        }
        let errors = moving.bbox().into_iter().zip(at(44.0));
        assert!(
            errors.clone().all(|(a, b)| (a - b).abs() < 1.0),
            "{:?}",
            errors.collect::<Vec<_>>()
        );
    }
}
