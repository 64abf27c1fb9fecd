// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The models edges may use, and each of them made ready for the cuts of those that use it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use splitinfer_graph::{Cut, Model};
use splitinfer_runtime::{RuntimeError, SessionOptions, SplitModel};
use splitinfer_vision::{Head, ModelInfo, Preprocessor};
use splitinfer_wire::{Hello, RefuseCode};

use super::station::Station;
use super::timing::{Smoothed, Timings};
use crate::net::server::Refusal;

/// Cuts of one edge. Each costs a session of ONNX Runtime.
const MOST_CANDIDATES: usize = 64;

/// Prepared models kept for edges that come back, beside those in use.
const KEPT_UNUSED: usize = 4;

/// Uploaded models kept, so that an edge that reconnects need not send its model again.
const KEPT_UPLOADS: usize = 4;

/// Why the models a user names cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    #[error("{} cannot be read: {source}", path.display())]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the folder {} holds no .onnx file", .0.display())]
    Empty(PathBuf),
    /// Names the file itself.
    #[error(transparent)]
    Model(#[from] splitinfer_graph::GraphError),
}

/// A model ready for frames.
pub struct Prepared {
    pub subject: Arc<Subject>,
    pub split: SplitModel,
    /// One for each cut, then that of the whole model.
    stations: Vec<Station>,
}

impl Prepared {
    pub fn new(subject: Arc<Subject>, split: SplitModel) -> Self {
        let cuts = (0..split.candidates().len()).map(Some);
        let stations = cuts.chain([None]).map(Station::new).collect();
        Self {
            subject,
            split,
            stations,
        }
    }

    /// The same graph with other weights.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model.
    pub fn with_weights(&self, model: &Model) -> Result<Self, RuntimeError> {
        Ok(Self {
            subject: self.subject.clone(),
            split: self.split.with_weights(model)?,
            stations: self.stations.iter().map(Station::renewed).collect(),
        })
    }

    /// Where frames are computed that bring the tensors of this cut, or the whole model's input.
    pub fn station(&self, cut: Option<usize>) -> &Station {
        let last = self.stations.len() - 1;
        &self.stations[cut.map_or(last, |cut| cut.min(last))]
    }
}

/// What all versions of a prepared model have in common.
pub struct Subject {
    /// What its file or its edge calls it.
    pub name: String,
    /// The file, that is, version 0.
    pub base: Model,
    /// The cuts that edges name.
    cuts: Vec<Cut>,
    /// For each candidate of the edge, where it is among them.
    pub routes: Vec<Route>,
    pub info: ModelInfo,
    pub head: Head,
    pub timings: Timings,
    preprocessors: Mutex<Vec<Preprocessor>>,
}

/// One candidate of an edge among those of the prepared model.
pub struct Route {
    /// Index in `SplitModel::candidates`.
    pub cut: usize,
    /// Where the edge's list of tensors has the first, second, … tensor of the cut.
    pub order: Vec<usize>,
}

impl Subject {
    /// A preprocessor nobody else uses meanwhile.
    pub fn with_preprocessor<T>(&self, f: impl FnOnce(&mut Preprocessor) -> T) -> T {
        let free = self.preprocessors.lock().unwrap().pop();
        let mut preprocessor = free.unwrap_or_else(|| Preprocessor::new(&self.info));
        let result = f(&mut preprocessor);
        self.preprocessors.lock().unwrap().push(preprocessor);
        result
    }

    /// How long it takes from an edge's candidate on, or the whole model.
    pub fn timing(&self, candidate: Option<usize>) -> &Smoothed {
        let tail = candidate.and_then(|i| self.timings.tails.get(i));
        tail.unwrap_or(&self.timings.whole)
    }

    /// The name of an edge's candidate, as it stands in results.
    pub fn split_name(&self, candidate: u16) -> &str {
        self.routes
            .get(usize::from(candidate))
            .and_then(|route| self.cuts.get(route.cut))
            .map_or("", |cut| &cut.name)
    }
}

