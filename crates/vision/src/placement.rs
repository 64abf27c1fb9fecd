// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use crate::Object;

/// Where the frame lies on the model's picture: `picture = frame * scale + offset` in each axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    pub scale_x: f32,
    pub scale_y: f32,
    pub offset_x: f32,
    pub offset_y: f32,
    /// Pixels of the frame.
    pub frame_width: f32,
    pub frame_height: f32,
}

impl Placement {
    /// As it crosses the network: scale x, y; offset x, y; frame width, height.
    pub fn to_f32x6(&self) -> [f32; 6] {
        [
            self.scale_x,
            self.scale_y,
            self.offset_x,
            self.offset_y,
            self.frame_width,
            self.frame_height,
        ]
    }

    /// The inverse of [`to_f32x6`](Self::to_f32x6), for numbers of unknown origin: `None` unless all are finite, the
    /// scales positive and the frame not empty.
    pub fn from_f32x6(v: [f32; 6]) -> Option<Self> {
        let [
            scale_x,
            scale_y,
            offset_x,
            offset_y,
            frame_width,
            frame_height,
        ] = v;
        let sound = v.iter().all(|x| x.is_finite())
            && [scale_x, scale_y].iter().all(|s| *s > 1e-6)
            && [frame_width, frame_height].iter().all(|s| *s >= 1.0);
        sound.then_some(Self {
            scale_x,
            scale_y,
            offset_x,
            offset_y,
            frame_width,
            frame_height,
        })
    }

    /// A point of the picture as a point of the frame.
    pub fn point_to_frame(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [
            (x - self.offset_x) / self.scale_x,
            (y - self.offset_y) / self.scale_y,
        ]
    }

    /// A point of the frame as a point of the picture.
    pub fn point_to_picture(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [
            x * self.scale_x + self.offset_x,
            y * self.scale_y + self.offset_y,
        ]
    }

    /// A box of the frame, x, y, width, height, as one of the picture.
    pub fn box_to_picture(&self, [x, y, w, h]: [f32; 4]) -> [f32; 4] {
        let [x0, y0] = self.point_to_picture([x, y]);
        let [x1, y1] = self.point_to_picture([x + w, y + h]);
        [x0, y0, x1 - x0, y1 - y0]
    }

    /// The part of the picture the frame covers: x0, y0, x1, y1.
    pub fn content(&self) -> [f32; 4] {
        let [x0, y0] = self.point_to_picture([0.0, 0.0]);
        let [x1, y1] = self.point_to_picture([self.frame_width, self.frame_height]);
        [x0, y0, x1, y1]
    }

    /// From pixels of the picture to pixels of the frame. The box is clipped to the frame; keypoints may lie outside.
    pub fn to_frame(&self, object: &mut Object) {
        let [x0, y0, x1, y1] = object.corners();
        let clip = |[x, y]: [f32; 2]| {
            [
                x.clamp(0.0, self.frame_width),
                y.clamp(0.0, self.frame_height),
            ]
        };
        let [x0, y0] = clip(self.point_to_frame([x0, y0]));
        let [x1, y1] = clip(self.point_to_frame([x1, y1]));
        object.box_ = [x0, y0, x1 - x0, y1 - y0];
        for p in &mut object.keypoints {
            [p[0], p[1]] = self.point_to_frame([p[0], p[1]]);
        }
    }

    /// From pixels of the frame to pixels of the picture: the inverse of [`to_frame`](Self::to_frame) but for what
    /// that clipped. Soft labels are encoded for a student this way.
    pub fn to_picture(&self, object: &mut Object) {
        let [x0, y0, x1, y1] = object.corners();
        let [x0, y0] = self.point_to_picture([x0, y0]);
        let [x1, y1] = self.point_to_picture([x1, y1]);
        object.box_ = [x0, y0, x1 - x0, y1 - y0];
        for p in &mut object.keypoints {
            [p[0], p[1]] = self.point_to_picture([p[0], p[1]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn placement() -> impl Strategy<Value = Placement> {
        (
            0.05f32..4.0,
            0.05f32..4.0,
            0f32..300.0,
            0f32..300.0,
            16u32..4000,
            16u32..4000,
        )
            .prop_map(|(scale_x, scale_y, offset_x, offset_y, w, h)| Placement {
                scale_x,
                scale_y,
                offset_x,
                offset_y,
                frame_width: w as f32,
                frame_height: h as f32,
            })
    }

    proptest! {
        #[test]
        fn frame_to_picture_and_back_is_the_same_point(p in placement(), x in -100f32..5000.0, y in -100f32..5000.0) {
            let [bx, by] = p.point_to_frame(p.point_to_picture([x, y]));
            prop_assert!((bx - x).abs() < 0.1 && (by - y).abs() < 0.1);
        }

        #[test]
        fn boxes_end_up_inside_the_frame(p in placement(), b in prop::array::uniform4(-1e6f32..1e6)) {
            let mut o = Object { box_: [b[0], b[1], b[2].abs(), b[3].abs()], ..Object::default() };
            p.to_frame(&mut o);
            let [x0, y0, x1, y1] = o.corners();
            prop_assert!(x0 >= 0.0 && y0 >= 0.0 && o.box_[2] >= 0.0 && o.box_[3] >= 0.0);
            prop_assert!(x1 <= p.frame_width * 1.00001 && y1 <= p.frame_height * 1.00001);
        }

        #[test]
        fn the_wire_form_is_lossless_and_rejects_nonsense(p in placement(), bad in 0usize..6) {
            prop_assert_eq!(Placement::from_f32x6(p.to_f32x6()), Some(p));
            let mut v = p.to_f32x6();
            v[bad] = f32::NAN;
            prop_assert_eq!(Placement::from_f32x6(v), None);
        }
    }
}
