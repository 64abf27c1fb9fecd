// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the element tells: messages and warnings on the bus, and the gate what came of a training.

use gst::prelude::*;
use splitinfer_quality::Training as Reported;
use splitinfer_trainer::Outcome;

use crate::report::Report;

/// The element, if it still is there.
pub(super) type Element = gst::glib::WeakRef<super::FineTune>;

pub(super) fn sink(element: &Element) -> Option<gst::Pad> {
    element.upgrade()?.static_pad("sink")
}

/// Tells the gate.
pub(super) fn report(element: &Element, training: Reported) {
    if let Some(pad) = sink(element) {
        pad.push_event(Report::Training(training).event());
    }
}

pub(super) fn message(what: &str, outcome: Option<Outcome>) -> gst::Structure {
    let mut structure = gst::Structure::builder("finetune")
        .field("outcome", what)
        .build();
    if let Some(
        Outcome::Accepted { before, after, .. }
        | Outcome::Recalled { before, after }
        | Outcome::Rejected { before, after, .. },
    ) = outcome
    {
        structure.set("loss-before", f64::from(before));
        structure.set("loss-after", f64::from(after));
    }
    if let Some(Outcome::Accepted { steps, .. } | Outcome::Rejected { steps, .. }) = outcome {
        structure.set("steps", steps as u64);
        structure.set("diverged", outcome.is_some_and(|o| o.diverged()));
    }
    structure
}

/// That a training ended early, and what became of it.
pub(super) fn diverged(outcome: &Outcome) -> String {
    let kept = match outcome.changed() {
        true => "the best weights before that are taken",
        false => "the weights stay",
    };
    format!(
        "a training diverged, its loss was no number any more: {kept}; lower 'learning-rate' if that happens again, and \
         see that the teacher's outputs are numbers"
    )
}

pub(super) fn post(element: &Element, structure: gst::Structure) {
    if let Some(element) = element.upgrade() {
        gst::info!(super::imp::CAT, obj = element, "{structure}");
        let message = gst::message::Element::builder(structure)
            .src(&element)
            .build();
        let _ = element.post_message(message);
    }
}

pub(super) fn warn(element: &Element, problem: &str) {
    if let Some(element) = element.upgrade() {
        gst::element_warning!(element, gst::StreamError::Failed, ("{problem}"));
    }
}
