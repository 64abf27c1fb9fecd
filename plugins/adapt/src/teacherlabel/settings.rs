// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The properties of `teacherlabel`.

use gst::glib;
use gst::prelude::*;
use splitinfer_runtime::SessionOptions;

use super::LabelKind;
use crate::provider::ExecutionProvider;

/// What the user set.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    model: Option<String>,
    server: Option<String>,
    /// For a server to answer, in milliseconds.
    pub(super) latency_budget: u32,
    ca_file: Option<String>,
    server_fingerprint: Option<String>,
    auth_token: Option<String>,
    certificate_file: Option<String>,
    private_key_file: Option<String>,
    pub(super) labels: LabelKind,
    /// Frames a second; 0: all.
    pub(super) max_rate: f64,
    pub(super) max_waiting: u32,
    threads: u32,
    execution_provider: ExecutionProvider,
    device: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            server: None,
            latency_budget: 10_000,
            ca_file: None,
            server_fingerprint: None,
            auth_token: None,
            certificate_file: None,
            private_key_file: None,
            labels: LabelKind::default(),
            max_rate: 0.0,
            max_waiting: 40,
            threads: 1,
            execution_provider: ExecutionProvider::default(),
            device: 0,
        }
    }
}

impl Settings {
    /// # Errors
    /// One message for the bus, when there is none.
    pub(super) fn model(&self) -> Result<&str, gst::ErrorMessage> {
        self.model.as_deref().ok_or_else(|| {
            gst::error_msg!(
                gst::ResourceError::Settings,
                ("no teacher: set the property 'model' to an ONNX file")
            )
        })
    }

    /// One, or several with commas between them.
    pub(super) fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Properties that `splitinfer-edge` has, too.
    pub(super) fn security(&self) -> [(&'static str, &Option<String>); 5] {
        [
            ("ca-file", &self.ca_file),
            ("server-fingerprint", &self.server_fingerprint),
            ("auth-token", &self.auth_token),
            ("certificate-file", &self.certificate_file),
            ("private-key-file", &self.private_key_file),
        ]
    }

    /// How the teacher uses the machine where it runs here.
    pub(super) fn session(&self) -> SessionOptions {
        SessionOptions {
            threads: self.threads as usize,
            provider: self.execution_provider.into(),
            device: self.device,
        }
    }

    /// Takes a property's new value; its type was checked.
    pub(super) fn set(&mut self, value: &glib::Value, pspec: &glib::ParamSpec) {
        match pspec.name() {
            "model" => self.model = text(value),
            "server" => self.server = text(value),
            "latency-budget" => self.latency_budget = value.get().unwrap_or(self.latency_budget),
            "ca-file" => self.ca_file = text(value),
            "server-fingerprint" => self.server_fingerprint = text(value),
            "auth-token" => self.auth_token = text(value),
            "certificate-file" => self.certificate_file = text(value),
            "private-key-file" => self.private_key_file = text(value),
            "labels" => self.labels = value.get().unwrap_or(self.labels),
            "max-rate" => self.max_rate = value.get().unwrap_or(self.max_rate),
            "max-waiting" => self.max_waiting = value.get().unwrap_or(self.max_waiting),
            "threads" => self.threads = value.get().unwrap_or(self.threads),
            "execution-provider" => self.execution_provider = value.get().unwrap_or_default(),
            "device" => self.device = value.get().unwrap_or_default(),
            _ => {}
        }
    }

    /// `None` for what is no setting.
    pub(super) fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "model" => self.model.to_value(),
            "server" => self.server.to_value(),
            "latency-budget" => self.latency_budget.to_value(),
            "ca-file" => self.ca_file.to_value(),
            "server-fingerprint" => self.server_fingerprint.to_value(),
            "auth-token" => self.auth_token.to_value(),
            "certificate-file" => self.certificate_file.to_value(),
            "private-key-file" => self.private_key_file.to_value(),
            "labels" => self.labels.to_value(),
            "max-rate" => self.max_rate.to_value(),
            "max-waiting" => self.max_waiting.to_value(),
            "threads" => self.threads.to_value(),
            "execution-provider" => self.execution_provider.to_value(),
            "device" => self.device.to_value(),
            _ => return None,
        })
    }
}

