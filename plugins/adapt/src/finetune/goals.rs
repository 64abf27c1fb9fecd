// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the student is to learn: losses, and which outputs of the teacher they are about.

use splitinfer_graph::Model;
use splitinfer_trainer::{
    DefaultLoss, LossTerm, Reduction, TrainError, Weighing, losses_by_output, parse_loss,
};
use splitinfer_vision::ModelInfo;
use splitinfer_vision::modelinfo::{Activation, HeadKind};

/// A loss, where its target comes from, and what weighs its elements.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    pub(super) term: LossTerm,
    /// Output of the teacher whose values are the target.
    pub(super) output: String,
    /// Output of the teacher that says where the loss counts.
    pub(super) weigh: Option<(String, Weighing)>,
}

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

/// Where a heatmap says what is where, the other outputs mean something only there.
fn by_default(defaults: Vec<DefaultLoss>, info: &ModelInfo) -> Vec<Goal> {
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
                Some((heatmap.clone(), how))
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
