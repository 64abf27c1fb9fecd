// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is drawn in one frame, from far to near, and the questions that the truth asks of it.
//!
//! The picture and the truth come from the same list of polygons, so they cannot disagree by more than
//! the antialiasing at an edge.

use crate::geometry::{Pixel, contains};
use tiny_skia::{
    BlendMode, Color, FillRule, GradientStop, LinearGradient, Paint, PathBuilder, PixmapMut, Point,
    RadialGradient, Shader, SpreadMode, Transform,
};

/// Red, green, blue and opacity, each 0–1, not premultiplied.
pub type Rgba = [f32; 4];

/// How a shape is painted.
#[derive(Clone, Debug)]
pub enum Fill {
    Flat(Rgba),
    /// From one colour at the first point to another at the second.
    Linear(Pixel, Pixel, Rgba, Rgba),
    /// Light added to what is there, fading from the centre to the radius.
    Glow(Pixel, f32, Rgba),
}

/// Whose a shape is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Furniture, trees, lamps: hides objects but has no truth.
    Scenery,
    /// Shadow, light, rain: neither hides nor belongs to the outline of anything.
    Air,
    /// The object at this place of the frame's list.
    Object(usize),
}

/// A filled polygon.
#[derive(Clone, Debug)]
pub struct Shape {
    pub points: Vec<Pixel>,
    pub fill: Fill,
    pub owner: Owner,
    /// Bit `j` is set when this shape is the flesh around joint `j` and so does not hide it.
    pub joints: u32,
}

/// x, y, width, height in pixels.
pub type Box4 = [f32; 4];

/// The shapes of one frame, far ones first.
#[derive(Default)]
pub struct Stage {
    shapes: Vec<Shape>,
}

impl Stage {
    pub fn clear(&mut self) {
        self.shapes.clear();
    }

    pub fn push(&mut self, owner: Owner, points: Vec<Pixel>, fill: Fill) {
        self.push_part(owner, points, fill, 0);
    }

    pub fn push_part(&mut self, owner: Owner, points: Vec<Pixel>, fill: Fill, joints: u32) {
        if points.len() >= 3 {
            self.shapes.push(Shape {
                points,
                fill,
                owner,
                joints,
            });
        }
    }

    pub fn flat(&mut self, owner: Owner, points: Vec<Pixel>, colour: Rgba) {
        self.push(owner, points, Fill::Flat(colour));
    }

    /// Adds light around a point.
    pub fn glow(&mut self, centre: Pixel, radius: f32, colour: Rgba) {
        let [x, y] = centre;
        let square = vec![
            [x - radius, y - radius],
            [x + radius, y - radius],
            [x + radius, y + radius],
            [x - radius, y + radius],
        ];
        self.push(Owner::Air, square, Fill::Glow(centre, radius, colour));
    }

    /// Paints every shape that touches the picture.
    pub fn paint(&self, picture: &mut PixmapMut) {
        let (width, height) = (picture.width() as f32, picture.height() as f32);
        for shape in &self.shapes {
            let [x, y, w, h] = bounds(&shape.points);
            if x < width && y < height && x + w > 0.0 && y + h > 0.0 {
                paint(picture, shape);
            }
        }
    }

    /// The smallest box around all shapes of an object, also where something hides it or the picture
    /// ends; `None` when nothing of it was drawn.
    pub fn outline(&self, object: usize) -> Option<Box4> {
        let mut points = self.of(object).flat_map(|s| &s.points).peekable();
        points.peek()?;
        Some(bounds_of(points))
    }

    /// The share of an object's silhouette that is inside the picture and not hidden, estimated on a
    /// grid of 16 × 16 points over its outline.
    pub fn visible_share(&self, object: usize, width: u32, height: u32) -> f32 {
        const GRID: usize = 16;
        let Some([x, y, w, h]) = self.outline(object) else {
            return 0.0;
        };
        let own: Vec<usize> = (0..self.shapes.len())
            .filter(|&i| self.shapes[i].owner == Owner::Object(object))
            .collect();
        let (mut total, mut seen) = (0, 0);
        for i in 0..GRID * GRID {
            let p = [
                x + w * ((i % GRID) as f32 + 0.5) / GRID as f32,
                y + h * ((i / GRID) as f32 + 0.5) / GRID as f32,
            ];
            let Some(&top) = own
                .iter()
                .rev()
                .find(|&&s| contains(&self.shapes[s].points, p))
            else {
                continue;
            };
            total += 1;
            let inside = p[0] >= 0.0 && p[1] >= 0.0 && p[0] < width as f32 && p[1] < height as f32;
            let hidden = self.shapes[top + 1..].iter().any(|s| {
                hides(s.owner) && s.owner != Owner::Object(object) && contains(&s.points, p)
            });
            seen += usize::from(inside && !hidden);
        }
        if total == 0 {
            0.0
        } else {
            seen as f32 / total as f32
        }
    }

    /// Whether nothing is drawn over joint `joint` of `object` except the flesh around it.
    pub fn joint_shows(&self, object: usize, joint: usize, p: Pixel) -> bool {
        let bit = 1u32 << joint;
        let own = |s: &Shape| s.owner == Owner::Object(object) && s.joints & bit != 0;
        let Some(first) = self.shapes.iter().position(own) else {
            return false;
        };
        !self.shapes[first..]
            .iter()
            .any(|s| hides(s.owner) && !own(s) && contains(&s.points, p))
    }

    fn of(&self, object: usize) -> impl Iterator<Item = &Shape> {
        self.shapes
            .iter()
            .filter(move |s| s.owner == Owner::Object(object))
    }
}