/// Empty is unset.
fn text(value: &glib::Value) -> Option<String> {
    let text: Option<String> = value.get().ok().flatten();
    text.filter(|s| !s.trim().is_empty())
}

pub(super) fn properties() -> Vec<glib::ParamSpec> {
    [labelling(), remote()].concat()
}

/// Where the teacher runs on a server.
fn remote() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    let string = |name: &str, nick: &str, blurb: &str| {
        glib::ParamSpecString::builder(name)
            .nick(nick)
            .blurb(blurb)
            .mutable_ready()
            .build()
    };
    vec![
        string(
            "server",
            "Server",
            "host:port of a splitinfer-server that runs the teacher, or several with commas between them, tried in that order. \
             Unset: it runs here",
        ),
        glib::ParamSpecUInt::builder("latency-budget")
            .nick("Latency budget")
            .blurb(
                "With a server: milliseconds that a frame may take to its labels, on the network and there. One that the server \
                 has not answered by then passes without labels",
            )
            .minimum(1)
            .maximum(60_000)
            .default_value(defaults.latency_budget)
            .mutable_ready()
            .build(),
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
            "PEM certificate chain to show to a server that has client-ca-file set",
        ),
        string(
            "private-key-file",
            "Private key file",
            "PEM private key of certificate-file",
        ),
    ]
}

fn labelling() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    let [provider, device] = ExecutionProvider::properties(
        "What ONNX Runtime computes with where the teacher runs here; all but cpu need a build of it with that provider",
    );
    vec![
        glib::ParamSpecString::builder("model")
            .nick("Teacher")
            .blurb("ONNX file of the teacher; its sidecar says how to feed and to read it")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("labels", defaults.labels)
            .nick("Labels")
            .blurb("What of the teacher the student learns: all it says, or the objects that it finds, which may be those of a quite different model")
            .mutable_ready()
            .build(),
        glib::ParamSpecDouble::builder("max-rate")
            .nick("Most frames a second")
            .blurb("So many frames a second of stream time are labelled at most, the others are dropped; frames that the canary drew always are labelled. 0: all")
            .minimum(0.0)
            .default_value(defaults.max_rate)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("max-waiting")
            .nick("Most frames that wait")
            .blurb("So many frames wait for the teacher; of more the oldest are dropped, so that nothing before this element ever waits")
            .minimum(1)
            .default_value(defaults.max_waiting)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("threads")
            .nick("Threads")
            .blurb("Threads that share the teacher's work where it runs here (0: one a physical core)")
            .default_value(defaults.threads)
            .mutable_ready()
            .build(),
        provider,
        device,
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Frames that came, were labelled and dropped, the share labelled, the time a label takes, the error of the last canary frame, and the state of the link to a server")
            .read_only()
            .build(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_reads_back_as_it_was_set() {
        gst::init().unwrap();
        let mut settings = Settings::default();
        for pspec in properties().iter().filter(|p| p.name() != "stats") {
            let value = match pspec.value_type() {
                t if t == String::static_type() => "text".to_value(),
                t if t == u32::static_type() => 3u32.to_value(),
                t if t == f64::static_type() => 0.25f64.to_value(),
                t if t == i32::static_type() => 1i32.to_value(),
                t if t == ExecutionProvider::static_type() => ExecutionProvider::Cuda.to_value(),
                _ => LabelKind::Decoded.to_value(),
            };
            settings.set(&value, pspec);
            let read = settings.get(pspec.name()).unwrap();
            assert_eq!(
                format!("{read:?}"),
                format!("{value:?}"),
                "{}",
                pspec.name()
            );
        }
    }
}
