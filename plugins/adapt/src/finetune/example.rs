// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From a labelled frame to an example for the trainer.

use splitinfer_inference::{LoadedModel, picture};
use splitinfer_meta::{Labels, read_labels};
use splitinfer_runtime::{Session, SessionOptions};
use splitinfer_tensor::{DType, Tensor};
use splitinfer_trainer::{Sample, Trainer};
use splitinfer_vision::modelinfo::HeadKind;
use splitinfer_vision::{Cells, ModelInfo, Object, Placement, Preprocessor, Targets};

use super::goals::{Goal, Weigh};

/// Makes examples for one student.
pub(super) struct Examples {
    info: ModelInfo,
    preprocessor: Preprocessor,
    goals: Vec<Goal>,
    /// What makes outputs of the student from objects, once there are any.
    maker: Option<Maker>,
    /// The student as it came, where its own answers say which cells are to find what.
    student: Option<Session>,
}

/// Makes what the student should have answered.
enum Maker {
    Maps(Targets),
    Cells(Cells),
}

/// What the student should have answered, by output.
struct Answers {
    teacher: String,
    tensors: Vec<(String, Tensor)>,
}

impl Examples {
    /// # Errors
    /// When the student cannot be run.
    pub(super) fn new(
        student: &LoadedModel,
        goals: Vec<Goal>,
        session: &SessionOptions,
    ) -> Result<Self, String> {
        let answers = || Session::from_model(&student.sized, session).map_err(|e| e.to_string());
        Ok(Self {
            info: student.info.clone(),
            preprocessor: Preprocessor::new(&student.info),
            goals,
            maker: None,
            student: Cells::are_of(&student.info).then(answers).transpose()?,
        })
    }

    /// `None` where the teacher said nothing of the frame.
    ///
    /// # Errors
    /// In words, when the frame has no labels, they are not of the student's outputs, or it cannot be read.
    pub(super) fn of_frame(
        &mut self,
        buffer: &gst::BufferRef,
        video: &gst_video::VideoInfo,
        trainer: &Trainer,
    ) -> Result<Option<Sample>, String> {
        let labels = read_labels(buffer)
            .ok_or("a frame has no labels; put teacherlabel before this element")?;
        if labels.is_silent() {
            return Ok(None);
        }
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, video)
            .map_err(|_| format!("a buffer does not hold a picture of {video:?}"))?;
        let frame = picture::borrow(&frame).map_err(|e| e.to_string())?;
        let (picture, placement) = self
            .preprocessor
            .picture(&frame)
            .map_err(|e| e.to_string())?;
        let input = self
            .preprocessor
            .tensor(&picture)
            .map_err(|e| e.to_string())?;
        let inputs = trainer.features(&[&input]).map_err(|e| e.to_string())?;
        let answers = match &labels.objects {
            None => self.dense(&labels, trainer)?,
            Some(objects) => {
                let known = known_objects(&self.info, objects, &placement);
                if known.is_empty() && !objects.is_empty() {
                    return Err(unknown(&labels.teacher, &self.info, objects));
                }
                self.decoded(&labels.teacher, &known, &input, trainer)?
            }
        };
        let (mut targets, mut weights) = (Vec::new(), Vec::new());
        for (goal, shape) in self.goals.iter().zip(trainer.target_shapes()) {
            let target = answers.target(&goal.output, shape)?;
            weights.push(self.weights(goal, &answers, &target, shape)?);
            targets.push(target);
        }
        let sample = Sample {
            inputs,
            targets,
            weights,
        };
        match sample.is_finite() {
            true => Ok(Some(sample)),
            false => Err(format!(
                "the teacher {} says what is no number",
                labels.teacher
            )),
        }
    }

    /// How much each element of a target counts.
    fn weights(
        &self,
        goal: &Goal,
        answers: &Answers,
        target: &Tensor,
        shape: &[usize],
    ) -> Result<Option<Tensor>, String> {
        match (&goal.weigh, &self.maker) {
            (Some(Weigh::By(output, how)), _) => {
                let by = answers.of(output)?;
                how.weights(by, shape).map(Some).map_err(|e| e.to_string())
            }
            (Some(Weigh::Cells), Some(Maker::Cells(cells))) => Ok(Some(cells.weights(target))),
            _ => Ok(None),
        }
    }

    /// The teacher's own outputs.
    fn dense(&mut self, labels: &Labels, trainer: &Trainer) -> Result<Answers, String> {
        let mut answers = Answers::dense(labels)?;
        let by_cells = |g: &Goal| g.weigh == Some(Weigh::Cells);
        if self.goals.iter().any(by_cells)
            && let Maker::Cells(cells) = self.maker(trainer)?
        {
            let output = answers
                .tensors
                .iter_mut()
                .find(|(n, _)| n == cells.output());
            if let Some((_, tensor)) = output.filter(|(_, t)| t.shape() == cells.shape()) {
                *tensor = cells.of_answer(tensor);
            }
        }
        Ok(answers)
    }

    fn maker(&mut self, trainer: &Trainer) -> Result<&Maker, String> {
        if self.maker.is_none() {
            let outputs = self.goals.iter().map(|g| g.output.clone());
            let shapes: Vec<(String, Vec<usize>)> = outputs
                .zip(trainer.target_shapes().map(<[usize]>::to_vec))
                .collect();
            let maker = match Cells::are_of(&self.info) {
                true => Cells::new(&self.info, &shapes).map(Maker::Cells),
                false => Targets::new(&self.info, &shapes).map(Maker::Maps),
            };
            self.maker = Some(maker.map_err(|e| e.to_string())?);
        }
        self.maker
            .as_ref()
            .ok_or_else(|| "no targets were made".to_owned())
    }

    /// From what a teacher found, in pixels of the student's picture, which is its `input`.
    fn decoded(
        &mut self,
        teacher: &str,
        known: &[Object],
        input: &Tensor,
        trainer: &Trainer,
    ) -> Result<Answers, String> {
        self.maker(trainer)
            .map_err(|e| format!("labels=decoded: {e}"))?;
        let tensors = match &self.maker {
            Some(Maker::Cells(cells)) => {
                let own = cells.of_answer(&self.own_answer(cells, input)?);
                vec![(cells.output().to_owned(), cells.of(known, &own))]
            }
            Some(Maker::Maps(targets)) => {
                let mut others = known.iter().map(|o| o.keypoints.len());
                if let Some(wanted) = targets.keypoints()
                    && let Some(other) = others.find(|n| *n != wanted)
                {
                    return Err(format!(
                        "the teacher {teacher} gives {other} keypoints, the student has {wanted}"
                    ));
                }
                targets.of(known)
            }
            None => Vec::new(),
        };
        Ok(Answers {
            teacher: teacher.to_owned(),
            tensors,
        })
    }

    /// What the student said as it came.
    fn own_answer(&self, cells: &Cells, input: &Tensor) -> Result<Tensor, String> {
        let student = self.student.as_ref().ok_or("the student is not run")?;
        let outputs = student
            .run(&[(&self.info.input.name, input)])
            .map_err(|e| e.to_string())?;
        let own = outputs.into_iter().find(|(name, _)| name == cells.output());
        own.map(|(_, tensor)| tensor)
            .filter(|t| t.shape() == cells.shape())
            .ok_or_else(|| format!("the student has no output '{}'", cells.output()))
    }
}

