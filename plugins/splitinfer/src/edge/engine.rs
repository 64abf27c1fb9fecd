// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The model as the edge uses it: loaded, cut, timed, and turned from pictures to objects.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use splitinfer_graph::{Cut, Model};
use splitinfer_inference::{LoadedModel, load_library};
use splitinfer_meta::Completed;
use splitinfer_plan::Choice;
use splitinfer_runtime::{
    DEFAULT_CANDIDATES, Profile, RuntimeError, SessionOptions, SplitModel, Stop,
};
use splitinfer_tensor::Tensor;
use splitinfer_tensorcode::{CodeError, Limits};
use splitinfer_vision::{Head, ModelInfo, Object, Picture, Placement, Preprocessor, VisionError};

use super::frame::{Found, Outcome, Rest};
use super::link::MAX_RESULT_BYTES;
use super::model_file::ModelFile;
use super::settings::Settings;
use super::split;

const PROFILE_RUNS: usize = 3;

/// By name, in the model's order.
type Outputs = Vec<(String, Tensor)>;

/// A model ready to run, whole or in two halves. Shared by the two threads of the element.
pub(super) struct Engine {
    pub(super) file: Arc<ModelFile>,
    pub(super) info: ModelInfo,
    /// What no sidecar said, in words.
    pub(super) assumptions: Vec<String>,
    /// `None` where the server does everything.
    here: Option<SplitModel>,
    head: Head,
    /// The outputs go into the result, whether objects are read from them or not.
    keeps_outputs: bool,
    preprocessing: Mutex<Preprocessor>,
    /// Time of each half on this machine; measured only where there is something to choose.
    pub(super) profile: Option<Profile>,
    version: u64,
}

