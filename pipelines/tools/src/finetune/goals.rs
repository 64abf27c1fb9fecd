// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is learned: losses, whose values each takes as target, and what weighs its elements.

use super::by_head::by_head;
use anyhow::{Result, bail};
use splitinfer_graph::Model;
use splitinfer_trainer::{
    DefaultLoss, Loss, LossTerm, Reduction, Weighing, loss_words, losses_by_output,
};
use splitinfer_vision::ModelInfo;
use std::str::FromStr;

/// An output that weighs the elements of losses, as a user names it: `[TENSOR=]OUTPUT[:each]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeighBy {
    /// The tensor whose loss is meant, or the output that the loss is about; `None`: all but the weighing one.
    pub tensor: Option<String>,
    pub output: String,
    pub how: Weighing,
}

impl FromStr for WeighBy {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (rest, how) = match text.strip_suffix(":each") {
            Some(rest) => (rest, Weighing::Each),
            None => (text, Weighing::Largest),
        };
        let (tensor, output) = match rest.split_once('=') {
            Some((tensor, output)) => (Some(tensor.to_owned()), output),
            None => (None, rest),
        };
        if output.is_empty() || tensor.as_deref() == Some("") {
            bail!("--weigh-by '{text}': it is written [TENSOR=]OUTPUT[:each], or none");
        }
        Ok(Self {
            tensor,
            output: output.to_owned(),
            how,
        })
    }
}

/// What makes probabilities of a teacher's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Squash {
    Not,
    Sigmoid,
    Softmax { axis: usize },
}

/// Values that every example must bring: in any of these tensors, the first there is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    /// With what a teacher's values of that tensor still have to go through.
    pub names: Vec<(String, Squash)>,
}

impl Wanted {
    pub fn described(&self) -> String {
        let names: Vec<String> = self.names.iter().map(|(n, _)| format!("'{n}'")).collect();
        names.join(" or ")
    }
}

/// A loss and where its target comes from.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    pub term: LossTerm,
    /// The output of the model that it is about.
    pub output: String,
    /// Place of the target among what is wanted, which is its own place.
    pub weigh: Option<(usize, Weighing)>,
}

/// All losses. The first values wanted are the targets, in order.
#[derive(Clone, Debug)]
pub(super) struct Goals {
    pub goals: Vec<Goal>,
    pub wanted: Vec<Wanted>,
}

impl Goals {
    /// The losses that were `given`, or those that suit the outputs; weighed as `by` says, or as suits the head.
    ///
    /// # Errors
    /// When `by` names a loss or an output that there is not.
    pub fn new(
        model: &Model,
        info: Option<&ModelInfo>,
        given: &[LossTerm],
        by: Option<&[WeighBy]>,
    ) -> Result<Self> {
        let defaults = losses_by_output(model);
        let terms: Vec<(LossTerm, Vec<(String, Squash)>)> = match given {
            [] => defaults
                .iter()
                .map(|d| (d.term.clone(), names_of_default(d)))
                .collect(),
            given => given
                .iter()
                .map(|t| (t.clone(), names(t, &defaults)))
                .collect(),
        };
        if terms.is_empty() {
            bail!("the model has no output of floats to attach a loss to");
        }
        let goals = terms.iter().map(|(term, names)| Goal {
            term: term.clone(),
            output: names[0].0.clone(),
            weigh: None,
        });
        let mut all = Self {
            goals: goals.collect(),
            wanted: terms
                .into_iter()
                .map(|(_, names)| Wanted { names })
                .collect(),
        };
        if given.is_empty() {
            all.raise_heatmap(info);
        }
        match by {
            Some(by) => all.weigh(by, model)?,
            None => all.weigh(&by_head(info), model)?,
        }
        Ok(all)
    }

    fn weigh(&mut self, by: &[WeighBy], model: &Model) -> Result<()> {
        let outputs: Vec<String> = model.outputs().into_iter().map(|o| o.name).collect();
        for by in by {
            if !outputs.contains(&by.output) {
                bail!(
                    "--weigh-by: the model has no output '{}'; it has {}",
                    by.output,
                    outputs.join(", ")
                );
            }
            let meant = |goal: &Goal| match &by.tensor {
                Some(tensor) => *tensor == goal.term.tensor || *tensor == goal.output,
                None => goal.output != by.output,
            };
            let chosen: Vec<usize> = (0..self.goals.len())
                .filter(|i| meant(&self.goals[*i]))
                .collect();
            if chosen.is_empty() && by.tensor.is_some() {
                bail!(
                    "--weigh-by: there is no loss on '{}'; the losses: {}",
                    by.tensor.as_deref().unwrap_or_default(),
                    self.words().join(", ")
                );
            }
            let place = self.want(&by.output);
            for i in chosen {
                self.goals[i].weigh = Some((place, by.how));
                self.weighted(i);
            }
        }
        Ok(())
    }

    /// Lets a nearly empty heatmap count as much as what stands beside it.
    fn raise_heatmap(&mut self, info: Option<&ModelInfo>) {
        let by = by_head(info);
        for goal in &mut self.goals {
            if let Some(by) = by.iter().find(|b| b.output == goal.output) {
                goal.term = by.how.on_heatmap(goal.term.clone());
            }
        }
    }

