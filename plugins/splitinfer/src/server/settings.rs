// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What the user of a server sets.

use std::path::PathBuf;
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use splitinfer_runtime::{Provider, SessionOptions};

use super::station::Policy;
use crate::net::server::local_address;
use crate::provider::ExecutionProvider;
use crate::weights::{DEFAULT_UPDATE_BITRATE, bytes_a_second};

pub const DEFAULT_PORT: u16 = 5050;

/// The properties, as they stand before the element starts.
#[derive(Clone, Debug)]
pub struct Settings {
    pub address: String,
    pub port: u16,
    /// 0: any free one; `None`: no monitor.
    pub monitor_port: Option<u16>,
    pub model: Option<String>,
    pub accept_models: bool,
    pub accept_video: bool,
    pub certificate_file: Option<String>,
    pub private_key_file: Option<String>,
    pub client_ca_file: Option<String>,
    pub auth_token: Option<String>,
    pub max_clients: u32,
    pub max_tensor_bytes: u32,
    pub update_bitrate: u32,
    pub max_batch: u32,
    /// Milliseconds.
    pub batch_window: u32,
    pub threads: u32,
    pub provider: ExecutionProvider,
    pub device: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: "127.0.0.1".to_owned(),
            port: DEFAULT_PORT,
            monitor_port: Some(0),
            model: None,
            accept_models: false,
            accept_video: true,
            certificate_file: None,
            private_key_file: None,
            client_ca_file: None,
            auth_token: None,
            max_clients: 32,
            max_tensor_bytes: 64 << 20,
            update_bitrate: DEFAULT_UPDATE_BITRATE,
            max_batch: 8,
            batch_window: 0,
            threads: 0,
            provider: ExecutionProvider::default(),
            device: 0,
        }
    }
}

impl Settings {
    /// The paths in `model`.
    pub fn models(&self) -> Vec<PathBuf> {
        let list = self.model.as_deref().unwrap_or_default();
        list.split(',')
            .map(str::trim)
            .filter(|p| !p.is_empty())
            .map(PathBuf::from)
            .collect()
    }

    /// Whether edges may bring their models: where the user says so, and where no model is named and nobody but programs of
    /// this machine can connect, because else no edge could be served at all.
    pub fn takes_models(&self) -> bool {
        let alone = || {
            let address = local_address(&self.address, self.port);
            address.is_ok_and(|a| a.ip().to_canonical().is_loopback())
        };
        self.accept_models || (self.models().is_empty() && alone())
    }

    pub fn session_options(&self) -> SessionOptions {
        SessionOptions {
            threads: self.threads as usize,
            provider: self.provider.into(),
            device: self.device,
        }
    }

    /// Of an update of the weights on its way to an edge, in bytes a second.
    pub fn update_rate(&self) -> u64 {
        bytes_a_second(self.update_bitrate)
    }

    /// How far frames of several edges are computed together.
    pub fn policy(&self) -> Policy {
        // It makes an engine for each number of frames anew, which takes minutes.
        let fixed = matches!(self.provider.into(), Provider::TensorRt);
        Policy {
            most: if fixed { 1 } else { self.max_batch as usize },
            window: Duration::from_millis(self.batch_window.into()),
        }
    }

    /// Threads that compute: two, so that one decodes while the other runs a model, or as many as there are
    /// processors for models that use few.
    pub fn workers(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        match self.threads as usize {
            0 => 2,
            threads => (processors / threads).clamp(2, 16),
        }
    }
}

