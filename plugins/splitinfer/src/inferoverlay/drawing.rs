// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is drawn for a result, and where.

use super::canvas::Canvas;
use super::colour;
use super::text::Typeface;
use splitinfer_meta::{Completed, FrameResult, Object};
use tiny_skia::Color;

/// What the user wants to see.
#[derive(Clone, Debug)]
pub(super) struct Style {
    pub boxes: bool,
    pub labels: bool,
    pub keypoints: bool,
    pub status: bool,
    /// Pixels; 0: from the size of the picture.
    pub line_width: u32,
    pub font_scale: f64,
    pub score_threshold: f64,
    pub keypoint_threshold: f64,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            boxes: true,
            labels: true,
            keypoints: true,
            status: true,
            line_width: 0,
            font_scale: 1.0,
            score_threshold: 0.0,
            keypoint_threshold: 0.3,
        }
    }
}

/// Limbs of the 17 keypoints of COCO, for models that name no skeleton.
const COCO_SKELETON: [[u32; 2]; 18] = [
    [0, 1],
    [0, 2],
    [1, 3],
    [2, 4],
    [0, 5],
    [0, 6],
    [5, 6],
    [5, 7],
    [7, 9],
    [6, 8],
    [8, 10],
    [5, 11],
    [6, 12],
    [11, 12],
    [11, 13],
    [13, 15],
    [12, 14],
    [14, 16],
];

/// Text is a 27th of the picture high: 13 pixels at 360 lines, 40 at 1080.
const LINES_OF_TEXT: f32 = 27.0;

/// Draws `result` as `style` wants it.
pub(super) fn draw(canvas: &mut Canvas, result: &FrameResult, style: &Style) {
    let height = canvas.height().min(canvas.width()) as f32;
    let pen = Pen {
        style,
        face: Typeface::of_height(height / LINES_OF_TEXT * style.font_scale as f32),
        line: match style.line_width {
            0 => (height / 240.0).round().max(1.0),
            n => n as f32,
        },
    };
    let shown: Vec<&Object> = result
        .objects
        .iter()
        .filter(|o| f64::from(o.score) >= style.score_threshold)
        .collect();
    for object in &shown {
        if style.boxes {
            pen.object_box(canvas, object);
        }
        if style.keypoints {
            pen.skeleton(canvas, object, &result.skeleton);
        }
    }
    // Text comes last, so that no line crosses it.
    let mut taken = Vec::new();
    if style.status {
        taken.push(pen.status(canvas, result, shown.len()));
    }
    if style.labels {
        for object in &shown {
            pen.label(canvas, object, &mut taken);
        }
    }
}

struct Pen<'a> {
    style: &'a Style,
    face: Typeface,
    line: f32,
}

/// x, y, width, height of a piece of text with its background.
type Plate = [f32; 4];

