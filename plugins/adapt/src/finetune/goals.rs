// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the student is to learn: losses, and which outputs of the teacher they are about.

use splitinfer_graph::Model;
use splitinfer_trainer::{
    DefaultLoss, Loss, LossTerm, Reduction, TrainError, Weighing, losses_by_output, parse_loss,
};
use splitinfer_vision::modelinfo::{Activation, HeadKind};
use splitinfer_vision::{Cells, ModelInfo};

/// A loss, where its target comes from, and what weighs its elements.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    pub(super) term: LossTerm,
    /// Output of the teacher whose values are the target.
    pub(super) output: String,
    /// What says where the loss counts.
    pub(super) weigh: Option<Weigh>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Weigh {
    /// An output of the teacher.
    By(String, Weighing),
    /// The target itself, of a detector that answers for each cell.
    Cells,
}

/// What a loss counts that is a mean over all cells, of which about one in a hundred finds something.
const CELLS_FACTOR: f64 = 100.0;

/// The losses that the user names, or those that suit the outputs.
///
/// # Errors
/// When one is none.
pub(super) fn goals(
    model: &Model,
    info: &ModelInfo,
    given: Option<&str>,
) -> Result<Vec<Goal>, TrainError> {
    let defaults = losses_by_output(model);
    let Some(given) = given else {
        return Ok(by_default(defaults, info));
    };
    let words = given.split(',').map(str::trim).filter(|w| !w.is_empty());
    words
        .map(|word| {
            let term = parse_loss(word)?;
            let about = defaults.iter().find(|d| d.term.tensor == term.tensor);
            Ok(Goal {
                output: about.map_or_else(|| term.tensor.clone(), |d| d.output.clone()),
                term,
                weigh: None,
            })
        })
        .collect()
}

fn by_default(defaults: Vec<DefaultLoss>, info: &ModelInfo) -> Vec<Goal> {
    match info.head.roles.get("output") {
        Some(output) if Cells::are_of(info) => vec![of_cells(output, info)],
        _ => of_maps(defaults, info),
    }
}

/// Boxes and what is in them in one output.
fn of_cells(output: &str, info: &ModelInfo) -> Goal {
    let (axis, first) = Cells::place_of_boxes(info);
    let loss = Loss::Boxes {
        axis,
        first,
        logits: info.head.activation == Activation::Sigmoid,
    };
    Goal {
        term: LossTerm {
            factor: CELLS_FACTOR,
            weighted: true,
            reduction: Reduction::WeightedMean,
            ..LossTerm::new(output, loss)
        },
        output: output.to_owned(),
        weigh: Some(Weigh::Cells),
    }
}

/// Where a heatmap says what is where, the other outputs mean something only there.
fn of_maps(defaults: Vec<DefaultLoss>, info: &ModelInfo) -> Vec<Goal> {
    let how = match info.head.kind {
        HeadKind::Center => Some(Weighing::Largest),
        HeadKind::PoseHeatmaps => Some(Weighing::Each),
        _ => None,
    };
    let role = |name: &str| info.head.roles.get(name);
    let plain = info.head.activation == Activation::None;
    let heatmap = role("heatmap").filter(|_| plain).cloned();
    let goal = |DefaultLoss { output, mut term }| {
        let weigh = match (&heatmap, how) {
            (Some(heatmap), Some(how)) if *heatmap == output => {
                term = how.on_heatmap(term);
                None
            }
            (Some(heatmap), Some(how))
                if [role("box"), role("offset")].contains(&Some(&output)) =>
            {
                term.weighted = true;
                term.reduction = Reduction::WeightedMean;
                Some(Weigh::By(heatmap.clone(), how))
            }
            _ => None,
        };
        Goal {
            term,
            output,
            weigh,
        }
    };
    defaults.into_iter().map(goal).collect()
}