    /// The elements of a loss have weights of their own.
    pub fn weighted(&mut self, goal: usize) {
        self.goals[goal].term.weighted = true;
        self.goals[goal].term.reduction = Reduction::WeightedMean;
    }

    /// Place of an output's values.
    fn want(&mut self, output: &str) -> usize {
        let known = self.wanted.iter().position(|w| w.names[0].0 == output);
        known.unwrap_or_else(|| {
            self.wanted.push(Wanted {
                names: vec![(output.to_owned(), Squash::Not)],
            });
            self.wanted.len() - 1
        })
    }

    pub fn terms(&self) -> Vec<LossTerm> {
        self.goals.iter().map(|g| g.term.clone()).collect()
    }

    /// Each loss as it is written on the command line, and what is special about it.
    pub fn words(&self) -> Vec<String> {
        let words = self.goals.iter().map(|goal| {
            let mut text = loss_words(&goal.term);
            if goal.output != goal.term.tensor {
                text += &format!(" (target: {})", goal.output);
            }
            match goal.weigh {
                Some((by, how)) => {
                    let each = if how == Weighing::Each { ":each" } else { "" };
                    text += &format!(" weighed by {}{each}", self.wanted[by].names[0].0);
                }
                None if goal.term.weighted => text += " weighed by the data",
                None => {}
            }
            text
        });
        words.collect()
    }
}

fn names_of_default(default: &DefaultLoss) -> Vec<(String, Squash)> {
    let mut names = vec![(default.output.clone(), Squash::Not)];
    if default.output != default.term.tensor {
        names.push((default.term.tensor.clone(), squash(&default.term.loss)));
    }
    names
}

/// Losses of logits want probabilities: of the output that a sigmoid or softmax makes of the tensor, if there is one.
fn names(term: &LossTerm, defaults: &[DefaultLoss]) -> Vec<(String, Squash)> {
    let squash = squash(&term.loss);
    let after = defaults.iter().find(|d| {
        d.term.tensor == term.tensor
            && d.output != term.tensor
            && self::squash(&d.term.loss) != Squash::Not
    });
    match (squash, after) {
        (Squash::Not, _) | (_, None) => vec![(term.tensor.clone(), squash)],
        (_, Some(after)) => vec![
            (after.output.clone(), Squash::Not),
            (term.tensor.clone(), squash),
        ],
    }
}

fn squash(loss: &Loss) -> Squash {
    match *loss {
        Loss::BinaryCrossEntropyWithLogits | Loss::FocalWithLogits => Squash::Sigmoid,
        Loss::CrossEntropy { axis } | Loss::KullbackLeibler { axis } => Squash::Softmax { axis },
        _ => Squash::Not,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuts::load::sized;
    use std::path::Path;

    fn shipped(name: &str, losses: &[&str], by: Option<&[WeighBy]>) -> Result<Goals> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../models")
            .join(name);
        let sized = sized(&path, &[])?;
        let losses: Vec<LossTerm> = losses
            .iter()
            .map(|l| splitinfer_trainer::parse_loss(l).unwrap())
            .collect();
        Goals::new(&sized.model, Some(&sized.info?.0), &losses, by)
    }

    #[test]
    fn boxes_and_offsets_of_the_shipped_models_count_where_the_heatmap_shows_something() {
        let traffic = shipped("traffic-student.onnx", &[], None).unwrap();
        assert_eq!(
            traffic.words(),
            [
                "heatmap_logits=focal*400 (target: heatmap)",
                "box=huber:1 weighed by heatmap"
            ]
        );
        let walker = shipped("walker-student.onnx", &[], None).unwrap();
        assert!(
            walker.words()[1].ends_with("weighed by heatmap:each"),
            "{:?}",
            walker.words()
        );
    }

    #[test]
    fn who_says_none_gets_no_weights_and_who_gives_losses_gets_those() {
        let goals = shipped("traffic-student.onnx", &["box=mse*2"], Some(&[])).unwrap();
        assert_eq!(goals.words(), ["box=mse*2"]);
        assert_eq!(goals.wanted.len(), 1);
    }

    #[test]
    fn a_loss_of_logits_takes_the_probabilities_of_the_output_after_them() {
        let goals = shipped(
            "traffic-student.onnx",
            &["heatmap_logits=bce-logits"],
            Some(&[]),
        )
        .unwrap();
        let names = &goals.wanted[0].names;
        assert_eq!(names[0], ("heatmap".to_owned(), Squash::Not));
        assert_eq!(names[1], ("heatmap_logits".to_owned(), Squash::Sigmoid));
        let raw = shipped("traffic-student.onnx", &["heatmap_logits=mse"], Some(&[])).unwrap();
        assert_eq!(
            raw.wanted[0].names,
            [("heatmap_logits".to_owned(), Squash::Not)]
        );
    }

    #[test]
    fn what_weighs_must_exist_and_have_something_to_weigh() {
        let by = |text: &str| [text.parse::<WeighBy>().unwrap()];
        let error = |text| {
            shipped("traffic-student.onnx", &[], Some(&by(text)))
                .unwrap_err()
                .to_string()
        };
        assert!(
            error("score").contains("it has heatmap, box"),
            "{}",
            error("score")
        );
        assert!(
            error("size=heatmap").contains("no loss on 'size'"),
            "{}",
            error("size=heatmap")
        );
        assert!("=x".parse::<WeighBy>().is_err() && "x=:each".parse::<WeighBy>().is_err());
    }
}
