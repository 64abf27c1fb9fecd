// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Charts into files: a drawing as SVG or, rendered from that, as PNG.

use anyhow::{Context, Result};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use std::path::Path;

/// Pixels of the PNG for one of the SVG.
const SCALE: f32 = 2.0;

/// Families that look alike everywhere, the best first; without one of them any font will do.
const FAMILIES: [&str; 5] = [
    "Noto Sans",
    "DejaVu Sans",
    "Liberation Sans",
    "Arial",
    "Helvetica",
];

/// Fonts of this system, for the text in the PNG files.
pub(crate) struct Fonts(Options<'static>);

impl Fonts {
    pub fn find() -> Self {
        let mut options = Options::default();
        let fonts = options.fontdb_mut();
        fonts.load_system_fonts();
        let known = |family: &str| {
            let families = [fontdb::Family::Name(family)];
            let query = fontdb::Query {
                families: &families,
                ..fontdb::Query::default()
            };
            fonts.query(&query).is_some()
        };
        let any = || {
            fonts
                .faces()
                .find_map(|f| f.families.first().map(|n| n.0.clone()))
        };
        let family = FAMILIES.iter().find(|f| known(f)).map(|f| (*f).to_owned());
        if let Some(family) = family.or_else(any) {
            options.fontdb_mut().set_sans_serif_family(family);
        }
        Self(options)
    }

    /// Without a font the PNG files have no text.
    pub fn any(&self) -> bool {
        !self.0.fontdb.is_empty()
    }
}

/// Writes `NAME.svg` and `NAME.png`.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn save(svg: &str, folder: &Path, name: &str, fonts: &Fonts) -> Result<()> {
    save_svg(svg, &folder.join(format!("{name}.svg")))?;
    save_png(svg, &folder.join(format!("{name}.png")), fonts)
}

/// # Errors
/// When the file cannot be written.
pub(crate) fn save_svg(svg: &str, path: &Path) -> Result<()> {
    std::fs::write(path, svg).with_context(|| format!("cannot write {}", path.display()))
}

/// # Errors
/// When the file cannot be written.
pub(crate) fn save_png(svg: &str, path: &Path, fonts: &Fonts) -> Result<()> {
    let tree = Tree::from_str(svg, &fonts.0).with_context(|| path.display().to_string())?;
    let size = tree
        .size()
        .to_int_size()
        .scale_by(SCALE)
        .context("the picture is too large")?;
    let mut pixels =
        Pixmap::new(size.width(), size.height()).context("the picture is too large")?;
    resvg::render(
        &tree,
        Transform::from_scale(SCALE, SCALE),
        &mut pixels.as_mut(),
    );
    pixels
        .save_png(path)
        .with_context(|| format!("cannot write {}", path.display()))
}
