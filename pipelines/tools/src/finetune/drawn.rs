// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! True objects as what the student should have answered.

use super::goals::Goals;
use super::student::Student;
use super::truth::TrueObjects;
use anyhow::{Context, Result, bail};
use splitinfer_evaluate::Actual;
use splitinfer_runtime::{SessionOptions, probe};
use splitinfer_tensor::Tensor;
use splitinfer_vision::modelinfo::HeadKind;
use splitinfer_vision::{ModelInfo, Object, Placement, Targets};

/// Makes outputs of the student from objects.
pub(super) struct Drawn {
    info: ModelInfo,
    targets: Targets,
    /// Of each value wanted: the output that has it, and its shape.
    wanted: Vec<(String, Vec<usize>)>,
    /// The loss that is about the heatmap.
    heatmap: Option<usize>,
}

/// What an example of a picture wants.
pub(super) struct Answer {
    /// In the order of what is wanted.
    pub values: Vec<Tensor>,
    /// Of each loss, where its elements do not all count.
    pub weights: Vec<Option<Tensor>>,
}

impl Drawn {
    /// # Errors
    /// When the student's outputs cannot be made from objects, or a loss is about something else.
    pub fn new(student: &Student, goals: &Goals, options: &SessionOptions) -> Result<Self> {
        let (info, _) = student.pictures()?;
        let facts = probe(&student.model, options)?;
        let outputs = student.model.outputs().into_iter();
        let shapes: Vec<(String, Vec<usize>)> = outputs
            .filter_map(|o| Some((o.name.clone(), facts.get(&o.name)?.shape.clone())))
            .collect();
        let targets = Targets::new(info, &shapes).context("--truth")?;
        let made = targets.outputs();
        let wanted = goals.wanted.iter().map(|wanted| {
            let name = wanted.names.iter().map(|(name, _)| name);
            let known = |name: &&String| made.contains(&name.as_str());
            let Some(name) = name.into_iter().find(known) else {
                bail!(
                    "--truth: objects do not tell what {} should be, only what {} should; see --loss",
                    wanted.described(),
                    made.join(" and ")
                )
            };
            let shape = shapes.iter().find(|(n, _)| n == name);
            Ok(shape.context("an output has a shape")?.clone())
        });
        Ok(Self {
            wanted: wanted.collect::<Result<_>>()?,
            heatmap: heatmap_loss(info, goals),
            info: info.clone(),
            targets,
        })
    }

    /// Shape of a value wanted.
    pub fn shape(&self, wanted: usize) -> Vec<usize> {
        self.wanted[wanted].1.clone()
    }

    /// That the student can find something of what is true.
    ///
    /// # Errors
    /// When it knows none of the labels; the message names both sides'.
    pub fn check(&self, truth: &TrueObjects) -> Result<()> {
        let labels = truth.labels();
        if self.info.labels.is_empty() || self.info.labels.iter().any(|l| labels.contains(l)) {
            return Ok(());
        }
        bail!(
            "{}: its objects are {}, but the student knows {}; --map FROM=TO renames",
            truth.path.display(),
            Vec::from_iter(labels).join(", "),
            self.info.labels.join(", ")
        )
    }

    /// # Errors
    /// When an object has not the keypoints that the student answers.
    pub fn answer(&self, actual: &[Actual], placement: &Placement) -> Result<Answer> {
        let (ignored, true_): (Vec<&Actual>, Vec<&Actual>) = actual.iter().partition(|o| o.ignore);
        let objects: Vec<Object> = true_
            .into_iter()
            .filter_map(|o| self.object(o, placement))
            .collect();
        let mut others = objects.iter().map(|o| o.keypoints.len());
        if let Some(count) = self.targets.keypoints()
            && let Some(other) = others.find(|n| *n != count)
        {
            bail!("an object has {other} keypoints, the student answers {count}");
        }
        let made = self.targets.of(&objects);
        let values = self.wanted.iter().map(|(name, _)| {
            let found = made.iter().find(|(n, _)| n == name);
            found.map(|(_, t)| t.clone()).context("a target was made")
        });
        let values = values.collect::<Result<Vec<Tensor>>>()?;
        let mut weights = vec![None; self.wanted.len()];
        if let Some(loss) = self.heatmap {
            let boxes = ignored
                .iter()
                .map(|o| placement.box_to_picture(o.bbox.map(|v| v as f32)));
            weights[loss] = Some(self.targets.counting(&objects, &boxes.collect::<Vec<_>>()));
        }
        Ok(Answer { values, weights })
    }

    /// In pixels of the student's picture; `None` for what it cannot find.
    fn object(&self, actual: &Actual, placement: &Placement) -> Option<Object> {
        let class = match self.info.labels.is_empty() {
            true => 0,
            false => self.info.labels.iter().position(|l| *l == actual.label)?,
        };
        if self.info.head.kind == HeadKind::PoseHeatmaps && !actual.has_pose() {
            return None;
        }
        let keypoint = |k: &[f64; 3]| {
            let [x, y] = placement.point_to_picture([k[0] as f32, k[1] as f32]);
            [x, y, if k[2] > 0.0 { 1.0 } else { 0.0 }]
        };
        Some(Object {
            class: u32::try_from(class).ok()?,
            label: actual.label.clone(),
            score: 1.0,
            box_: placement.box_to_picture(actual.bbox.map(|v| v as f32)),
            keypoints: actual.keypoints.iter().map(keypoint).collect(),
            ..Object::default()
        })
    }
}

/// The loss whose target is the head's heatmap.
pub(super) fn heatmap_loss(info: &ModelInfo, goals: &Goals) -> Option<usize> {
    let heatmap = info.head.roles.get("heatmap")?;
    goals.goals.iter().position(|g| g.output == *heatmap)
}
