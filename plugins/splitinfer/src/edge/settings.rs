// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The properties of `splitinfer-edge`: what the user set, and how it reads in `gst-inspect-1.0`.

use std::time::Duration;

use gst::glib;
use gst::prelude::*;

use super::split::SplitSetting;
use super::{Objective, OnDeadline};
use crate::provider::ExecutionProvider;
use crate::weights::{DEFAULT_UPDATE_BITRATE, bytes_a_second};

const DEFAULT_LATENCY_BUDGET_MS: u32 = 200;
const DEFAULT_MAX_IN_FLIGHT: u32 = 4;
/// What this does to the objects of several models, docs/measurements/tensor-code.md says.
const DEFAULT_OUTPUT_ERROR_PCT: f32 = 1.0;

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
    pub(super) on_deadline: OnDeadline,
    pub(super) tensor_bits: u32,
    /// A share of the outputs' size; the property has it in percent.
    pub(super) output_error: f32,
    video_encoder: String,
    pub(super) max_in_flight: usize,
    update_bitrate: u32,
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
            tensor_bits: 0,
            output_error: DEFAULT_OUTPUT_ERROR_PCT / 100.0,
            video_encoder: AUTO.into(),
            max_in_flight: DEFAULT_MAX_IN_FLIGHT as usize,
            update_bitrate: DEFAULT_UPDATE_BITRATE,
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

    /// Of an update of the weights on its way to the server, in bytes a second.
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
            "tensor-bits" => self.tensor_bits.to_value(),
            "output-error" => (self.output_error * 100.0).to_value(),
            "video-encoder" => self.video_encoder.to_value(),
            "max-in-flight" => (self.max_in_flight as u32).to_value(),
            "update-bitrate" => self.update_bitrate.to_value(),
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

/// All properties, in the order in which a user meets them.
pub(super) fn properties() -> Vec<glib::ParamSpec> {
    [model(), network(), plan(), runtime(), vec![stats(), qos()]].concat()
}

fn string(name: &str, nick: &str, blurb: &str) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(blurb)
        .mutable_ready()
        .build()
}

fn model() -> Vec<glib::ParamSpec> {
    vec![
        string(
            "model",
            "Model",
            "ONNX file to run. How to feed and to read it is taken from MODEL.onnx.modelinfo or MODEL.modelinfo beside \
             it, or else recognised from the names and shapes of its inputs and outputs",
        ),
        glib::ParamSpecUInt::builder("inference-interval")
            .nick("Inference interval")
            .blurb("Infer on every n-th frame; the frames between pass without result")
            .minimum(1)
            .default_value(1)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("mirror-check")
            .nick("Mirror check")
            .blurb(
                "Also infer every n-th inferred frame mirrored, in the background; how well the two answers agree goes \
                 into the result of the next frame that leaves. 0: never",
            )
            .default_value(0)
            .mutable_ready()
            .build(),
    ]
}

