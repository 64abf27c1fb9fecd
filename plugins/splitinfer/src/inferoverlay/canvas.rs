// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where things are drawn: a transparent picture of the frame's size that is kept between frames,
//! and a list of the places that were touched, so that a frame costs what is drawn on it and not
//! its size.

use super::blend::Blender;
use tiny_skia::{
    Color, FillRule, LineCap, Paint, PathBuilder, Pixmap, PremultipliedColorU8, Rect, Shader,
    Stroke, Transform,
};

/// A touched place, in whole pixels inside the canvas: left and top included, right and bottom not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub left: u32,
    pub top: u32,
    pub right: u32,
    pub bottom: u32,
}

impl Area {
    fn holds(&self, other: &Self) -> bool {
        self.left <= other.left
            && self.top <= other.top
            && self.right >= other.right
            && self.bottom >= other.bottom
    }
}

pub(super) struct Canvas {
    pixmap: Pixmap,
    touched: Vec<Area>,
}

impl Canvas {
    /// `None` for a picture without pixels or too large for memory.
    pub fn new(width: u32, height: u32) -> Option<Self> {
        Some(Self {
            pixmap: Pixmap::new(width, height)?,
            touched: Vec::new(),
        })
    }

    pub fn width(&self) -> u32 {
        self.pixmap.width()
    }

    pub fn height(&self) -> u32 {
        self.pixmap.height()
    }

    /// A filled rectangle on whole pixels.
    pub fn fill(&mut self, x: f32, y: f32, width: f32, height: f32, colour: Color) {
        let (x, y) = (x.round(), y.round());
        let Some(area) = self.touch(x, y, x + width.round(), y + height.round()) else {
            return;
        };
        let rect = Rect::from_ltrb(
            area.left as f32,
            area.top as f32,
            area.right as f32,
            area.bottom as f32,
        );
        if let Some(rect) = rect {
            let paint = paint(colour, false);
            self.pixmap
                .fill_rect(rect, &paint, Transform::identity(), None);
        }
    }

    /// The four edges of a rectangle, `thickness` pixels inwards.
    pub fn frame(&mut self, [x, y, w, h]: [f32; 4], thickness: f32, colour: Color) {
        let t = thickness.min(w / 2.0).min(h / 2.0).max(1.0);
        self.fill(x, y, w, t, colour);
        self.fill(x, y + h - t, w, t, colour);
        self.fill(x, y + t, t, h - 2.0 * t, colour);
        self.fill(x + w - t, y + t, t, h - 2.0 * t, colour);
    }

    pub fn line(&mut self, from: [f32; 2], to: [f32; 2], thickness: f32, colour: Color) {
        let reach = thickness / 2.0 + 1.0;
        let touched = self.touch(
            from[0].min(to[0]) - reach,
            from[1].min(to[1]) - reach,
            from[0].max(to[0]) + reach,
            from[1].max(to[1]) + reach,
        );
        if touched.is_none() {
            return;
        }
        let mut path = PathBuilder::new();
        path.move_to(from[0], from[1]);
        path.line_to(to[0], to[1]);
        let stroke = Stroke {
            width: thickness,
            line_cap: LineCap::Round,
            ..Default::default()
        };
        if let Some(path) = path.finish() {
            let paint = paint(colour, true);
            self.pixmap
                .stroke_path(&path, &paint, &stroke, Transform::identity(), None);
        }
    }

    pub fn disc(&mut self, [x, y]: [f32; 2], radius: f32, colour: Color) {
        let reach = radius + 1.0;
        if self
            .touch(x - reach, y - reach, x + reach, y + reach)
            .is_none()
        {
            return;
        }
        if let Some(path) = PathBuilder::from_circle(x, y, radius) {
            let paint = paint(colour, true);
            self.pixmap.fill_path(
                &path,
                &paint,
                FillRule::Winding,
                Transform::identity(),
                None,
            );
        }
    }

    /// Says that [`Self::dot`] will draw somewhere in this place.
    pub fn reserve(&mut self, x: f32, y: f32, width: f32, height: f32) {
        self.touch(x, y, x + width, y + height);
    }

    /// An opaque square on whole pixels, inside a place that was reserved: text is many of them.
    pub fn dot(&mut self, x: i32, y: i32, size: u32, colour: PremultipliedColorU8) {
        let clip = |from: i32, limit: u32| {
            let end = from.saturating_add_unsigned(size).clamp(0, limit as i32);
            from.clamp(0, limit as i32) as usize..end as usize
        };
        let columns = clip(x, self.width());
        let across = self.width() as usize;
        for y in clip(y, self.height()) {
            let row = &mut self.pixmap.pixels_mut()[y * across..(y + 1) * across];
            row[columns.clone()].fill(colour);
        }
    }

    /// Notes that pixels in this place change. `None` when it lies outside the canvas.
    fn touch(&mut self, left: f32, top: f32, right: f32, bottom: f32) -> Option<Area> {
        let clip = |v: f32, size: u32| v.clamp(0.0, size as f32) as u32;
        let (width, height) = (self.width(), self.height());
        let area = Area {
            left: clip(left.floor(), width),
            top: clip(top.floor(), height),
            right: clip(right.ceil(), width),
            bottom: clip(bottom.ceil(), height),
        };
        // Not-a-number ends here too: as an integer it is 0.
        if area.left >= area.right || area.top >= area.bottom {
            return None;
        }
        if !self.touched.iter().rev().take(4).any(|t| t.holds(&area)) {
            self.touched.push(area);
        }
        Some(area)
    }

    /// Blends everything drawn onto the frame, and leaves the canvas empty.
    pub fn blend_onto(
        &mut self,
        blender: &Blender,
        frame: &mut gst_video::VideoFrameRef<&mut gst::BufferRef>,
    ) {
        let touched = std::mem::take(&mut self.touched);
        for area in &touched {
            // Chroma samples cover two pixels: start and end on them.
            let area = Area {
                left: area.left & !1,
                top: area.top & !1,
                right: area.right.next_multiple_of(2).min(self.width()),
                bottom: area.bottom.next_multiple_of(2).min(self.height()),
            };
            blender.blend(&self.pixmap, area, frame);
            self.clear(area);
        }
        self.touched = touched;
        self.touched.clear();
    }

    /// Where areas overlap, the second finds nothing left to blend.
    fn clear(&mut self, area: Area) {
        let width = self.pixmap.width() as usize * 4;
        let (left, right) = (area.left as usize * 4, area.right as usize * 4);
        let data = self.pixmap.data_mut();
        for row in data
            .chunks_exact_mut(width)
            .take(area.bottom as usize)
            .skip(area.top as usize)
        {
            row[left..right].fill(0);
        }
    }

    #[cfg(test)]
    pub fn pixmap(&self) -> &Pixmap {
        &self.pixmap
    }
}

fn paint(colour: Color, anti_alias: bool) -> Paint<'static> {
    Paint {
        shader: Shader::SolidColor(colour),
        anti_alias,
        ..Default::default()
    }
}
