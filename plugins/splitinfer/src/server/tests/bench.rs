// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The real element with a real model, and clients on real sockets.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gst::prelude::*;
use splitinfer_graph::Model;
use splitinfer_graph::build::{GraphBuilder, ints};
use splitinfer_runtime::{SessionOptions, SplitModel, random_tensor};
use splitinfer_tensor::{DType, Tensor};
use splitinfer_tensorcode::{encoder, picture};
use splitinfer_vision::{ModelInfo, Picture, Preprocessor};
use splitinfer_wire::{Content, Hello, REPORT_BIT, SendFrames, Token, Version, Wants};

use crate::net::address::ServerAddress;
use crate::net::client::{Client, ClientConfig, ClientEvent, FrameRequest};
use crate::net::identity::Identity;
use crate::net::trust::Trust;
use crate::server::ServerElement;

/// For things that take milliseconds: long enough for any machine, short enough to see that a test hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const SIDE: usize = 16;

/// False, and says so, where there is no ONNX Runtime.
pub fn ready() -> bool {
    static READY: OnceLock<bool> = OnceLock::new();
    *READY.get_or_init(|| {
        gst::init().unwrap();
        splitinfer_runtime::load_library(None)
            .inspect_err(|e| println!("skipped: {e}"))
            .is_ok()
    })
}

/// Three convolutions with a skip connection, and six classes. `seed` makes another model of the same shape.
pub fn model(seed: u64) -> Model {
    let weights = |shape: &[usize], seed: u64| -> Vec<f32> {
        let noise = random_tensor(DType::F32, shape, 1.0, seed);
        noise.to_f32_vec().iter().map(|x| x - 0.5).collect()
    };
    let conv = |g: GraphBuilder, from: &str, to: &str, inputs: usize| {
        let (weight, raw) = (format!("{to}.weight"), format!("{to}.raw"));
        let shape = [4, inputs, 3, 3];
        let attributes = vec![
            ints("kernel_shape", &[3, 3]),
            ints("pads", &[1, 1, 1, 1]),
            ints("strides", &[2, 2]),
        ];
        g.weight(&weight, &shape, &weights(&shape, seed + inputs as u64))
            .node("Conv", &[from, &weight], &[&raw], attributes)
            .node("Relu", &[&raw], &[to], vec![])
    };
    let g = GraphBuilder::new(17).input("images", DType::F32, &[1, 3, SIDE, SIDE]);
    let g = conv(g, "images", "stem", 3);
    let g = conv(g, "stem", "middle", 4)
        .node("GlobalAveragePool", &["middle"], &["mean"], vec![])
        .node("Flatten", &["mean"], &["flat"], vec![])
        .weight("classes", &[4, 6], &weights(&[4, 6], seed + 9))
        .node("MatMul", &["flat", "classes"], &["logits"], vec![]);
    g.output("logits", DType::F32, &[1, 6]).model().unwrap()
}

/// An edge without a camera: the model, its cuts, and what the whole model gives.
pub struct Edge {
    pub model: Model,
    pub info: ModelInfo,
    pub split: SplitModel,
    jpeg: Vec<u8>,
    /// Of the picture in `jpeg`.
    pub input: Tensor,
    uploads: Arc<AtomicU32>,
}

impl Edge {
    pub fn new(seed: u64) -> Self {
        Self::of(model(seed), seed)
    }

    /// With a model of its own; `seed` makes its picture.
    pub fn of(model: Model, seed: u64) -> Self {
        let options = SessionOptions::default();
        let infos = |values: Vec<splitinfer_graph::ValueInfo>| -> Vec<_> {
            values
                .iter()
                .map(splitinfer_inference::tensor_info)
                .collect()
        };
        let (info, _) = ModelInfo::guess(&infos(model.inputs()), &infos(model.outputs())).unwrap();
        let facts = splitinfer_runtime::probe(&model, &options).unwrap();
        let cuts = model.cuts(&facts);
        assert!(cuts.len() >= 2, "{cuts:?}");
        let split = SplitModel::new(&model, &facts, cuts, &options).unwrap();
        let rgb = random_tensor(DType::U8, &[SIDE, SIDE, 3], 255.0, seed);
        let rgb = rgb.as_slice::<u8>().unwrap();
        let jpeg = picture::encode_jpeg(rgb, SIDE as u32, SIDE as u32, 95).unwrap();
        // As the server sees it.
        let (w, h, rgb) = picture::decode_jpeg(&jpeg, &Default::default()).unwrap();
        let picture = Picture::new(w, h, rgb).unwrap();
        let input = Preprocessor::new(&info).tensor(&picture).unwrap();
        Self {
            model,
            info,
            split,
            jpeg,
            input,
            uploads: Arc::default(),
        }
    }

    /// How often a server wanted the model.
    pub fn uploads(&self) -> u32 {
        self.uploads.load(Ordering::Relaxed)
    }

    pub fn hello(&self, wants: Wants) -> Hello {
        Hello {
            version: Version::OURS,
            agent: "test".into(),
            token: Token::default(),
            model_hash: self.model.hash(),
            model_size: self.model.to_bytes().len() as u64,
            sidecar: self.info.to_text(),
            input_name: self.info.input.name.clone(),
            input_shape: self.info.input.shape().iter().map(|d| *d as u32).collect(),
            candidates: self
                .split
                .candidates()
                .iter()
                .map(|cut| cut.tensors.iter().map(|t| t.name.clone()).collect())
                .collect(),
            wants,
            send_frames: SendFrames::Never,
            max_result_bytes: 1 << 20,
        }
    }

