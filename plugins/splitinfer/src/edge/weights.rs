// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! New weights as the element sees them: the event that brings them, and what the application is told.

use gst::prelude::*;
use gst::subclass::prelude::*;
use splitinfer_meta::{WeightsEventError, WeightsUpdate, weights_missing_event};
use splitinfer_weights::UpdateError;
use splitinfer_wire::WeightsCode;

use super::imp::SplitInferEdge;
use super::swap::{Element, Rejected, Report};
use crate::weights::{code, reason};

impl SplitInferEdge {
    /// An event of downstream with new weights. `true` if they were taken for work; one for another model goes on to
    /// whoever is upstream.
    pub(super) fn weights_event(
        &self,
        pad: &gst::Pad,
        event: gst::Event,
        update: Result<WeightsUpdate, WeightsEventError>,
    ) -> bool {
        let Some(started) = self.started() else {
            return false;
        };
        let taken = update
            .map_err(|e| ("damaged", e.to_string(), None))
            .and_then(|update| {
                let version = Some(update.version);
                let taken = started.swap.take(&update);
                taken.map_err(|e| match e {
                    Rejected::Update(UpdateError::WrongBase { .. }) => {
                        ("wrong-base", e.to_string(), version)
                    }
                    Rejected::Update(ref problem) => {
                        (reason(code(problem)), e.to_string(), version)
                    }
                    Rejected::TooMany => ("busy", e.to_string(), version),
                })
            });
        let Err((reason, text, version)) = taken else {
            return true;
        };
        if reason == "wrong-base" && gst::Pad::event_default(pad, Some(&*self.obj()), event) {
            return true;
        }
        self.refused(reason, &text, version);
        false
    }

    /// The element's side of a swap.
    pub(super) fn swap_element(&self) -> Element {
        let (for_reports, for_rate) = (self.downgrade(), self.downgrade());
        Element {
            tell: Box::new(move |report| {
                if let Some(imp) = for_reports.upgrade() {
                    imp.swap_report(report);
                }
            }),
            rate: Box::new(move || {
                let imp = for_rate.upgrade();
                imp.map_or(0, |imp| imp.update_rate())
            }),
        }
    }

    /// On the thread that prepares versions.
    fn swap_report(&self, report: Report) {
        match report {
            Report::Swapped(swapped) => {
                gst::info!(
                    super::imp::CAT,
                    imp = self,
                    "version {} → {} of the weights",
                    swapped.old,
                    swapped.new
                );
                self.count(|stats| stats.swapped(&swapped));
                self.post(swapped.to_structure());
            }
            Report::Refused(refused) => {
                if refused.code == WeightsCode::Missing {
                    self.srcpad.push_event(weights_missing_event());
                }
                self.refused(reason(refused.code), &refused.text, refused.version);
            }
            Report::Alone(text) => {
                gst::element_imp_warning!(self, gst::ResourceError::Write, ("{text}"));
            }
        }
    }

    fn refused(&self, reason: &str, text: &str, version: Option<u64>) {
        self.count(|stats| stats.refused_update());
        gst::element_imp_warning!(
            self,
            gst::StreamError::Failed,
            ("new weights are not taken: {text}")
        );
        let mut structure = gst::Structure::builder("splitinfer-weights-refused")
            .field("reason", reason)
            .field("text", text)
            .build();
        structure.set_if_some("version", version);
        self.post(structure);
    }

    fn post(&self, structure: gst::Structure) {
        let message = gst::message::Element::builder(structure).src(&*self.obj());
        let _ = self.obj().post_message(message.build());
    }
}
