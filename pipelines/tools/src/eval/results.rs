// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Results: lines of JSON as `inferjson` writes them, and objects off a frame.

use anyhow::{Context, Result, anyhow, bail};
use splitinfer_evaluate::Found;
use splitinfer_meta::{FrameResult, Object};
use std::collections::BTreeMap;
use std::path::Path;

/// What was found, by frame. A frame without a result is one on which nothing was found.
///
/// # Errors
/// When the file cannot be read or a line is no result; the message names the line.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<u64, Vec<Found>>> {
    let file = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(file)?;
    let mut frames = BTreeMap::new();
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let at = || format!("{}:{}", file(), i + 1);
        let (result, _) = splitinfer_meta::from_json(line).map_err(|e| anyhow!("{}: {e}", at()))?;
        let number = result.frame;
        let objects = objects(result).with_context(at)?;
        if frames.insert(number, objects).is_some() {
            bail!(
                "{}: frame {number} is there twice; a file holds one run of one video",
                at()
            );
        }
    }
    if frames.is_empty() {
        bail!(
            "{}: there is no result in it; inferjson writes one line a frame",
            file()
        );
    }
    Ok(frames)
}

/// The objects of a result.
///
/// # Errors
/// When it holds tensors in place of objects.
pub(super) fn objects(result: FrameResult) -> Result<Vec<Found>> {
    if !result.tensors.is_empty() && result.objects.is_empty() {
        bail!(
            "frame {} holds the model's output tensors and no objects: a sidecar must say how they are read \
             (docs/sidecar.md)",
            result.frame
        );
    }
    Ok(result.objects.into_iter().map(found).collect())
}

fn found(object: Object) -> Found {
    Found {
        label: object.label,
        // Where scores are sorted, not-a-number would come before the best.
        score: match object.score.is_nan() {
            true => f64::NEG_INFINITY,
            false => f64::from(object.score),
        },
        bbox: object.box_.map(f64::from),
        keypoints: object.keypoints.iter().map(|k| k.map(f64::from)).collect(),
        track: object.track,
        small: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<BTreeMap<u64, Vec<Found>>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    const LINE: &str = r#"{"frame":3,"pts":null,"split":"edge","model_version":0,"latency_ms":1.5,"completed":"edge","objects":[{"label":"car","score":0.5,"box":[1,2,3,4],"track":9}]}"#;
    const EMPTY: &str = r#"{"frame":4,"pts":null,"completed":"none","objects":[]}"#;

    #[test]
    fn lines_become_objects_by_frame() {
        let frames = read_text(&format!("{LINE}\n\n{EMPTY}\n")).unwrap();
        assert_eq!(frames[&3][0].bbox, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(frames[&3][0].track, Some(9));
        assert_eq!(frames[&4], []);
    }

    #[test]
    fn an_answer_without_a_score_is_worth_least() {
        let frames = read_text(&LINE.replace("0.5", "null")).unwrap();
        assert_eq!(frames[&3][0].score, f64::NEG_INFINITY);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, said) in [
            (format!("{LINE}\n{{\"frame\":"), "r.jsonl:2: not a result"),
            (
                format!("{EMPTY}\n{EMPTY}"),
                "r.jsonl:2: frame 4 is there twice",
            ),
            (String::new(), "no result in it"),
        ] {
            let e = format!("{:#}", read_text(&text).unwrap_err());
            assert!(e.contains(said), "{e}");
        }
    }
}