/// Those that the student can find, too, with its classes, in pixels of its picture.
fn known_objects(
    info: &ModelInfo,
    objects: &[splitinfer_meta::Object],
    placement: &Placement,
) -> Vec<Object> {
    let class = |o: &splitinfer_meta::Object| match info.labels.is_empty() {
        true => Some(o.class),
        false => {
            let at = info.labels.iter().position(|l| *l == o.label)?;
            u32::try_from(at).ok()
        }
    };
    let fits = |o: &&splitinfer_meta::Object| {
        info.head.kind != HeadKind::PoseHeatmaps || !o.keypoints.is_empty()
    };
    objects
        .iter()
        .filter(fits)
        .filter_map(|object| {
            let keypoint = |&[x, y, score]: &[f32; 3]| {
                let [x, y] = placement.point_to_picture([x, y]);
                [x, y, score]
            };
            Some(Object {
                class: class(object)?,
                label: object.label.clone(),
                score: object.score,
                box_: placement.box_to_picture(object.box_),
                keypoints: object.keypoints.iter().map(keypoint).collect(),
                ..Object::default()
            })
        })
        .collect()
}

fn unknown(teacher: &str, info: &ModelInfo, objects: &[splitinfer_meta::Object]) -> String {
    let mut theirs: Vec<&str> = objects.iter().map(|o| o.label.as_str()).collect();
    theirs.sort_unstable();
    theirs.dedup();
    format!(
        "the teacher {teacher} found {}, of which the student knows nothing; it knows {}: both sidecars must use the same labels",
        theirs.join(", "),
        info.labels.join(", ")
    )
}

impl Answers {
    /// The teacher's own outputs.
    fn dense(labels: &Labels) -> Result<Self, String> {
        let tensors = labels.tensors.iter().map(|t| {
            let tensor = t.tensor();
            let tensor = tensor.map_err(|e| format!("output '{}' of the teacher: {e}", t.name))?;
            Ok((t.name.clone(), tensor))
        });
        Ok(Self {
            teacher: labels.teacher.clone(),
            tensors: tensors.collect::<Result<_, String>>()?,
        })
    }

    /// What the student should have said for an output, in its shape.
    fn target(&self, output: &str, shape: &[usize]) -> Result<Tensor, String> {
        let tensor = self.of(output)?;
        if tensor.shape() != shape {
            return Err(format!(
                "output '{output}' of the teacher {} is {:?}, that of the student {shape:?}: the teacher must have the student's \
                 outputs, or teacherlabel labels=decoded",
                self.teacher,
                tensor.shape()
            ));
        }
        match tensor.dtype() {
            DType::F32 | DType::F64 => Ok(tensor.clone()),
            _ => Tensor::new(shape.to_vec(), tensor.to_f32_vec()).map_err(|e| e.to_string()),
        }
    }

    fn of(&self, output: &str) -> Result<&Tensor, String> {
        let found = self.tensors.iter().find(|(name, _)| name == output);
        found.map(|(_, tensor)| tensor).ok_or_else(|| {
            let names: Vec<&str> = self.tensors.iter().map(|(n, _)| n.as_str()).collect();
            format!(
                "the teacher {} has no output '{output}' of the student; it has {}. Should it have others, set teacherlabel \
                 labels=decoded",
                self.teacher,
                names.join(", ")
            )
        })
    }
}