pub fn properties() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    let [provider, device] = ExecutionProvider::properties(
        "What ONNX Runtime computes with; all but cpu need a build of it with that provider",
    );
    vec![
        glib::ParamSpecString::builder("address")
            .nick("Address")
            .blurb("Address to listen on; one that other machines can reach needs auth-token or client-ca-file")
            .default_value(Some(defaults.address.as_str()))
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("port")
            .nick("Port")
            .blurb("UDP port to listen on (0: any free one, see current-port)")
            .maximum(u16::MAX.into())
            .default_value(defaults.port.into())
            .mutable_ready()
            .build(),
        glib::ParamSpecInt::builder("monitor-port")
            .nick("Monitor port")
            .blurb("UDP port, at the same address, on which the server answers the edges' small packets that measure the way (0: any free one; -1: none, then edges learn from their frames alone); name one where a firewall must let it through")
            .minimum(-1)
            .maximum(u16::MAX.into())
            .default_value(defaults.monitor_port.map_or(-1, i32::from))
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("current-port")
            .nick("Current port")
            .blurb("UDP port the server listens on now (0: it does not listen)")
            .maximum(u16::MAX.into())
            .read_only()
            .build(),
        glib::ParamSpecString::builder("fingerprint")
            .nick("Fingerprint")
            .blurb("SHA-256 fingerprint of the server's certificate, for the edges' server-fingerprint; known from READY on")
            .read_only()
            .build(),
        glib::ParamSpecString::builder("model")
            .nick("Model")
            .blurb("ONNX files that edges may use, or folders with them, comma separated; others are taken from edges if accept-models is set, or, where only programs of this machine can connect, if this is unset")
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("accept-models")
            .nick("Accept models")
            .blurb("Let edges upload models this server does not have; only for edges you trust, as a model can use any amount of memory and time")
            .default_value(defaults.accept_models)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("accept-video")
            .nick("Accept video")
            .blurb("Let edges send their pictures as H.264, which takes far fewer bytes than JPEG, where this machine has avdec_h264 or openh264dec; without it no video decoder reads what edges send")
            .default_value(defaults.accept_video)
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("certificate-file")
            .nick("Certificate file")
            .blurb("PEM certificate chain of this server (unset: a self-signed one, made once and kept in the user's data folder)")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("private-key-file")
            .nick("Private key file")
            .blurb("PEM private key of certificate-file")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("client-ca-file")
            .nick("Client CA file")
            .blurb("PEM certificates of the authorities that sign the certificates of edges; if set, edges without one are refused")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("auth-token")
            .nick("Authentication token")
            .blurb("Secret that every edge must have as its auth-token")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("max-clients")
            .nick("Maximum clients")
            .blurb("Edges served at once; others are told to come back later")
            .minimum(1)
            .maximum(10_000)
            .default_value(defaults.max_clients)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("max-tensor-bytes")
            .nick("Maximum tensor bytes")
            .blurb("Largest payload of a frame, and largest size of the tensors or picture it may decode to")
            .minimum(1024)
            .maximum(1 << 30)
            .default_value(defaults.max_tensor_bytes)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("update-bitrate")
            .nick("Update bitrate")
            .blurb("Most that an update of the weights takes on its way to an edge, in kbit/s (0: as much as goes)")
            .default_value(defaults.update_bitrate)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("max-batch")
            .nick("Maximum batch")
            .blurb("Most frames of several edges that are computed in one run of the model (rounded down to a power of two; 1: each by itself); how many are is measured, so that their results come sooner in the mean, for models whose operators keep frames apart; not with tensorrt")
            .minimum(1)
            .maximum(64)
            .default_value(defaults.max_batch)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("batch-window")
            .nick("Batch window")
            .blurb("Milliseconds that a frame waits for frames of other edges where computing them together has been measured to pay, as far as its deadline lets it (0: only frames that wait anyway, because the model is busy, are computed together)")
            .maximum(1000)
            .default_value(defaults.batch_window)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("threads")
            .nick("Threads")
            .blurb("ONNX Runtime's threads for one operator (0: one for each physical core)")
            .maximum(1024)
            .default_value(defaults.threads)
            .mutable_ready()
            .build(),
        provider,
        device,
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Figures of all edges together, and in 'clients' of each one that is connected")
            .read_only()
            .build(),
    ]
}

impl Settings {
    /// Sets one property.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        let text = || {
            value
                .get::<Option<String>>()
                .ok()
                .flatten()
                .filter(|t| !t.is_empty())
        };
        let number = || value.get::<u32>().unwrap_or_default();
        match name {
            "address" => self.address = text().unwrap_or_else(|| Self::default().address),
            "port" => self.port = u16::try_from(number()).unwrap_or(u16::MAX),
            "monitor-port" => self.monitor_port = u16::try_from(value.get().unwrap_or(-1)).ok(),
            "model" => self.model = text(),
            "accept-models" => self.accept_models = value.get().unwrap_or_default(),
            "accept-video" => self.accept_video = value.get().unwrap_or_default(),
            "certificate-file" => self.certificate_file = text(),
            "private-key-file" => self.private_key_file = text(),
            "client-ca-file" => self.client_ca_file = text(),
            "auth-token" => self.auth_token = text(),
            "max-clients" => self.max_clients = number(),
            "max-tensor-bytes" => self.max_tensor_bytes = number(),
            "update-bitrate" => self.update_bitrate = number(),
            "max-batch" => self.max_batch = number(),
            "batch-window" => self.batch_window = number(),
            "threads" => self.threads = number(),
            "execution-provider" => self.provider = value.get().unwrap_or_default(),
            "device" => self.device = value.get().unwrap_or_default(),
            _ => {}
        }
    }

    /// The value of one property, unless it is a read-only one.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "address" => self.address.to_value(),
            "port" => u32::from(self.port).to_value(),
            "monitor-port" => self.monitor_port.map_or(-1, i32::from).to_value(),
            "model" => self.model.to_value(),
            "accept-models" => self.accept_models.to_value(),
            "accept-video" => self.accept_video.to_value(),
            "certificate-file" => self.certificate_file.to_value(),
            "private-key-file" => self.private_key_file.to_value(),
            "client-ca-file" => self.client_ca_file.to_value(),
            "auth-token" => self.auth_token.to_value(),
            "max-clients" => self.max_clients.to_value(),
            "max-tensor-bytes" => self.max_tensor_bytes.to_value(),
            "update-bitrate" => self.update_bitrate.to_value(),
            "max-batch" => self.max_batch.to_value(),
            "batch-window" => self.batch_window.to_value(),
            "threads" => self.threads.to_value(),
            "execution-provider" => self.provider.to_value(),
            "device" => self.device.to_value(),
            _ => return None,
        })
    }
}