fn hides(owner: Owner) -> bool {
    owner != Owner::Air
}

fn bounds(points: &[Pixel]) -> Box4 {
    bounds_of(points.iter())
}

fn bounds_of<'a>(points: impl Iterator<Item = &'a Pixel>) -> Box4 {
    let mut low = [f32::INFINITY; 2];
    let mut high = [f32::NEG_INFINITY; 2];
    for p in points {
        for axis in 0..2 {
            low[axis] = low[axis].min(p[axis]);
            high[axis] = high[axis].max(p[axis]);
        }
    }
    [low[0], low[1], high[0] - low[0], high[1] - low[1]]
}

/// A box cut to the picture; `None` when less than a pixel of it is inside.
pub fn clip(b: Box4, width: u32, height: u32) -> Option<Box4> {
    let (x0, y0) = (b[0].max(0.0), b[1].max(0.0));
    let (x1, y1) = (
        (b[0] + b[2]).min(width as f32),
        (b[1] + b[3]).min(height as f32),
    );
    (x1 - x0 >= 1.0 && y1 - y0 >= 1.0).then_some([x0, y0, x1 - x0, y1 - y0])
}

fn colour([r, g, b, a]: Rgba) -> Color {
    let unit = |v: f32| {
        if v.is_finite() {
            v.clamp(0.0, 1.0)
        } else {
            0.0
        }
    };
    Color::from_rgba(unit(r), unit(g), unit(b), unit(a)).unwrap_or(Color::BLACK)
}

fn paint(picture: &mut PixmapMut, shape: &Shape) {
    let mut builder = PathBuilder::with_capacity(shape.points.len() + 2, shape.points.len() + 1);
    builder.move_to(shape.points[0][0], shape.points[0][1]);
    for p in &shape.points[1..] {
        builder.line_to(p[0], p[1]);
    }
    builder.close();
    let Some(path) = builder.finish() else { return };
    let point = |p: &Pixel| Point::from_xy(p[0], p[1]);
    let shader = match &shape.fill {
        Fill::Flat(c) => Some(Shader::SolidColor(colour(*c))),
        Fill::Linear(from, to, a, b) => LinearGradient::new(
            point(from),
            point(to),
            vec![
                GradientStop::new(0.0, colour(*a)),
                GradientStop::new(1.0, colour(*b)),
            ],
            SpreadMode::Pad,
            Transform::identity(),
        ),
        Fill::Glow(centre, radius, c) => RadialGradient::new(
            point(centre),
            0.0,
            point(centre),
            *radius,
            glow_stops(*c),
            SpreadMode::Pad,
            Transform::identity(),
        ),
    };
    let Some(shader) = shader else { return };
    let blend_mode = if matches!(shape.fill, Fill::Glow(..)) {
        BlendMode::Plus
    } else {
        BlendMode::SourceOver
    };
    let paint = Paint {
        shader,
        blend_mode,
        ..Paint::default()
    };
    picture.fill_path(
        &path,
        &paint,
        FillRule::Winding,
        Transform::identity(),
        None,
    );
}

/// Light falls off fast near the lamp and slowly further out.
fn glow_stops([r, g, b, a]: Rgba) -> Vec<GradientStop> {
    [(0.0, 1.0), (0.15, 0.55), (0.45, 0.15), (1.0, 0.0)]
        .map(|(at, share)| GradientStop::new(at, colour([r, g, b, a * share])))
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: f32, y: f32, side: f32) -> Vec<Pixel> {
        vec![[x, y], [x + side, y], [x + side, y + side], [x, y + side]]
    }

    #[test]
    fn what_is_drawn_later_hides() {
        let mut stage = Stage::default();
        stage.flat(Owner::Object(0), square(0.0, 0.0, 16.0), [1.0; 4]);
        stage.flat(Owner::Object(1), square(8.0, 0.0, 16.0), [1.0; 4]);
        stage.flat(Owner::Air, square(0.0, 0.0, 99.0), [0.0, 0.0, 0.0, 0.5]);
        assert!((stage.visible_share(0, 100, 100) - 0.5).abs() < 0.01);
        assert_eq!(stage.visible_share(1, 100, 100), 1.0);
        assert_eq!(stage.outline(0), Some([0.0, 0.0, 16.0, 16.0]));
        assert_eq!(stage.outline(2), None);
    }

    #[test]
    fn what_lies_outside_the_picture_is_not_visible() {
        let mut stage = Stage::default();
        stage.flat(Owner::Object(0), square(-8.0, 0.0, 16.0), [1.0; 4]);
        assert!((stage.visible_share(0, 100, 100) - 0.5).abs() < 0.01);
        assert_eq!(
            clip([-8.0, 0.0, 16.0, 16.0], 100, 100),
            Some([0.0, 0.0, 8.0, 16.0])
        );
        assert_eq!(clip([-8.0, 0.0, 8.5, 16.0], 100, 100), None);
    }

    #[test]
    fn a_joint_is_hidden_by_other_limbs_but_not_by_its_own_flesh() {
        let mut stage = Stage::default();
        let mut part = |x, joints| {
            stage.push_part(
                Owner::Object(0),
                square(x, 0.0, 10.0),
                Fill::Flat([1.0; 4]),
                joints,
            )
        };
        part(0.0, 0b01);
        part(0.0, 0b01);
        part(5.0, 0b10);
        assert!(stage.joint_shows(0, 0, [2.0, 2.0]));
        assert!(!stage.joint_shows(0, 0, [7.0, 2.0]));
        assert!(!stage.joint_shows(0, 5, [2.0, 2.0]));
    }
}