impl Engine {
    /// Loads the model that the settings name. With a server also finds the candidates and times them.
    pub(super) fn load(settings: &Settings) -> Result<Self, gst::ErrorMessage> {
        let Some(path) = &settings.model else {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ("no model: set the property 'model' to an ONNX file")
            ));
        };
        let path = Path::new(path);
        let model = LoadedModel::load(path)?;
        let (here, profile) = match settings.remote_only {
            true => (None, None),
            false => {
                let (split, profile) = prepared(path, &model.sized, settings)?;
                (Some(split), profile)
            }
        };
        let head = Head::new(&model.info);
        Ok(Self {
            file: Arc::new(ModelFile::new(path, model.file, here.is_some())),
            keeps_outputs: head.is_raw() || settings.raw_outputs,
            head,
            preprocessing: Mutex::new(Preprocessor::new(&model.info)),
            info: model.info,
            assumptions: model.assumptions,
            here,
            profile,
            version: 0,
        })
    }

    /// The same model with other weights, ready to run: it takes as long to make as to load one. Times stay those of the
    /// first: the work is the same.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the model with these weights.
    pub(super) fn with_weights(&self, model: &Model, version: u64) -> Result<Self, RuntimeError> {
        let here = self.here.as_ref().map(|s| s.with_weights(model));
        Ok(Self {
            file: Arc::clone(&self.file),
            info: self.info.clone(),
            assumptions: Vec::new(),
            here: here.transpose()?,
            head: Head::new(&self.info),
            keeps_outputs: self.keeps_outputs,
            preprocessing: Mutex::new(self.preprocessor()),
            profile: self.profile.clone(),
            version,
        })
    }

    /// What was measured at the start; measured now, if there was nothing to choose then.
    pub(super) fn profile(&self) -> Result<Profile, gst::ErrorMessage> {
        match &self.profile {
            Some(profile) => Ok(profile.clone()),
            None => self.here()?.profile(PROFILE_RUNS).map_err(failed),
        }
    }

    pub(super) fn candidates(&self) -> &[Cut] {
        self.here.as_ref().map_or(&[], SplitModel::candidates)
    }

    fn here(&self) -> Result<&SplitModel, gst::ErrorMessage> {
        self.here.as_ref().ok_or_else(|| {
            gst::error_msg!(
                gst::LibraryError::Settings,
                ("the model does not run here: remote-only is set")
            )
        })
    }

    /// What the server found on a frame, as inference here gives it.
    ///
    /// # Errors
    /// In words, when it cannot be read.
    pub(super) fn take(&self, found: Found, placement: &Placement) -> Result<Outcome, String> {
        let outcome = match found {
            Found::Objects(objects) => Outcome {
                objects,
                ..Outcome::default()
            },
            Found::Tensors(bytes) => {
                let outputs = self.decode_outputs(&bytes).map_err(|e| e.to_string())?;
                self.found(outputs, placement).map_err(|e| e.to_string())?
            }
        };
        Ok(Outcome {
            completed: Completed::Server,
            ..outcome
        })
    }

    fn decode_outputs(&self, bytes: &[u8]) -> Result<Vec<(String, Tensor)>, CodeError> {
        let limits = Limits {
            max_bytes: MAX_RESULT_BYTES as usize,
            ..Limits::default()
        };
        let tensors = splitinfer_tensorcode::decoder().decode(bytes, &limits)?;
        Ok(self.file.outputs.iter().cloned().zip(tensors).collect())
    }

    /// Whether the head is unknown, so that the outputs are passed on as they are.
    pub(super) fn is_raw(&self) -> bool {
        self.head.is_raw()
    }

    /// Whether the server is to send the outputs, and not what it reads from them.
    pub(super) fn keeps_outputs(&self) -> bool {
        self.keeps_outputs
    }

    /// Number of the weights in use, from 0.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn preprocessor(&self) -> Preprocessor {
        Preprocessor::new(&self.info)
    }

    pub(super) fn tensor(&self, picture: &Picture) -> Result<Tensor, gst::ErrorMessage> {
        self.preprocessing
            .lock()
            .unwrap()
            .tensor(picture)
            .map_err(|e| gst::error_msg!(gst::StreamError::Format, ("{e}")))
    }

    pub(super) fn whole(&self, input: &Tensor) -> Result<Vec<(String, Tensor)>, gst::ErrorMessage> {
        self.here()?.whole(input).map_err(failed)
    }

    pub(super) fn head(
        &self,
        candidate: usize,
        input: &Tensor,
    ) -> Result<Vec<Tensor>, gst::ErrorMessage> {
        self.here()?.head(candidate, input).map_err(failed)
    }

    /// From the tensors of a candidate to those of the next one.
    pub(super) fn onward(
        &self,
        candidate: usize,
        tensors: &[Tensor],
    ) -> Result<Vec<Tensor>, gst::ErrorMessage> {
        self.here()?.onward(candidate, tensors).map_err(failed)
    }

    pub(super) fn tail(
        &self,
        candidate: usize,
        tensors: &[Tensor],
    ) -> Result<Outputs, gst::ErrorMessage> {
        self.here()?.tail(candidate, tensors).map_err(failed)
    }

    /// The model's outputs as objects in pixels of the frame, and as they are where that is wanted.
    pub(super) fn read(
        &self,
        outputs: Vec<(String, Tensor)>,
        placement: &Placement,
    ) -> Result<Outcome, gst::ErrorMessage> {
        let outcome = self.found(outputs, placement).map_err(unreadable)?;
        Ok(Outcome {
            completed: Completed::Edge,
            ..outcome
        })
    }

    fn found(
        &self,
        outputs: Vec<(String, Tensor)>,
        placement: &Placement,
    ) -> Result<Outcome, VisionError> {
        let mut objects = self.head.read(&outputs)?;
        objects
            .iter_mut()
            .for_each(|object| placement.to_frame(object));
        Ok(Outcome {
            objects,
            tensors: if self.keeps_outputs { outputs } else { vec![] },
            completed: Completed::None,
        })
    }

    /// In pixels of the picture.
    pub(super) fn objects(
        &self,
        outputs: &[(String, Tensor)],
    ) -> Result<Vec<Object>, gst::ErrorMessage> {
        self.head.read(outputs).map_err(unreadable)
    }

    /// Does here what the server was to do.
    pub(super) fn complete(
        &self,
        rest: &Rest,
        placement: &Placement,
    ) -> Result<Outcome, gst::ErrorMessage> {
        let outputs = self.rest(rest, None)?.map_err(failed)?;
        self.read(outputs, placement)
    }

    /// As [`complete`](Self::complete), unless it is stopped before it is done: then `None`.
    pub(super) fn complete_until(
        &self,
        rest: &Rest,
        placement: &Placement,
        stop: &Stop,
    ) -> Result<Option<Outcome>, gst::ErrorMessage> {
        match self.rest(rest, Some(stop))? {
            Ok(outputs) => self.read(outputs, placement).map(Some),
            Err(RuntimeError::Stopped) => Ok(None),
            Err(e) => Err(failed(e)),
        }
    }

    fn rest(
        &self,
        rest: &Rest,
        stop: Option<&Stop>,
    ) -> Result<Result<Outputs, RuntimeError>, gst::ErrorMessage> {
        let here = self.here()?;
        Ok(match rest {
            Rest::Picture(picture) => here.whole_until(&self.tensor(picture)?, stop),
            Rest::Tail { candidate, tensors } => here.tail_until(*candidate, tensors, stop),
        })
    }

    /// About how long [`complete`](Self::complete) takes for this split.
    pub(super) fn time_to_complete(&self, choice: Choice) -> Duration {
        let Some(profile) = &self.profile else {
            return Duration::ZERO;
        };
        match choice {
            Choice::Candidate(i) => profile.tail.get(i).copied().unwrap_or(profile.whole),
            Choice::Here | Choice::Picture | Choice::Video => profile.whole,
        }
    }
}

