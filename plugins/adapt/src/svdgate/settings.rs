// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The properties of `svdgate`.

use super::GateMetric;
use gst::glib;
use gst::prelude::*;
use splitinfer_quality as quality;

/// What the user set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) window: u32,
    /// 0: learnt.
    pub(super) rank: u32,
    /// 0: the metric's own, or learnt.
    pub(super) threshold: f64,
    pub(super) metric: GateMetric,
    pub(super) cooldown: u32,
    pub(super) canary_rate: f64,
    /// 0: never.
    pub(super) canary_batch: u32,
    /// 0: another each time.
    pub(super) seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: 20,
            rank: 0,
            threshold: 0.0,
            metric: GateMetric::default(),
            cooldown: 50,
            canary_rate: 0.02,
            canary_batch: 12,
            seed: 0,
        }
    }
}

impl Settings {
    /// Whether it is left to the watch for drift what is learnt from: the combined score tells how likely an answer is wrong, but
    /// not what is usual in a scene, nor whether learning would help.
    fn watches_drift(&self) -> bool {
        self.metric == GateMetric::Combined && self.threshold <= 0.0
    }

    /// `usual`: from where on a window is worse than usual in the scene, if that is known.
    pub(super) fn gate(&self, usual: Option<f64>) -> quality::Settings {
        let threshold = (self.threshold > 0.0).then_some(self.threshold);
        quality::Settings {
            window: self.window as usize,
            metric: match self.metric {
                GateMetric::RelativeError => quality::Metric::RelativeError,
                GateMetric::EffectiveRank => quality::Metric::EffectiveRank,
                GateMetric::ScaledResidual => quality::Metric::ScaledResidual,
                GateMetric::Combined => quality::Metric::Combined,
            },
            rank: (self.rank > 0).then_some(self.rank as usize),
            threshold: threshold.or(usual.filter(|_| self.watches_drift())),
            gates: !self.watches_drift(),
            cooldown: self.cooldown.into(),
        }
    }

    pub(super) fn drift(&self) -> quality::DriftSettings {
        quality::DriftSettings {
            rate: self.canary_rate,
            window: self.window as usize,
            cooldown: self.cooldown.into(),
            signs: self.watches_drift(),
            batch: self.canary_batch as usize,
        }
    }

    /// Takes a property's new value; its type was checked.
    pub(super) fn set(&mut self, value: &glib::Value, pspec: &glib::ParamSpec) {
        match pspec.name() {
            "window" => self.window = value.get().unwrap_or(self.window),
            "rank" => self.rank = value.get().unwrap_or(self.rank),
            "threshold" => self.threshold = value.get().unwrap_or(self.threshold),
            "metric" => self.metric = value.get().unwrap_or(self.metric),
            "cooldown" => self.cooldown = value.get().unwrap_or(self.cooldown),
            "canary-rate" => self.canary_rate = value.get().unwrap_or(self.canary_rate),
            "canary-batch" => self.canary_batch = value.get().unwrap_or(self.canary_batch),
            "seed" => self.seed = value.get().unwrap_or(self.seed),
            _ => {}
        }
    }

    /// `None` for what is no setting.
    pub(super) fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "window" => self.window.to_value(),
            "rank" => self.rank.to_value(),
            "threshold" => self.threshold.to_value(),
            "metric" => self.metric.to_value(),
            "cooldown" => self.cooldown.to_value(),
            "canary-rate" => self.canary_rate.to_value(),
            "canary-batch" => self.canary_batch.to_value(),
            "seed" => self.seed.to_value(),
            _ => return None,
        })
    }
}

pub(super) fn properties() -> Vec<glib::ParamSpec> {
    let default = Settings::default();
    let mut properties = gate(&default);
    properties.extend([
        glib::ParamSpecUInt::builder("cooldown")
            .nick("Cool-down")
            .blurb("Frames after a gated window on which no other window is gated, and after learning that brought little in which it does not begin again; those double each time in a row")
            .default_value(default.cooldown)
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder("canary-rate")
            .nick("Canary rate")
            .blurb(
                "Share of the frames that go to the adapt pad for the teacher to say how wrong the student was, so that mistakes \
                 are noticed that no score of predictions alone can see; while there is doubt up to as many again. 0: the \
                 teacher is not asked before something is learnt",
            )
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default.canary_rate)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("canary-batch")
            .nick("Canary batch")
            .blurb(
                "Frames that the teacher looked at by rule from which the student learns together though nothing is wrong; twice \
                 as many after each time that it brought nothing. 0: never",
            )
            .default_value(default.canary_batch)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder("seed")
            .nick("Seed")
            .blurb("Of the random choice of the frames that the teacher looks at; 0: another one each time the element starts")
            .default_value(default.seed)
            .mutable_ready()
            .build(),
        glib::ParamSpecDouble::builder("quality")
            .nick("Quality")
            .blurb("The lowest quality of an object on the last frame, 0 to 1; -1 where none is known")
            .minimum(-1.0)
            .maximum(1.0)
            .default_value(-1.0)
            .read_only()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Frames, windows, what was gated, sent and dropped, and what was learnt, since the element started")
            .read_only()
            .build(),
    ]);
    properties
}

fn gate(default: &Settings) -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecUInt::builder("window")
            .nick("Window")
            .blurb("T: frames of a window; windows of an object overlap by half")
            .minimum(4)
            .maximum(256)
            .default_value(default.window)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("rank")
            .nick("Rank")
            .blurb(
                "r: how many patterns of motion are no sign of a mistake, for the metrics relative-error and \
                 scaled-residual. 0: chosen from the first windows that seem good",
            )
            .maximum(256)
            .default_value(default.rank)
            .mutable_playing()
            .build(),
        glib::ParamSpecDouble::builder("threshold")
            .nick("Threshold")
            .blurb(
                "Epsilon: a window that scores above it is bad and gated. 0: learnt from the first windows that seem good, until \
                 when nothing is gated; with the metric combined learnt from what is usual in the scene, and what is learnt from \
                 is then decided by the teacher's look at a few frames",
            )
            .minimum(0.0)
            .default_value(default.threshold)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("metric", default.metric)
            .nick("Metric")
            .blurb("What a window is scored by")
            .mutable_playing()
            .build(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_reads_back_as_it_was_set_and_says_what_it_is() {
        gst::init().unwrap();
        let mut settings = Settings::default();
        for pspec in properties() {
            assert!(
                pspec.blurb().is_some_and(|b| b.len() > 10),
                "{}",
                pspec.name()
            );
            let value = match pspec.name() {
                "window" | "rank" | "cooldown" | "canary-batch" => 7u32.to_value(),
                "threshold" | "canary-rate" => 0.25f64.to_value(),
                "seed" => 7u64.to_value(),
                "metric" => GateMetric::EffectiveRank.to_value(),
                _ => continue,
            };
            settings.set(&value, &pspec);
            let read = settings.get(pspec.name()).unwrap();
            assert_eq!(format!("{read:?}"), format!("{value:?}"));
        }
        assert_eq!(settings.gate(None).rank, Some(7));
        assert_eq!(Settings::default().gate(None).threshold, None);
    }
}
