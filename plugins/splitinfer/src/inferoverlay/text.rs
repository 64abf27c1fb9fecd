// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Text in embedded-graphics' bitmap fonts: legible when small, whole multiples when large.

use super::canvas::Canvas;
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle, iso_8859_1 as fonts};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Baseline, Text};
use tiny_skia::{Color, PremultipliedColorU8};

/// From small to large; bold where there is one, since thin strokes vanish in video.
const FONTS: [&MonoFont; 5] = [
    &fonts::FONT_6X10,
    &fonts::FONT_7X13_BOLD,
    &fonts::FONT_9X15_BOLD,
    &fonts::FONT_9X18_BOLD,
    &fonts::FONT_10X20,
];

/// A font and how many pixels one of its dots is wide.
#[derive(Clone, Copy)]
pub(super) struct Typeface {
    font: &'static MonoFont<'static>,
    dot: u32,
}

impl Typeface {
    /// The largest that is at most `height` pixels high, or the smallest there is.
    pub fn of_height(height: f32) -> Self {
        let mut best = Self {
            font: FONTS[0],
            dot: 1,
        };
        for font in FONTS {
            let dot = (height / font.character_size.height as f32) as u32;
            let candidate = Self { font, dot };
            // As high with smaller dots is finer.
            if dot > 0 && candidate.height() > best.height() {
                best = candidate;
            }
        }
        best
    }

    pub fn height(&self) -> u32 {
        self.font.character_size.height * self.dot
    }

    /// Pixels from one character to the next.
    pub fn advance(&self) -> u32 {
        (self.font.character_size.width + self.font.character_spacing) * self.dot
    }

    pub fn width(&self, text: &str) -> u32 {
        text.chars().count() as u32 * self.advance()
    }

    /// `text` with its middle left out where it is wider than `width` pixels: both ends of the name
    /// of a tensor tell more than its middle.
    pub fn fit(&self, text: &str, width: u32) -> String {
        let room = (width / self.advance()) as usize;
        let characters: Vec<char> = text.chars().collect();
        if characters.len() <= room {
            return text.to_owned();
        }
        let kept = room.saturating_sub(2);
        let (head, tail) = (kept.div_ceil(2), kept / 2);
        let mut short: String = characters[..head].iter().collect();
        short.push_str("..");
        short.extend(&characters[characters.len() - tail..]);
        short
    }

    /// Draws `text` with its upper left corner at `x`, `y`.
    pub fn draw(&self, canvas: &mut Canvas, x: f32, y: f32, text: &str, colour: Color) {
        let (width, height) = (self.width(text) as f32, self.height() as f32);
        canvas.reserve(x.round(), y.round(), width, height);
        let style = MonoTextStyle::new(self.font, BinaryColor::On);
        let mut dots = Dots {
            canvas,
            origin: (x.round() as i32, y.round() as i32),
            dot: self.dot,
            colour: colour.premultiply().to_color_u8(),
        };
        let text = Text::with_baseline(text, Point::zero(), style, Baseline::Top);
        let Ok(_end) = text.draw(&mut dots);
    }
}

/// The canvas as embedded-graphics sees it: each of its dots is a square of ours.
struct Dots<'a> {
    canvas: &'a mut Canvas,
    origin: (i32, i32),
    dot: u32,
    colour: PremultipliedColorU8,
}

impl DrawTarget for Dots<'_> {
    type Color = BinaryColor;
    type Error = std::convert::Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Self::Error>
    where
        I: IntoIterator<Item = Pixel<Self::Color>>,
    {
        for Pixel(at, on) in pixels {
            if on.is_on() {
                let x = self.origin.0 + at.x * self.dot as i32;
                let y = self.origin.1 + at.y * self.dot as i32;
                self.canvas.dot(x, y, self.dot, self.colour);
            }
        }
        Ok(())
    }
}

impl Dimensions for Dots<'_> {
    fn bounding_box(&self) -> embedded_graphics::primitives::Rectangle {
        embedded_graphics::primitives::Rectangle::new(
            Point::zero(),
            Size::new(self.canvas.width(), self.canvas.height()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_grows_with_the_height_asked_for() {
        let heights = [1.0, 13.0, 20.0, 40.0, 60.0].map(|h| Typeface::of_height(h).height());
        assert_eq!(heights, [10, 13, 20, 40, 60]);
    }

    #[test]
    fn what_is_too_long_keeps_both_its_ends() {
        let face = Typeface::of_height(13.0);
        let name = "/backbone/stage_3/conv/Conv_output_0";
        let short = face.fit(name, face.advance() * 12);
        assert_eq!(short, "/back..put_0");
        assert_eq!(face.fit("short", 1000), "short");
        assert_eq!(face.fit("long", 0), "..");
    }

    #[test]
    fn letters_leave_marks_and_unknown_ones_do_too() {
        for text in ["A", "é", "漢"] {
            let mut canvas = Canvas::new(40, 40).unwrap();
            Typeface::of_height(20.0).draw(&mut canvas, 2.0, 2.0, text, Color::WHITE);
            let marked = canvas.pixmap().pixels().iter().filter(|p| p.alpha() > 0);
            assert!(marked.count() > 10, "{text}");
        }
    }
}
