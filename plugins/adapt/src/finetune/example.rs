// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From a labelled frame to an example for the trainer.

use splitinfer_inference::picture;
use splitinfer_meta::{Labels, read_labels};
use splitinfer_tensor::{DType, Tensor};
use splitinfer_trainer::{Sample, Trainer};
use splitinfer_vision::{ModelInfo, Preprocessor};

use super::goals::Goal;

/// Makes examples for one student.
pub(super) struct Examples {
    preprocessor: Preprocessor,
    goals: Vec<Goal>,
}

impl Examples {
    pub(super) fn new(info: &ModelInfo, goals: Vec<Goal>) -> Self {
        Self {
            preprocessor: Preprocessor::new(info),
            goals,
        }
    }

    /// # Errors
    /// In words, when the frame has no labels, they are not of the student's outputs, or it cannot be read.
    pub(super) fn of_frame(
        &mut self,
        buffer: &gst::BufferRef,
        video: &gst_video::VideoInfo,
        trainer: &Trainer,
    ) -> Result<Sample, String> {
        let labels = read_labels(buffer)
            .ok_or("a frame has no labels; put teacherlabel before this element")?;
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, video)
            .map_err(|_| format!("a buffer does not hold a picture of {video:?}"))?;
        let frame = picture::borrow(&frame).map_err(|e| e.to_string())?;
        let (picture, _) = self
            .preprocessor
            .picture(&frame)
            .map_err(|e| e.to_string())?;
        let input = self
            .preprocessor
            .tensor(&picture)
            .map_err(|e| e.to_string())?;
        let inputs = trainer.features(&[&input]).map_err(|e| e.to_string())?;
        let (mut targets, mut weights) = (Vec::new(), Vec::new());
        for (goal, shape) in self.goals.iter().zip(trainer.target_shapes()) {
            targets.push(target(&labels, &goal.output, shape)?);
            weights.push(match &goal.weigh {
                None => None,
                Some((by, how)) => {
                    let by = said(&labels, by)?;
                    Some(how.weights(&by, shape).map_err(|e| e.to_string())?)
                }
            });
        }
        let sample = Sample {
            inputs,
            targets,
            weights,
        };
        match sample.is_finite() {
            true => Ok(sample),
            false => Err(format!(
                "the teacher {} says what is no number",
                labels.teacher
            )),
        }
    }
}

/// What the teacher says for an output, in the student's shape.
fn target(labels: &Labels, output: &str, shape: &[usize]) -> Result<Tensor, String> {
    let tensor = said(labels, output)?;
    if tensor.shape() != shape {
        return Err(format!(
            "output '{output}' of the teacher {} is {:?}, that of the student {shape:?}: the teacher must have the student's outputs",
            labels.teacher,
            tensor.shape()
        ));
    }
    match tensor.dtype() {
        DType::F32 | DType::F64 => Ok(tensor),
        _ => Tensor::new(shape.to_vec(), tensor.to_f32_vec()).map_err(|e| e.to_string()),
    }
}

fn said(labels: &Labels, output: &str) -> Result<Tensor, String> {
    let found = labels.tensors.iter().find(|t| t.name == output);
    let found = found.ok_or_else(|| {
        let names: Vec<&str> = labels.tensors.iter().map(|t| t.name.as_str()).collect();
        format!(
            "the teacher {} has no output '{output}'; it has {}",
            labels.teacher,
            names.join(", ")
        )
    })?;
    found
        .tensor()
        .map_err(|e| format!("output '{output}' of the teacher: {e}"))
}
