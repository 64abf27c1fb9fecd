// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The truth of this project's scenes, one JSON object a frame: `docs/scenes.md`.

use super::{Truth, TruthError};
use crate::frame::Actual;
use serde::Deserialize;

#[derive(Deserialize)]
struct Line {
    frame: u64,
    /// Where each frame is a picture of its own: those of several scenes, whose numbers are not one sequence.
    file: Option<String>,
    /// Results of inference have none: so neither is taken for the other.
    domain: String,
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    label: String,
    track: Option<u64>,
    #[serde(rename = "box")]
    bbox: [f64; 4],
    visible: Option<f64>,
    #[serde(default)]
    keypoints: Vec<[f64; 3]>,
    gait: Option<Gait>,
}

#[derive(Deserialize)]
struct Gait {
    knee_flexion: [f64; 2],
}

pub(super) fn read(text: &str) -> Result<Truth, TruthError> {
    let mut truth = Truth::default();
    for (i, json) in text.lines().enumerate() {
        if json.trim().is_empty() {
            continue;
        }
        let problem = |problem| TruthError::Line {
            line: i + 1,
            problem,
        };
        let line = Line::read(json).map_err(problem)?;
        let number = match line.file {
            None => line.frame,
            Some(file) => {
                let place = i as u64;
                truth.files.insert(file, place);
                place
            }
        };
        truth.domains.insert(number, line.domain);
        let actual = line.objects.into_iter().map(Actual::from).collect();
        if truth.frames.insert(number, actual).is_some() {
            let twice = format!("frame {number} is there twice: give each scene a file of its own");
            return Err(problem(twice));
        }
    }
    match truth.frames.is_empty() {
        true => Err(TruthError::Whole("there is no line in it".into())),
        false => Ok(truth),
    }
}

pub(super) fn frame(json: &str) -> Result<(u64, String, Vec<Actual>), String> {
    let line = Line::read(json)?;
    let actual = line.objects.into_iter().map(Actual::from).collect();
    Ok((line.frame, line.domain, actual))
}

impl Line {
    fn read(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|e| format!("not the truth of a frame: {e}"))
    }
}

impl From<Object> for Actual {
    fn from(o: Object) -> Self {
        Self {
            label: o.label,
            bbox: o.bbox,
            track: o.track,
            visible: o.visible,
            keypoints: o.keypoints,
            knee_flexion: o.gait.map(|g| g.knee_flexion),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"frame":3,"time":0.1,"domain":"night","objects":[{"label":"person","track":5,"box":[1.0,2.0,3.0,4.0],"visible":0.5,"moving":true,"keypoints":[[1.0,2.0,2]],"gait":{"knee_flexion":[10.0,20.0],"action":"walk"}}]}"#;

    #[test]
    fn a_line_is_a_frame() {
        let truth = read(&format!("{LINE}\n\n")).unwrap();
        let person = &truth.on(3).unwrap()[0];
        assert_eq!(person.knee_flexion, Some([10.0, 20.0]));
        assert_eq!(person.keypoints, [[1.0, 2.0, 2.0]]);
        assert_eq!((person.track, person.visible), (Some(5), Some(0.5)));
        assert_eq!(truth.domains[&3], "night");
        assert_eq!(truth.on(4), None);
    }

    #[test]
    fn frames_that_are_files_are_known_by_them() {
        let line =
            |file: &str| LINE.replace("{\"frame\"", &format!("{{\"file\":\"{file}\",\"frame\""));
        let truth = read(&format!("{}\n{}", line("a.png"), line("b.png"))).unwrap();
        assert_eq!((truth.files["a.png"], truth.files["b.png"]), (0, 1));
        assert_eq!(truth.on(1).map(<[_]>::len), Some(1));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, said) in [
            (format!("{LINE}\n{LINE}"), "line 2: frame 3 is there twice"),
            (format!("{LINE}\n{{}}"), "line 2: not the truth of a frame"),
            (String::new(), "no line"),
        ] {
            let e = read(&text).unwrap_err().to_string();
            assert!(e.contains(said), "{e}");
        }
    }
}
