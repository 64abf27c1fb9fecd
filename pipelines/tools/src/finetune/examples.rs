// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From sources to samples: inputs and targets in the form that the trainer takes.

use super::arrays::{Array, Arrays, converted};
use super::data::{Source, held_back, weights_of};
use super::drawn::Answer;
use super::goals::Goals;
use super::note;
use super::pictures;
use super::plan::Plan;
use super::truth::TrueObjects;
use crate::progress::Progress;
use anyhow::{Context, Result, bail};
use splitinfer_evaluate::Actual;
use splitinfer_runtime::sample;
use splitinfer_tensor::{DType, Tensor};
use splitinfer_trainer::{Sample, Trainer};
use splitinfer_vision::{Frame, Placement, Preprocessor};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What is trained on and what is judged by.
#[derive(Default)]
pub(super) struct Examples {
    pub training: Vec<Sample>,
    pub held_back: Vec<Sample>,
}

/// Makes samples for one trainer.
pub(super) struct Maker<'a> {
    plan: &'a mut Plan,
    trainer: &'a Trainer,
    /// Name, type and shape of the model's inputs.
    inputs: Vec<(String, DType, Vec<usize>)>,
    /// Shape and type of each target.
    targets: Vec<(Vec<usize>, DType)>,
    stop: &'a AtomicBool,
}

impl<'a> Maker<'a> {
    /// # Errors
    /// When an input of the model has no fixed shape.
    pub fn new(plan: &'a mut Plan, trainer: &'a Trainer, stop: &'a AtomicBool) -> Result<Self> {
        let mut inputs = Vec::new();
        for input in plan.student.model.inputs() {
            let like = sample(&input, 0)?;
            inputs.push((input.name, like.dtype(), like.shape().to_vec()));
        }
        let shapes = trainer.target_shapes().map(<[usize]>::to_vec);
        let targets = shapes.zip(trainer.target_types()).collect();
        Ok(Self {
            plan,
            trainer,
            inputs,
            targets,
            stop,
        })
    }

    /// That what a teacher or the truth gives is what the student should.
    ///
    /// # Errors
    /// When a shape differs; the message names both.
    pub fn check_answers(&self) -> Result<()> {
        if let Some(drawn) = &self.plan.drawn {
            check_weighing(&self.plan.goals, &self.targets, |i| drawn.shape(i))?;
        }
        let Some(teacher) = &self.plan.teacher else {
            return Ok(());
        };
        for (i, (shape, _)) in self.targets.iter().enumerate() {
            teacher.check(i, &self.plan.goals.wanted[i], shape)?;
        }
        check_weighing(&self.plan.goals, &self.targets, |i| {
            teacher.shapes()[i].clone()
        })
    }

    /// All examples of all sources; of each its own share is held back.
    ///
    /// # Errors
    /// When a source cannot be read or does not fit, or when the user wants no more.
    pub fn examples(&mut self, sources: &[Source], share: f64, most: usize) -> Result<Examples> {
        let mut examples = Examples::default();
        for source in sources {
            let samples = match source {
                Source::Arrays { path, .. } => self.arrays(path)?,
                Source::Pictures { path, files, truth } => {
                    self.pictures(path, files, truth.as_deref(), most)?
                }
            };
            let back = held_back(samples.len(), share, source.are_pictures());
            for (sample, back) in samples.into_iter().zip(back) {
                match back {
                    true => examples.held_back.push(sample),
                    false => examples.training.push(sample),
                }
            }
        }
        Ok(examples)
    }

    fn arrays(&self, path: &Path) -> Result<Vec<Sample>> {
        let mut arrays = Arrays::open(path)?;
        let mut inputs = Vec::new();
        for (name, _, shape) in &self.inputs {
            let array = arrays.first(
                [name.as_str()].into_iter(),
                &format!("'{name}', an input of the model"),
            )?;
            array.check_shape(shape, &format!("input '{name}'"))?;
            inputs.push(array);
        }
        let (mut values, mut weights) = (Vec::new(), Vec::new());
        for (i, wanted) in self.plan.goals.wanted.iter().enumerate() {
            let names = wanted.names.iter().map(|(n, _)| n.as_str());
            let array = arrays.first(names, &format!("{} (a target)", wanted.described()))?;
            if let Some((shape, _)) = self.targets.get(i) {
                array.check_shape(shape, &format!("a target of {}", wanted.described()))?;
                weights.push(given_weights(&mut arrays, &self.plan.goals, i, shape)?);
            }
            values.push(array);
        }
        check_weighing(&self.plan.goals, &self.targets, |i| {
            values[i].example_shape()
        })?;
        let all = || inputs.iter().chain(&values).chain(weights.iter().flatten());
        let count = inputs.first().context("the model has no input")?.examples();
        all().try_for_each(|a| a.check_examples(count))?;
        if count == 0 {
            bail!("{}: it holds no example", path.display());
        }
        let sample = |i| {
            self.go_on()?;
            self.array_sample(i, &inputs, &values, &weights)
                .with_context(|| format!("{}: example {i} (from 0)", path.display()))
        };
        (0..count).map(sample).collect()
    }

