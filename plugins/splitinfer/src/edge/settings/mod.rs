// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the user set.

mod properties;

use std::time::Duration;

use gst::glib;
use gst::prelude::*;

pub(super) use properties::properties;
use splitinfer_tensorcode::Predictive;

use super::split::SplitSetting;
use super::{IncompleteFrames, Objective, OnDeadline, SendFrames};
use crate::provider::ExecutionProvider;
use crate::weights::{DEFAULT_UPDATE_BITRATE, bytes_a_second};

const DEFAULT_LATENCY_BUDGET_MS: u32 = 200;
const DEFAULT_MAX_IN_FLIGHT: u32 = 4;
/// What this does to the objects of several models, docs/measurements/tensor-code.md says.
const DEFAULT_OUTPUT_ERROR_PCT: f32 = 2.0;

/// So that what is missing is the lesser part.
const DEFAULT_INCOMPLETE_SHARE_PCT: u32 = 50;

const AUTO: &str = "auto";

/// Whether pictures may go to the server as a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VideoWish<'a> {
    Never,
    /// Where there is an encoder that is known to be of use.
    IfPossible,
    /// By these elements.
    By(&'a str),
}

/// What the user set.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) model: Option<String>,
    pub(super) server: Option<String>,
    pub(super) split: SplitSetting,
    pub(super) split_candidates: Option<String>,
    pub(super) latency_budget: Duration,
    pub(super) objective: Objective,
    on_deadline: OnDeadline,
    pub(super) incomplete_frames: IncompleteFrames,
    incomplete_share: u32,
    pub(super) remote_only: bool,
    pub(super) raw_outputs: bool,
    pub(super) tensor_bits: u32,
    /// A share of the outputs' size; the property has it in percent.
    pub(super) output_error: f32,
    video_encoder: String,
    pub(super) max_in_flight: usize,
    update_bitrate: u32,
    pub(super) send_frames: SendFrames,
    pub(super) inference_interval: u64,
    pub(super) mirror_check: u64,
    pub(super) threads: usize,
    pub(super) execution_provider: ExecutionProvider,
    pub(super) device: i32,
    pub(super) ca_file: Option<String>,
    pub(super) server_fingerprint: Option<String>,
    pub(super) auth_token: Option<String>,
    pub(super) certificate_file: Option<String>,
    pub(super) private_key_file: Option<String>,
    pub(super) qos: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            server: None,
            split: SplitSetting::default(),
            split_candidates: None,
            latency_budget: Duration::from_millis(DEFAULT_LATENCY_BUDGET_MS.into()),
            objective: Objective::default(),
            on_deadline: OnDeadline::default(),
            incomplete_frames: IncompleteFrames::default(),
            incomplete_share: DEFAULT_INCOMPLETE_SHARE_PCT,
            remote_only: false,
            raw_outputs: false,
            tensor_bits: 0,
            output_error: DEFAULT_OUTPUT_ERROR_PCT / 100.0,
            video_encoder: AUTO.into(),
            max_in_flight: DEFAULT_MAX_IN_FLIGHT as usize,
            update_bitrate: DEFAULT_UPDATE_BITRATE,
            send_frames: SendFrames::default(),
            inference_interval: 1,
            mirror_check: 0,
            threads: 0,
            execution_provider: ExecutionProvider::default(),
            device: 0,
            ca_file: None,
            server_fingerprint: None,
            auth_token: None,
            certificate_file: None,
            private_key_file: None,
            qos: true,
        }
    }
}

impl Settings {
    /// The servers to try, in the order given.
    pub(super) fn servers(&self) -> Vec<String> {
        let list = self.server.as_deref().unwrap_or_default().split(',');
        list.map(str::trim)
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Whether the settings go together.
    ///
    /// # Errors
    /// One message for the bus.
    pub(super) fn check(&self) -> Result<(), gst::ErrorMessage> {
        let problem = match self.remote_only {
            true if self.servers().is_empty() => "there is no server: set the property 'server'",
            true if self.mirror_check > 0 => "mirror-check would run the model here: set it to 0",
            _ => return Ok(()),
        };
        Err(gst::error_msg!(
            gst::ResourceError::Settings,
            ("remote-only is set, and {problem}")
        ))
    }

    pub(super) fn on_deadline(&self) -> OnDeadline {
        match self.remote_only {
            true => OnDeadline::Skip,
            false => self.on_deadline,
        }
    }

    /// Of a frame's payload that the server must have to go on without the rest, in 1/1000.
    pub(super) fn least_permille(&self) -> u16 {
        u16::try_from(self.incomplete_share.min(100) * 10).unwrap_or(1000)
    }

    /// What becomes of frames while there is no server, for messages.
    pub(super) fn without_server(&self) -> &'static str {
        match self.remote_only {
            true => "frames pass without result",
            false => "frames are completed here",
        }
    }

    /// Of an update of the weights on its way to the server, in bytes a second.
    /// Of the tensors that cross.
    pub(super) fn encoder(&self) -> Predictive {
        let mut encoder = Predictive::default();
        encoder.set_parallel(self.threads != 1);
        encoder
    }

    pub(super) fn update_rate(&self) -> u64 {
        bytes_a_second(self.update_bitrate)
    }