/// The model cut, with sessions made: when they are first used is too late, on the first frame. With a server also timed.
fn prepared(
    path: &Path,
    sized: &Model,
    settings: &Settings,
) -> Result<(SplitModel, Option<Profile>), gst::ErrorMessage> {
    load_library("splitinfer").map_err(library_error)?;
    let refused = |e: RuntimeError| refused(path, &e);
    let options = SessionOptions {
        threads: settings.threads,
        provider: settings.execution_provider.into(),
        device: settings.device,
    };
    let facts = splitinfer_runtime::probe(sized, &options).map_err(refused)?;
    let alone = settings.servers().is_empty();
    let candidates = match alone {
        true => Vec::new(),
        false => candidates(settings, sized, &facts)?,
    };
    let split = SplitModel::new(sized, &facts, candidates, &options).map_err(refused)?;
    if alone {
        let input = splitinfer_runtime::sample(split.input(), 1).map_err(refused)?;
        split.whole(&input).map_err(refused)?;
        return Ok((split, None));
    }
    split.prepare().map_err(refused)?;
    let profile = split.profile(PROFILE_RUNS).map_err(refused)?;
    Ok((split, Some(profile)))
}

/// The candidates to choose among: those the user names, or the useful ones that the graph has.
fn candidates(
    settings: &Settings,
    model: &Model,
    facts: &splitinfer_graph::Facts,
) -> Result<Vec<Cut>, gst::ErrorMessage> {
    let Some(names) = &settings.split_candidates else {
        let mut found = model.candidates(facts, DEFAULT_CANDIDATES);
        keep_named(settings, &mut found, || model.cuts(facts));
        return Ok(found);
    };
    let all = model.cuts(facts);
    let mut chosen = names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| split::position(name, &all))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| gst::error_msg!(gst::LibraryError::Settings, ("split-candidates: {e}")))?;
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen.into_iter().map(|i| all[i].clone()).collect())
}

/// A cut that the user asks for by name is a candidate even where a better one exists.
fn keep_named(settings: &Settings, found: &mut Vec<Cut>, all: impl FnOnce() -> Vec<Cut>) {
    let split::SplitSetting::Named(name) = &settings.split else {
        return;
    };
    if split::position(name, found).is_ok() {
        return;
    }
    if let Some(cut) = all().into_iter().find(|cut| cut.name == *name) {
        let at = found.partition_point(|c| c.nodes_before < cut.nodes_before);
        found.insert(at, cut);
    }
}

fn unreadable(error: VisionError) -> gst::ErrorMessage {
    gst::error_msg!(
        gst::StreamError::Decode,
        ("the model's outputs do not fit its head: {error}")
    )
}

fn library_error(error: RuntimeError) -> gst::ErrorMessage {
    gst::error_msg!(gst::LibraryError::Init, ("ONNX Runtime: {error}"))
}

fn refused(path: &Path, error: &RuntimeError) -> gst::ErrorMessage {
    gst::error_msg!(gst::LibraryError::Init, ("{}: {error}", path.display()))
}

pub(super) fn failed(error: RuntimeError) -> gst::ErrorMessage {
    gst::error_msg!(gst::LibraryError::Failed, ("inference failed: {error}"))
}