    fn array_sample(
        &self,
        i: usize,
        inputs: &[Array],
        values: &[Array],
        weights: &[Option<Array>],
    ) -> Result<Sample> {
        let of_input = |(array, (_, dtype, shape)): (&Array, &(_, DType, Vec<usize>))| {
            array.example(i, shape, *dtype)
        };
        let inputs: Vec<Tensor> = inputs
            .iter()
            .zip(&self.inputs)
            .map(of_input)
            .collect::<Result<_>>()?;
        let of_value = |(k, array): (usize, &Array)| match self.targets.get(k) {
            Some((shape, dtype)) => array.example(i, shape, *dtype),
            None => array.example(i, &array.example_shape(), DType::F32),
        };
        let values = values
            .iter()
            .enumerate()
            .map(of_value)
            .collect::<Result<Vec<_>>>()?;
        let given = weights
            .iter()
            .zip(&self.targets)
            .map(|(array, (shape, dtype))| {
                let array = array.as_ref();
                array.map(|a| a.example(i, shape, *dtype)).transpose()
            });
        let given = given.collect::<Result<Vec<_>>>()?;
        self.sample(&inputs, values, given)
    }

    /// Examples of the pictures that somebody knows something of.
    fn pictures(
        &mut self,
        path: &Path,
        files: &[PathBuf],
        truth: Option<&TrueObjects>,
        most: usize,
    ) -> Result<Vec<Sample>> {
        let (info, _) = self.plan.student.pictures()?;
        let mut preprocessor = Preprocessor::new(info);
        let progress = Progress::new();
        progress.say(&path.display().to_string());
        progress.expect(if files.len() > 1 { files.len() } else { most });
        let (mut samples, mut unknown) = (Vec::new(), 0);
        for (place, file) in files.iter().enumerate() {
            let own = pictures::is_picture(file).then_some(file.as_path());
            pictures::frames(file, most, |number, frame| {
                self.go_on()?;
                progress.step();
                let (picture, placement) = preprocessor.picture(frame)?;
                let place = own.map_or(number, |_| place as u64);
                let answer = match truth {
                    None => Some(self.teacher_says(frame)?),
                    Some(truth) => self.truth_says(truth.on(own, place), &placement)?,
                };
                let Some(answer) = answer else {
                    unknown += 1;
                    return Ok(());
                };
                let input = preprocessor.tensor(&picture)?;
                let sample = self.sample(&[input], answer.values, answer.weights);
                samples.push(sample.with_context(|| file.display().to_string())?);
                Ok(())
            })?;
        }
        match (truth, unknown) {
            (Some(truth), unknown) if samples.is_empty() => bail!(
                "{} says nothing about any of the {unknown} pictures of {}: numbers count from 0, names are those of the \
                 files",
                truth.path.display(),
                path.display()
            ),
            (Some(truth), 1..) => note(&format!(
                "{}: {unknown} of {} pictures are not in {}: they are left out",
                path.display(),
                samples.len() + unknown,
                truth.path.display()
            )),
            _ => {}
        }
        Ok(samples)
    }

    fn teacher_says(&mut self, frame: &Frame<'_>) -> Result<Answer> {
        let teacher = self.plan.teacher.as_mut();
        Ok(Answer {
            values: teacher
                .context("pictures without a teacher")?
                .answers(frame)?,
            weights: vec![None; self.targets.len()],
        })
    }

    fn truth_says(
        &self,
        actual: Option<Vec<Actual>>,
        placement: &Placement,
    ) -> Result<Option<Answer>> {
        let Some(actual) = actual else {
            return Ok(None);
        };
        let drawn = self.plan.drawn.as_ref();
        let mut answer = drawn
            .context("truth without targets")?
            .answer(&actual, placement)?;
        answer.weights.resize(self.targets.len(), None);
        Ok(Some(answer))
    }

    /// `values`: in the order of what is wanted. `given`: weights that the data brought.
    fn sample(
        &self,
        inputs: &[Tensor],
        values: Vec<Tensor>,
        mut given: Vec<Option<Tensor>>,
    ) -> Result<Sample> {
        for (i, goal) in self.plan.goals.goals.iter().enumerate() {
            let (shape, dtype) = &self.targets[i];
            if let (Some((by, how)), None) = (goal.weigh, &given[i]) {
                given[i] = Some(how.weights(&values[by], shape)?);
            }
            given[i] = given[i].take().map(|weights| converted(weights, *dtype));
        }
        let targets = values
            .into_iter()
            .zip(&self.targets)
            .map(|(v, (_, dtype))| converted(v, *dtype));
        let sample = Sample {
            inputs: self.trainer.features(&inputs.iter().collect::<Vec<_>>())?,
            targets: targets.collect(),
            weights: given,
        };
        match sample.is_finite() {
            true => Ok(sample),
            false => bail!("an input, a target or a weight holds values that are no numbers"),
        }
    }

    fn go_on(&self) -> Result<()> {
        match self.stop.load(Ordering::Relaxed) {
            true => bail!("stopped before the training began"),
            false => Ok(()),
        }
    }
}

/// Weights of a loss's elements that an archive brings.
fn given_weights(
    arrays: &mut Arrays,
    goals: &Goals,
    i: usize,
    shape: &[usize],
) -> Result<Option<Array>> {
    let names = goals.wanted[i].names.iter().map(|(n, _)| weights_of(n));
    let Some(name) = names.into_iter().find(|n| arrays.names.contains(n)) else {
        return Ok(None);
    };
    let array = arrays.read(&name)?;
    array.check_shape(
        shape,
        &format!("the loss on '{}'", goals.goals[i].term.tensor),
    )?;
    Ok(Some(array))
}

/// That what weighs losses can weigh them.
fn check_weighing(
    goals: &Goals,
    targets: &[(Vec<usize>, DType)],
    shape: impl Fn(usize) -> Vec<usize>,
) -> Result<()> {
    for (goal, (weighed, _)) in goals.goals.iter().zip(targets) {
        if let Some((by, how)) = goal.weigh {
            how.check(&shape(by), weighed).with_context(|| {
                format!(
                    "--weigh-by {} for the loss on '{}'",
                    goals.wanted[by].described(),
                    goal.term.tensor
                )
            })?;
        }
    }
    Ok(())
}