/// What makes two edges share a prepared model.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    hash: [u8; 32],
    input_name: String,
    input_shape: Vec<u32>,
    sidecar: String,
    candidates: Vec<Vec<String>>,
}

/// Locked while the model is being prepared, so that edges that start together wait for one preparation.
type Place = Arc<Mutex<Option<Arc<Prepared>>>>;

#[derive(Clone)]
struct Known {
    name: String,
    model: Model,
}

/// The models of one server.
pub struct Models {
    options: SessionOptions,
    known: HashMap<[u8; 32], Known>,
    /// The newest last.
    uploads: Mutex<Vec<([u8; 32], Known)>>,
    prepared: Mutex<HashMap<Key, Place>>,
}

impl Models {
    /// Reads the models in `paths`: files, or folders whose `.onnx` files are taken.
    ///
    /// # Errors
    /// For the first one that is not a model, or a folder without any.
    pub fn load(paths: &[PathBuf], options: SessionOptions) -> Result<Self, ModelsError> {
        let mut known = HashMap::new();
        for path in paths {
            for file in files(path)? {
                let model = Model::load(&file)?;
                let name = file.file_name().unwrap_or(file.as_os_str());
                let name = name.to_string_lossy().into_owned();
                known.insert(model.hash(), Known { name, model });
            }
        }
        Ok(Self {
            options,
            known,
            uploads: Mutex::default(),
            prepared: Mutex::default(),
        })
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether an edge need not upload this model.
    pub fn has(&self, hash: &[u8; 32]) -> bool {
        self.find(hash).is_some()
    }

    fn find(&self, hash: &[u8; 32]) -> Option<Known> {
        let uploads = self.uploads.lock().unwrap();
        let uploaded = uploads
            .iter()
            .find(|(h, _)| h == hash)
            .map(|(_, known)| known);
        self.known.get(hash).or(uploaded).cloned()
    }

    fn keep(&self, hash: [u8; 32], known: Known) {
        let mut uploads = self.uploads.lock().unwrap();
        uploads.retain(|(h, _)| *h != hash);
        uploads.push((hash, known));
        let surplus = uploads.len().saturating_sub(KEPT_UPLOADS);
        uploads.drain(..surplus);
    }

    /// The model of an edge, ready for frames. May take seconds the first time.
    ///
    /// # Errors
    /// When there is no such model, or it cannot be run or cut as the edge says.
    pub fn prepare(
        &self,
        hello: &Hello,
        uploaded: Option<&Bytes>,
    ) -> Result<Arc<Prepared>, Refusal> {
        let key = Key {
            hash: hello.model_hash,
            input_name: hello.input_name.clone(),
            input_shape: hello.input_shape.clone(),
            sidecar: hello.sidecar.clone(),
            candidates: hello.candidates.clone(),
        };
        let place: Place = {
            let mut prepared = self.prepared.lock().unwrap();
            forget_unused(&mut prepared, &key);
            prepared.entry(key).or_default().clone()
        };
        let mut place = place.lock().unwrap();
        if let Some(prepared) = &*place {
            return Ok(prepared.clone());
        }
        let known = match (self.find(&hello.model_hash), uploaded) {
            (Some(known), _) => known,
            (None, Some(bytes)) => Known {
                name: short(&hello.model_hash),
                model: Model::from_bytes(bytes, None)
                    .map_err(|e| refusal(RefuseCode::ModelInvalid, &e))?,
            },
            (None, None) => {
                // It was there when the edge said Hello; the edge may come again and upload it.
                let text = "the model was dropped meanwhile";
                return Err(refusal(RefuseCode::Internal, &text));
            }
        };
        let prepared = Arc::new(self.make(&known, hello)?);
        if uploaded.is_some() {
            self.keep(hello.model_hash, known);
        }
        *place = Some(prepared.clone());
        Ok(prepared)
    }

    fn make(&self, known: &Known, hello: &Hello) -> Result<Prepared, Refusal> {
        let invalid = |e: &dyn std::fmt::Display| refusal(RefuseCode::ModelInvalid, e);
        if hello.candidates.len() > MOST_CANDIDATES {
            let text = format!(
                "{} candidates are more than the {MOST_CANDIDATES} this server prepares; set split-candidates",
                hello.candidates.len()
            );
            return Err(refusal(RefuseCode::CandidatesMismatch, &text));
        }
        let shape: Vec<usize> = hello.input_shape.iter().map(|d| *d as usize).collect();
        let sized = known
            .model
            .with_input_shape(&hello.input_name, &shape)
            .map_err(|e| invalid(&e))?;
        let info = ModelInfo::parse(&hello.sidecar).map_err(|e| invalid(&e))?;
        let facts = splitinfer_runtime::probe(&sized, &self.options).map_err(|e| invalid(&e))?;
        let (cuts, routes) = choose(sized.cuts(&facts), &hello.candidates)?;
        let split = SplitModel::new(&sized, &facts, cuts.clone(), &self.options)
            .map_err(|e| invalid(&e))?;
        // The first frame is not to wait for what can be done now.
        split.prepare().map_err(|e| invalid(&e))?;
        let subject = Subject {
            name: known.name.clone(),
            base: known.model.clone(),
            timings: Timings::new(routes.len()),
            head: Head::new(&info),
            cuts,
            routes,
            info,
            preprocessors: Mutex::default(),
        };
        Ok(Prepared::new(Arc::new(subject), split))
    }
}

/// The cuts that `wanted` names, in the order of the graph, and where each of `wanted` is among them.
fn choose(all: Vec<Cut>, wanted: &[Vec<String>]) -> Result<(Vec<Cut>, Vec<Route>), Refusal> {
    let mut chosen = Vec::new();
    let mut places: Vec<Option<Route>> = wanted.iter().map(|_| None).collect();
    for cut in all {
        let mut used = false;
        for (names, place) in wanted.iter().zip(&mut places) {
            if place.is_none()
                && let Some(order) = order(&cut, names)
            {
                let cut = chosen.len();
                *place = Some(Route { cut, order });
                used = true;
            }
        }
        if used {
            chosen.push(cut);
        }
    }
    let mut routes = Vec::with_capacity(places.len());
    for (place, names) in places.into_iter().zip(wanted) {
        routes.push(place.ok_or_else(|| {
            let names = names.join("+");
            let text = format!("the model cannot be cut at {names}, as this server sees it");
            refusal(RefuseCode::CandidatesMismatch, &text)
        })?);
    }
    Ok((chosen, routes))
}

/// Where `names` has each tensor of the cut; `None` if they are not the same tensors.
fn order(cut: &Cut, names: &[String]) -> Option<Vec<usize>> {
    if cut.tensors.len() != names.len() {
        return None;
    }
    cut.tensors
        .iter()
        .map(|tensor| names.iter().position(|name| *name == tensor.name))
        .collect()
}

/// Makes room before another model is prepared.
fn forget_unused(prepared: &mut HashMap<Key, Place>, but: &Key) {
    if prepared.contains_key(but) {
        return;
    }
    let unused = |place: &Place| {
        // One that is locked is being prepared.
        Arc::strong_count(place) == 1
            && place
                .try_lock()
                .is_ok_and(|p| p.as_ref().is_none_or(|p| Arc::strong_count(p) == 1))
    };
    let mut spare = prepared.values().filter(|place| unused(place)).count();
    prepared.retain(|_, place| {
        let drop = spare > KEPT_UNUSED - 1 && unused(place);
        spare -= usize::from(drop);
        !drop
    });
}

fn files(path: &Path) -> Result<Vec<PathBuf>, ModelsError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let folder = |source| ModelsError::Folder {
        path: path.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(folder)? {
        let file = entry.map_err(folder)?.path();
        if file
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("onnx"))
        {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(ModelsError::Empty(path.to_owned()));
    }
    files.sort();
    Ok(files)
}

/// The beginning of a hash, for people.
pub fn short(hash: &[u8; 32]) -> String {
    hash[..6].iter().map(|b| format!("{b:02x}")).collect()
}

fn refusal(code: RefuseCode, text: &dyn std::fmt::Display) -> Refusal {
    Refusal {
        code,
        text: text.to_string(),
    }
}
