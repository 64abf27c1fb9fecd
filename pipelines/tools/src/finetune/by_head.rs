// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What suits the heads of detectors and poses whose outputs stand beside a heatmap.

use super::goals::WeighBy;
use splitinfer_trainer::Weighing;
use splitinfer_vision::ModelInfo;
use splitinfer_vision::modelinfo::{Activation, HeadKind};
use std::collections::BTreeSet;

/// Boxes and offsets mean something only where the heatmap shows something: of all classes, or of the joint itself.
pub(super) fn by_head(info: Option<&ModelInfo>) -> Vec<WeighBy> {
    let Some(head) = info.map(|i| &i.head) else {
        return vec![];
    };
    let how = match head.kind {
        HeadKind::Center => Weighing::Largest,
        HeadKind::PoseHeatmaps => Weighing::Each,
        _ => return vec![],
    };
    let Some(heatmap) = head
        .roles
        .get("heatmap")
        .filter(|_| head.activation == Activation::None)
    else {
        return vec![];
    };
    let weighed: BTreeSet<&String> = ["box", "offset"]
        .iter()
        .filter_map(|r| head.roles.get(*r))
        .collect();
    let by = weighed.into_iter().map(|tensor| WeighBy {
        tensor: Some(tensor.clone()),
        output: heatmap.clone(),
        how,
    });
    by.collect()
}
