// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The landmarks of MediaPipe's BlazePose (arXiv:2006.10204), on a picture cropped to the person.

use super::outputs::Outputs;
use super::person::{person, scored_person};
use super::select::sigmoid;
use crate::modelinfo::ModelInfo;
use crate::{Object, VisionError};

/// Landmarks of the body; the tensor holds six more, which only help to find the next crop.
const BODY: usize = 33;

/// `landmarks` is `[1, 195]`: for each of 39 points x, y, z in pixels of the picture and the logits of its visibility and
/// presence. `flag` `[1, 1]`, where there is one, is the probability that there is a person.
pub(super) fn read(info: &ModelInfo, outputs: &Outputs<'_>) -> Result<Vec<Object>, VisionError> {
    let output = outputs.get("landmarks")?;
    if output.values.len() != 39 * 5 {
        return Err(outputs.wrong_shape(&output, "[1, 195]"));
    }
    let points = output.values.as_chunks::<5>().0.iter().take(BODY);
    let keypoints: Vec<_> = points
        .map(|[x, y, _, visibility, presence]| {
            [*x, *y, sigmoid(*visibility).min(sigmoid(*presence))]
        })
        .collect();
    let found = match outputs
        .find("flag")?
        .and_then(|f| f.values.first().copied())
    {
        Some(flag) => scored_person(info, keypoints, flag),
        None => person(info, keypoints),
    };
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use crate::Head;
    use crate::heads::testing::{assert_close, model};

    #[test]
    fn landmarks_are_pixels_and_the_flag_is_the_score() {
        let shapes: [(&str, &[usize]); 2] = [("o", &[1, 195]), ("flag", &[1, 1])];
        let (info, mut out) = model("blazepose", &[], [256, 256], &shapes);
        out.row("flag", &[0], &[0.8]);
        for (i, value) in [100.0, 120.0, 5.0, 2.0, 9.0].into_iter().enumerate() {
            out.set("o", &[0, 5 + i], value);
        }
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_close(&[objects[0].score], &[0.8]);
        assert_eq!(objects[0].keypoints.len(), 33);
        assert_close(&objects[0].keypoints[1], &[100.0, 120.0, 0.880_797]);
    }
}