fn network() -> Vec<glib::ParamSpec> {
    vec![
        string(
            "server",
            "Server",
            "host:port of a splitinfer-server, or several with commas between them, tried in that order. Unset: \
             everything runs here",
        ),
        string(
            "ca-file",
            "CA file",
            "PEM file with the certificate authorities that may have signed the server's certificate. This or \
             server-fingerprint is needed for any server that is not on this machine",
        ),
        string(
            "server-fingerprint",
            "Server fingerprint",
            "SHA-256 fingerprint of the server's certificate in hexadecimal, as splitinfer-server prints it when it starts",
        ),
        string(
            "auth-token",
            "Authentication token",
            "What the server asks for in its own auth-token property",
        ),
        string(
            "certificate-file",
            "Certificate file",
            "PEM certificate chain this edge shows to a server that has client-ca-file set",
        ),
        string(
            "private-key-file",
            "Private key file",
            "PEM private key of certificate-file",
        ),
        glib::ParamSpecUInt::builder("tensor-bits")
            .nick("Tensor bits")
            .blurb(
                "How finely the tensors that cross the network are quantised: 2 to 8 (as many levels within eight times \
                 the root mean square), 16, or 32 for exact values. 0: as output-error asks",
            )
            .maximum(32)
            .default_value(0)
            .mutable_playing()
            .build(),
        glib::ParamSpecFloat::builder("output-error")
            .nick("Output error")
            .blurb(
                "With tensor-bits=0: how much coding the tensors that cross the network may change the model's outputs, \
                 in percent of their size (Euclidean norms). Measured now and then in the background; less is finer and \
                 takes more bytes",
            )
            .minimum(0.01)
            .maximum(100.0)
            .default_value(DEFAULT_OUTPUT_ERROR_PCT)
            .mutable_playing()
            .build(),
        glib::ParamSpecString::builder("video-encoder")
            .nick("Video encoder")
            .blurb(
                "How the picture is coded where it goes to the server as a video: elements as gst-launch-1.0 takes them, that \
                 make H.264 from video/x-raw without holding a picture back, for example 'v4l2h264enc' or 'x264enc \
                 tune=zerolatency bitrate=800'; auto: x264enc or openh264enc; none: pictures are sent one by one only",
            )
            .default_value(Some(AUTO))
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("max-in-flight")
            .nick("Maximum in flight")
            .blurb("Frames inside the element at a time, those on their way to the server included")
            .minimum(1)
            .maximum(64)
            .default_value(DEFAULT_MAX_IN_FLIGHT)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("update-bitrate")
            .nick("Update bitrate")
            .blurb("Most that an update of the weights takes on its way to the server, in kbit/s (0: as much as goes)")
            .default_value(DEFAULT_UPDATE_BITRATE)
            .mutable_playing()
            .build(),
    ]
}

fn plan() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecString::builder("split")
            .nick("Split point")
            .blurb(
                "Where to cut the model: auto, edge (everything here), server (the picture is sent), server-video (likewise, as a video), or the name of a \
                 candidate's tensors or its number in the table that splitinfer-cuts prints",
            )
            .default_value(Some("auto"))
            .mutable_playing()
            .build(),
        string(
            "split-candidates",
            "Split candidates",
            "Names of the candidates to choose among, with commas between them. Unset: found from the graph",
        ),
        glib::ParamSpecUInt::builder("latency-budget")
            .nick("Latency budget")
            .blurb(
                "Milliseconds from the arrival of a frame to its result. A frame that the server has not answered in time \
                 is dealt with as on-deadline says",
            )
            .minimum(1)
            .maximum(60_000)
            .default_value(DEFAULT_LATENCY_BUDGET_MS)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("objective", Objective::default())
            .nick("Objective")
            .blurb("Which split to prefer among those that meet the latency budget")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("on-deadline", OnDeadline::default())
            .nick("On deadline")
            .blurb("What happens to a frame that the server has not answered within the latency budget")
            .mutable_playing()
            .build(),
    ]
}

fn runtime() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecUInt::builder("threads")
            .nick("Threads")
            .blurb(
                "Threads of ONNX Runtime for one operator. 0: as many as there are processor cores",
            )
            .maximum(1024)
            .default_value(0)
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default(
            "execution-provider",
            ExecutionProvider::default(),
        )
        .nick("Execution provider")
        .blurb("ONNX Runtime's execution provider; the installed ONNX Runtime has to contain it")
        .mutable_ready()
        .build(),
        glib::ParamSpecInt::builder("device")
            .nick("Device")
            .blurb("Number of the device that the execution provider uses")
            .minimum(0)
            .default_value(0)
            .mutable_ready()
            .build(),
    ]
}

fn stats() -> glib::ParamSpec {
    glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
        .nick("Statistics")
        .blurb(
            "Split, frames, where they were completed, latencies, bytes and the state of the link, since the element \
             started",
        )
        .read_only()
        .build()
}

fn qos() -> glib::ParamSpec {
    glib::ParamSpecBoolean::builder("qos")
        .nick("QoS")
        .blurb("Let frames that are late for the sink pass without inference")
        .default_value(true)
        .mutable_playing()
        .build()
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