impl Pen<'_> {
    fn object_box(&self, canvas: &mut Canvas, object: &Object) {
        let [x, y, w, h] = object.box_;
        let rim = (self.line / 2.0).round().max(1.0);
        let around = [x - rim, y - rim, w + 2.0 * rim, h + 2.0 * rim];
        canvas.frame(around, self.line + 2.0 * rim, shade());
        canvas.frame(object.box_, self.line, colour::of(object));
    }

    fn skeleton(&self, canvas: &mut Canvas, object: &Object, skeleton: &[[u32; 2]]) {
        let colour = colour::of(object);
        let point = |i: u32| {
            let [x, y, score] = *object.keypoints.get(i as usize)?;
            (f64::from(score) >= self.style.keypoint_threshold).then_some([x, y])
        };
        let limbs = match (skeleton, object.keypoints.len()) {
            ([], 17) => &COCO_SKELETON,
            (skeleton, _) => skeleton,
        };
        let limbs = limbs
            .iter()
            .filter_map(|[from, to]| point(*from).zip(point(*to)));
        for (from, to) in limbs.clone() {
            canvas.line(from, to, self.line + 2.0, shade());
        }
        for (from, to) in limbs {
            canvas.line(from, to, self.line, colour);
        }
        for at in (0..object.keypoints.len() as u32).filter_map(point) {
            canvas.disc(at, self.line + 2.0, shade());
            canvas.disc(at, self.line + 1.0, Color::WHITE);
        }
    }

    fn label(&self, canvas: &mut Canvas, object: &Object, taken: &mut Vec<Plate>) {
        let mut text = object.label.clone();
        if let Some(track) = object.track {
            text.push_str(&format!(" #{track}"));
        }
        text.push_str(&format!(" {:.2}", object.score));
        if let Some(quality) = object.quality {
            text.push_str(&format!(" q{quality:.2}"));
        }
        let text = self.face.fit(&text, canvas.width());
        let colour = colour::of(object);
        let plate = self.place(canvas, object.box_, self.plate_size(&text), taken);
        self.write(canvas, plate, &text, colour, colour::readable_on(colour));
        taken.push(plate);
    }

    /// Above the box, or inside it where there is no room, and below labels that are there already.
    fn place(
        &self,
        canvas: &Canvas,
        [x, y, ..]: [f32; 4],
        [width, height]: [f32; 2],
        taken: &[Plate],
    ) -> Plate {
        let room = (canvas.width() as f32 - width).max(0.0);
        let floor = (canvas.height() as f32 - height).max(0.0);
        let y = if y >= height { y - height } else { y };
        let mut plate = [x.clamp(0.0, room), y.clamp(0.0, floor), width, height];
        for _ in 0..=taken.len() {
            let Some(other) = taken.iter().find(|t| overlap(t, &plate)) else {
                break;
            };
            plate[1] = (other[1] + other[3]).min(floor);
        }
        plate
    }

    /// The line at the top: split, latency and budget, who completed the frame, how many objects, quality.
    fn status(&self, canvas: &mut Canvas, result: &FrameResult, objects: usize) -> Plate {
        let (by, lamp) = match result.completed {
            Completed::Edge => ("on edge", Color::from_rgba8(80, 220, 100, 255)),
            Completed::Server => ("by server", Color::from_rgba8(80, 170, 255, 255)),
            Completed::None => ("no result", Color::from_rgba8(255, 80, 60, 255)),
        };
        let budget = result.budget.map(|b| format!(" of {}", b.mseconds()));
        let latency = result.latency.useconds() as f64 / 1e3;
        let mut rest = format!("  {latency:.1}{} ms  {by}", budget.unwrap_or_default());
        if result.tensors.is_empty() {
            rest.push_str(&format!("  {objects} found"));
        } else {
            rest.push_str(&format!("  {} tensors", result.tensors.len()));
        }
        if let Some(quality) = worst_quality(result) {
            rest.push_str(&format!("  quality {quality:.2}"));
        }
        let lamp_width = self.face.height() as f32;
        let room = canvas.width() as f32 - lamp_width - 2.0 * self.margin();
        let name = format!("split {}", result.split);
        let taken = self.face.width(&rest) as f32;
        let name = self.face.fit(&name, (room - taken).max(0.0) as u32);
        let text = self.face.fit(&(name + &rest), room.max(0.0) as u32);

        let [width, height] = self.plate_size(&text);
        canvas.fill(0.0, 0.0, lamp_width, height, lamp);
        let plate = [lamp_width, 0.0, width, height];
        self.write(canvas, plate, &text, shade(), Color::WHITE);
        [0.0, 0.0, lamp_width + width, height]
    }

    fn write(&self, canvas: &mut Canvas, plate: Plate, text: &str, back: Color, front: Color) {
        let [x, y, width, height] = plate;
        canvas.fill(x, y, width, height, back);
        let margin = self.margin();
        self.face
            .draw(canvas, x + margin, y + margin / 2.0, text, front);
    }

    fn plate_size(&self, text: &str) -> [f32; 2] {
        let margin = self.margin();
        [
            self.face.width(text) as f32 + 2.0 * margin,
            self.face.height() as f32 + margin,
        ]
    }

    fn margin(&self) -> f32 {
        (self.face.height() as f32 / 6.0).round().max(2.0)
    }
}

