// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The element's properties as `gst-inspect-1.0` shows them.

use gst::glib;
use gst::prelude::*;

use super::{
    AUTO, DEFAULT_INCOMPLETE_SHARE_PCT, DEFAULT_LATENCY_BUDGET_MS, DEFAULT_MAX_IN_FLIGHT,
    DEFAULT_OUTPUT_ERROR_PCT,
};
use crate::edge::{IncompleteFrames, Objective, OnDeadline, SendFrames};
use crate::provider::ExecutionProvider;
use crate::weights::DEFAULT_UPDATE_BITRATE;

/// All properties, in the order in which a user meets them.
pub(in crate::edge) fn properties() -> Vec<glib::ParamSpec> {
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
        glib::ParamSpecBoolean::builder("raw-outputs")
            .nick("Raw outputs")
            .blurb(
                "Attach the model's output tensors to the result also where its head is known and objects are found; from a \
                 server all of them then come over the network, bit for bit, which may be many times the bytes of the objects",
            )
            .default_value(false)
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
        glib::ParamSpecBoolean::builder("remote-only")
            .nick("Remote only")
            .blurb(
                "The model never runs here, and is not kept in memory: for one that is too large for this machine. The server \
                 does everything (split is server or server-video; auto means server), and a frame that it does not answer \
                 within latency-budget passes without result",
            )
            .default_value(false)
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
                 in percent of their spread (root mean square over all values, each by the standard deviation of its \
                 feature over the positions). Measured now and then in the background; less is finer and takes more bytes",
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
        glib::ParamSpecEnum::builder_with_default("send-frames", SendFrames::default())
            .nick("Send frames")
            .blurb(
                "Whether this stream is shown to the pipeline behind the server: the result of every frame, whoever completed \
                 it, and pictures of the frames (as JPEG, in full size)",
            )
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
        glib::ParamSpecEnum::builder_with_default("incomplete-frames", IncompleteFrames::default())
            .nick("Incomplete frames")
            .blurb(
                "Whether the server may complete a frame of which packets were lost and would come again too late, with what \
                 is missing taken from a frame before. For tensors of up to 8 bits; results of such frames say so (received)",
            )
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("incomplete-share")
            .nick("Incomplete share")
            .blurb("Percent of a frame's tensors that the server must have to complete it without the rest")
            .minimum(1)
            .maximum(100)
            .default_value(DEFAULT_INCOMPLETE_SHARE_PCT)
            .mutable_playing()
            .build(),
    ]
}

fn runtime() -> Vec<glib::ParamSpec> {
    let [provider, device] = ExecutionProvider::properties(
        "ONNX Runtime's execution provider; the installed ONNX Runtime has to contain it",
    );
    vec![
        glib::ParamSpecUInt::builder("threads")
            .nick("Threads")
            .blurb(
                "Threads of ONNX Runtime for one operator. 0: as many as there are processor cores. 1: the tensor code \
                 keeps to one thread, too",
            )
            .maximum(1024)
            .default_value(0)
            .mutable_ready()
            .build(),
        provider,
        device,
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
