// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One score a class for the whole picture: `[1, C]`.

use super::outputs::Outputs;
use super::select::{activate, report_class};
use crate::modelinfo::{Activation, ModelInfo};
use crate::{Object, VisionError};

/// The best `max-objects` classes, each as an object that fills the picture.
pub(super) fn read(info: &ModelInfo, outputs: &Outputs<'_>) -> Result<Vec<Object>, VisionError> {
    let output = outputs.get("output")?;
    let wide = output.shape.iter().filter(|d| **d != 1).count();
    if wide > 1 || output.values.is_empty() {
        return Err(outputs.wrong_shape(&output, "one row of classes: [1, C]"));
    }
    let scores = match info.head.activation {
        Activation::Softmax => softmax(&output.values),
        activation => output
            .values
            .iter()
            .map(|x| activate(activation, *x))
            .collect(),
    };
    let mut ranked: Vec<(u32, f32)> = scores
        .into_iter()
        .enumerate()
        .filter(|(_, s)| s.is_finite() && *s >= info.head.score_threshold)
        .filter_map(|(class, s)| Some((report_class(info, class)?, s)))
        .collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked.truncate(info.head.max_objects);
    let (w, h) = (info.input.width as f32, info.input.height as f32);
    Ok(ranked
        .into_iter()
        .map(|(class, score)| Object {
            class,
            label: info.label(class),
            score,
            box_: [0.0, 0.0, w, h],
            ..Object::default()
        })
        .collect())
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    // f32::max passes over what is not a number; the largest exponent becomes 0, so that none overflows.
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp = logits.iter().map(|x| (x - max).exp());
    let sum: f32 = exp.clone().filter(|e| e.is_finite()).sum();
    exp.map(|e| e / sum).collect()
}

#[cfg(test)]
mod tests {
    use crate::Head;
    use crate::heads::testing::{assert_close, model};

    #[test]
    fn the_best_classes_come_first_and_fill_the_picture() {
        let own = &[("max-objects", "2"), ("labels", "cat;dog;bird")];
        let (info, mut out) = model("classification", own, [32, 16], &[("o", &[1, 3, 1, 1])]);
        for (i, logit) in [1.0, 3.0, 2.0].into_iter().enumerate() {
            out.set("o", &[0, i, 0, 0], logit);
        }
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        let labels: Vec<_> = objects.iter().map(|o| o.label.as_str()).collect();
        assert_eq!(labels, ["dog", "bird"]);
        assert_close(&[objects[0].score, objects[1].score], &[0.665, 0.2447]);
        assert_eq!(objects[0].box_, [0.0, 0.0, 32.0, 16.0]);
    }

    #[test]
    fn probabilities_are_taken_as_they_are() {
        let own = &[("activation", "none")];
        let (info, mut out) = model("classification", own, [32, 16], &[("o", &[1, 3])]);
        out.row("o", &[0], &[0.1, 0.2, 0.7]);
        let objects = Head::new(&info).read(&out.tensors()).unwrap();
        assert_eq!((objects.len(), objects[0].class), (1, 2));
        assert_close(&[objects[0].score], &[0.7]);
    }
}