/// What sets lines and text off from the picture.
fn shade() -> Color {
    Color::from_rgba8(0, 0, 0, 150)
}

fn overlap(a: &Plate, b: &Plate) -> bool {
    a[0] < b[0] + b[2] && b[0] < a[0] + a[2] && a[1] < b[1] + b[3] && b[1] < a[1] + a[3]
}

/// The lowest quality of an object; without any, the agreement with the mirrored frame.
fn worst_quality(result: &FrameResult) -> Option<f64> {
    let qualities = result.objects.iter().filter_map(|o| o.quality);
    qualities
        .map(f64::from)
        .min_by(f64::total_cmp)
        .or(result.mirror_agreement)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(result: &FrameResult, style: &Style) -> Canvas {
        let mut canvas = Canvas::new(320, 240).unwrap();
        draw(&mut canvas, result, style);
        canvas
    }

    fn alpha(canvas: &Canvas, x: u32, y: u32) -> u8 {
        canvas.pixmap().pixel(x, y).unwrap().alpha()
    }

    fn result() -> FrameResult {
        FrameResult {
            split: "edge".into(),
            completed: Completed::Edge,
            objects: vec![Object {
                label: "car".into(),
                score: 0.8,
                box_: [100.0, 100.0, 60.0, 40.0],
                keypoints: vec![
                    [110.0, 120.0, 0.9],
                    [150.0, 120.0, 0.9],
                    [130.0, 135.0, 0.1],
                ],
                ..Default::default()
            }],
            skeleton: vec![[0, 1], [1, 2]],
            ..Default::default()
        }
    }

    #[test]
    fn each_part_can_be_switched_off() {
        let on = Style::default();
        let places = [(130, 100), (130, 120), (104, 92), (4, 4)];
        let all = drawn(&result(), &on);
        for (x, y) in places {
            assert!(alpha(&all, x, y) > 0, "{x} {y}");
        }
        let off = [
            Style {
                boxes: false,
                ..on.clone()
            },
            Style {
                keypoints: false,
                ..on.clone()
            },
            Style {
                labels: false,
                ..on.clone()
            },
            Style {
                status: false,
                ..on
            },
        ];
        for (style, (x, y)) in off.iter().zip(places) {
            assert_eq!(alpha(&drawn(&result(), style), x, y), 0, "{style:?}");
        }
    }

    #[test]
    fn weak_keypoints_and_their_limbs_are_left_out() {
        let canvas = drawn(&result(), &Style::default());
        assert_eq!(alpha(&canvas, 130, 135), 0);
        assert_eq!(alpha(&canvas, 140, 128), 0);
    }

    #[test]
    fn labels_do_not_cover_one_another() {
        let canvas = Canvas::new(320, 240).unwrap();
        let style = Style::default();
        let pen = Pen {
            style: &style,
            face: Typeface::of_height(13.0),
            line: 1.0,
        };
        let mut taken = Vec::new();
        for _ in 0..4 {
            let plate = pen.place(&canvas, [300.0, 50.0, 9.0, 9.0], [80.0, 15.0], &taken);
            assert!(taken.iter().all(|t| !overlap(t, &plate)));
            assert!(plate[0] + plate[2] <= 320.0);
            taken.push(plate);
        }
    }

    #[test]
    fn anything_a_model_may_say_can_be_drawn() {
        let wild = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            1e30,
            -1e30,
            0.0,
            -5.0,
        ];
        for a in wild {
            for b in wild {
                let mut result = result();
                result.objects[0].box_ = [a, b, b, a];
                result.objects[0].keypoints = vec![[a, b, 1.0], [b, a, 1.0], [5.0, 5.0, a]];
                result.objects[0].label = "x".repeat(500);
                result.skeleton = vec![[0, 1], [1, u32::MAX]];
                drawn(&result, &Style::default());
            }
        }
        let mut tiny = Canvas::new(1, 1).unwrap();
        draw(&mut tiny, &result(), &Style::default());
    }
}