    pub(super) fn video(&self) -> VideoWish<'_> {
        match self.video_encoder.trim() {
            _ if self.servers().is_empty() => VideoWish::Never,
            "none" => VideoWish::Never,
            AUTO | "" => VideoWish::IfPossible,
            elements => VideoWish::By(elements),
        }
    }

    /// Takes a property's new value.
    pub(super) fn set(&mut self, value: &glib::Value, pspec: &glib::ParamSpec) {
        match pspec.name() {
            "model" => self.model = text(value),
            "server" => self.server = text(value),
            "split" => {
                self.split = text(value).unwrap_or_default().parse().unwrap_or_default();
            }
            "split-candidates" => self.split_candidates = text(value),
            "latency-budget" => self.latency_budget = Duration::from_millis(uint(value).into()),
            "objective" => self.objective = value.get().unwrap_or_default(),
            "on-deadline" => self.on_deadline = value.get().unwrap_or_default(),
            "incomplete-frames" => self.incomplete_frames = value.get().unwrap_or_default(),
            "incomplete-share" => self.incomplete_share = uint(value),
            "remote-only" => self.remote_only = value.get().unwrap_or_default(),
            "raw-outputs" => self.raw_outputs = value.get().unwrap_or_default(),
            "tensor-bits" => self.tensor_bits = uint(value),
            "output-error" => {
                let percent = value.get().unwrap_or(DEFAULT_OUTPUT_ERROR_PCT);
                self.output_error = percent / 100.0;
            }
            "video-encoder" => {
                self.video_encoder = text(value).unwrap_or_else(|| AUTO.into());
            }
            "max-in-flight" => self.max_in_flight = uint(value) as usize,
            "update-bitrate" => self.update_bitrate = uint(value),
            "send-frames" => self.send_frames = value.get().unwrap_or_default(),
            "inference-interval" => self.inference_interval = uint(value).into(),
            "mirror-check" => self.mirror_check = uint(value).into(),
            "threads" => self.threads = uint(value) as usize,
            "execution-provider" => self.execution_provider = value.get().unwrap_or_default(),
            "device" => self.device = value.get().unwrap_or_default(),
            "ca-file" => self.ca_file = text(value),
            "server-fingerprint" => self.server_fingerprint = text(value),
            "auth-token" => self.auth_token = text(value),
            "certificate-file" => self.certificate_file = text(value),
            "private-key-file" => self.private_key_file = text(value),
            "qos" => self.qos = value.get().unwrap_or(true),
            _ => {}
        }
    }

    /// A property's value; `None` for properties that are not settings.
    pub(super) fn get(&self, pspec: &glib::ParamSpec) -> Option<glib::Value> {
        Some(match pspec.name() {
            "model" => self.model.to_value(),
            "server" => self.server.to_value(),
            "split" => self.split.to_string().to_value(),
            "split-candidates" => self.split_candidates.to_value(),
            "latency-budget" => (self.latency_budget.as_millis() as u32).to_value(),
            "objective" => self.objective.to_value(),
            "on-deadline" => self.on_deadline.to_value(),
            "incomplete-frames" => self.incomplete_frames.to_value(),
            "incomplete-share" => self.incomplete_share.to_value(),
            "remote-only" => self.remote_only.to_value(),
            "raw-outputs" => self.raw_outputs.to_value(),
            "tensor-bits" => self.tensor_bits.to_value(),
            "output-error" => (self.output_error * 100.0).to_value(),
            "video-encoder" => self.video_encoder.to_value(),
            "max-in-flight" => (self.max_in_flight as u32).to_value(),
            "update-bitrate" => self.update_bitrate.to_value(),
            "send-frames" => self.send_frames.to_value(),
            "inference-interval" => (self.inference_interval as u32).to_value(),
            "mirror-check" => (self.mirror_check as u32).to_value(),
            "threads" => (self.threads as u32).to_value(),
            "execution-provider" => self.execution_provider.to_value(),
            "device" => self.device.to_value(),
            "ca-file" => self.ca_file.to_value(),
            "server-fingerprint" => self.server_fingerprint.to_value(),
            "auth-token" => self.auth_token.to_value(),
            "certificate-file" => self.certificate_file.to_value(),
            "private-key-file" => self.private_key_file.to_value(),
            "qos" => self.qos.to_value(),
            _ => return None,
        })
    }
}

fn text(value: &glib::Value) -> Option<String> {
    let text: Option<String> = value.get().ok().flatten();
    text.filter(|s| !s.is_empty())
}

fn uint(value: &glib::Value) -> u32 {
    value.get().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_reads_back_as_it_was_set() {
        gst::init().unwrap();
        let mut settings = Settings::default();
        for pspec in properties().iter().filter(|p| p.name() != "stats") {
            assert!(
                pspec.blurb().is_some() && pspec.nick().len() > 1,
                "{}",
                pspec.name()
            );
            let value = match pspec.name() {
                "split" => "p3+p4".to_value(),
                _ if pspec.value_type() == String::static_type() => "text".to_value(),
                _ if pspec.value_type() == u32::static_type() => 3u32.to_value(),
                _ if pspec.value_type() == bool::static_type() => false.to_value(),
                _ => pspec.default_value().clone(),
            };
            settings.set(&value, pspec);
            let read = settings.get(pspec).unwrap();
            assert_eq!(
                format!("{read:?}"),
                format!("{value:?}"),
                "{}",
                pspec.name()
            );
        }
    }

    #[test]
    fn servers_are_a_list() {
        let settings = Settings {
            server: Some(" a:1, ,[::1]:2 ".into()),
            ..Settings::default()
        };
        assert_eq!(settings.servers(), ["a:1", "[::1]:2"]);
        assert!(Settings::default().servers().is_empty());
    }
}