    /// A frame with every bit of its tensors.
    pub fn frame(&self, number: u64, content: Content) -> FrameRequest {
        let payload = match content {
            Content::Candidate(i) => {
                let tensors = self.split.head(i.into(), &self.input).unwrap();
                encoder().encode(0, &tensors, 32).unwrap()
            }
            Content::Picture => self.jpeg.clone(),
            Content::Video => panic!("a picture of a video is made by its encoder"),
            Content::Report => {
                let result = splitinfer_meta::FrameResult {
                    frame: number,
                    completed: splitinfer_meta::Completed::Edge,
                    ..Default::default()
                };
                splitinfer_meta::to_json(&result, None).into_bytes()
            }
        };
        FrameRequest {
            number: match content {
                Content::Report => number | REPORT_BIT,
                _ => number,
            },
            content,
            model_version: 0,
            pts_ns: Some(number * 1_000_000),
            deadline: Instant::now() + PATIENCE,
            placement: [1.0, 1.0, 0.0, 0.0, SIDE as f32, SIDE as f32],
            picture_size: (SIDE as u16, SIDE as u16),
            payload,
            attachment: Vec::new(),
            attachment_rate: None,
            patience: None,
            longest: None,
        }
    }

    pub fn connect(&self, servers: &str, trust: Trust, wants: Wants) -> Link {
        self.start(self.hello(wants), servers, trust)
    }

    /// With a changed introduction.
    pub fn connect_as(&self, hello: Hello, servers: &str) -> Link {
        self.start(hello, servers, Trust::default())
    }

    fn start(&self, hello: Hello, servers: &str, trust: Trust) -> Link {
        let (bytes, uploads) = (self.model.to_bytes(), self.uploads.clone());
        let config = ClientConfig {
            servers: ServerAddress::parse_list(servers).unwrap(),
            trust,
            hello,
            model: Arc::new(move || {
                uploads.fetch_add(1, Ordering::Relaxed);
                Ok(bytes.clone())
            }),
            max_in_flight: 8,
        };
        let (send, events) = channel();
        let on_event = move |event| drop(send.send(event));
        Link {
            client: Client::start(config, Box::new(on_event)).unwrap(),
            events,
        }
    }
}

/// A client and what it says.
pub struct Link {
    pub client: Client,
    pub events: Receiver<ClientEvent>,
}

impl Link {
    /// The next event that `pick` takes; others are passed over.
    pub fn wait<T>(&self, pick: impl Fn(ClientEvent) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).expect("an event was due");
            if let Some(found) = pick(event) {
                return found;
            }
        }
    }

    pub fn connected(&self) {
        self.wait(|e| match e {
            ClientEvent::Connected { .. } => Some(()),
            ClientEvent::Refused { text, .. } => panic!("{text}"),
            _ => None,
        });
    }

    pub fn refused(&self) -> (String, bool) {
        self.wait(|e| match e {
            ClientEvent::Refused { text, fatal } => Some((text, fatal)),
            ClientEvent::Connected { .. } => panic!("it was let in"),
            _ => None,
        })
    }
}

/// The element, playing, with a certificate of its own.
pub struct Server {
    pub element: ServerElement,
    pub folder: tempfile::TempDir,
}

impl Server {
    /// `model` is put beside it as a file if there is one.
    pub fn new(model: Option<&Model>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Identity::kept(Some(folder.path())).unwrap();
        let element: ServerElement = gst::glib::Object::new();
        let pem = folder.path().join("server.pem");
        element.set_property("certificate-file", pem.to_str());
        element.set_property("private-key-file", pem.to_str());
        element.set_property("port", 0u32);
        element.set_property("accept-models", model.is_none());
        if let Some(model) = model {
            model.save(&folder.path().join("model.onnx")).unwrap();
            element.set_property("model", folder.path().to_str());
        }
        Self { element, folder }
    }

    pub fn play(self) -> Self {
        self.element.set_state(gst::State::Playing).unwrap();
        self
    }

    pub fn port(&self) -> u16 {
        self.element.property::<u32>("current-port") as u16
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    pub fn pem(&self) -> PathBuf {
        self.folder.path().join("server.pem")
    }

    pub fn stat(&self, name: &str) -> u64 {
        let stats: gst::Structure = self.element.property("stats");
        stats.get(name).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.element.set_state(gst::State::Null);
    }
}

/// Passes packets between one client and a server, until the server is to look frozen.
pub struct Relay {
    pub port: u16,
    pub frozen: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    pub fn to(server: u16) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let tick = Some(Duration::from_millis(20));
        socket.set_read_timeout(tick).unwrap();
        let port = socket.local_addr().unwrap().port();
        let server: SocketAddr = (Ipv4Addr::LOCALHOST, server).into();
        let (frozen, end) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let thread = std::thread::spawn({
            let (frozen, end) = (frozen.clone(), end.clone());
            move || {
                let mut client = None;
                let mut packet = [0; 65536];
                while !end.load(Ordering::Relaxed) {
                    let Ok((n, from)) = socket.recv_from(&mut packet) else {
                        continue;
                    };
                    if from != server {
                        client = Some(from);
                    }
                    let to = if from == server { client } else { Some(server) };
                    if let (Some(to), false) = (to, frozen.load(Ordering::Relaxed)) {
                        let _ = socket.send_to(&packet[..n], to);
                    }
                }
            }
        });
        Self {
            port,
            frozen,
            end,
            thread: Some(thread),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}
