// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The command line.

use super::labels::Labels;
use super::report::Table;
use super::values::{Rate, SceneKind, Size, pixels, positive, property, share, share32};
use super::{Input, Models, NamedModel, Request, ResultFile, Scenes, Source};
use anyhow::{Result, bail};
use clap::Parser;
use splitinfer_evaluate::{Ignore, Rules};
use std::path::{Path, PathBuf};

/// How good results are, against truth: AP, count and box error; PCK, OKS and knee flexion; MOTA and IDF1.
///
/// Either give files of results, as inferjson writes them, with --truth; or --model, with --scene (whose truth is known)
/// or with --video and --truth. Prints a Markdown table. docs/evaluation.md defines each figure.
#[derive(Clone, Debug, Parser)]
#[command(name = "splitinfer-eval", version)]
pub struct Args {
    /// Results: one JSON object a line, as inferjson writes them
    #[arg(value_name = "RESULTS", conflicts_with = "model")]
    pub results: Vec<PathBuf>,

    /// Truth: COCO annotations, a MOT file or lines of a scene; one for all results, or one for each file
    #[arg(long, value_name = "FILE")]
    pub truth: Vec<PathBuf>,

    /// ONNX model to run; several are compared
    #[arg(long, value_name = "FILE")]
    pub model: Vec<PathBuf>,

    /// Run the models on this video
    #[arg(
        long,
        value_name = "FILE",
        requires = "model",
        conflicts_with = "scene"
    )]
    pub video: Option<PathBuf>,

    /// Run the models on scenes: traffic or walker
    #[arg(long, value_name = "KIND", requires = "model")]
    pub scene: Option<SceneKind>,

    /// Domain of the scenes, a line of the table for each (docs/scenes.md lists them)
    #[arg(long, value_name = "DOMAIN", requires = "scene", default_value = "day")]
    pub domain: Vec<String>,

    /// How much recurs: repetitive, semi-repetitive or dynamic
    #[arg(
        long,
        value_name = "NAME",
        requires = "scene",
        default_value = "dynamic"
    )]
    pub scenario: String,

    /// Seed of a domain's first scene; each further one has the next
    #[arg(long, value_name = "N", requires = "scene", default_value_t = 0)]
    pub seed: u64,

    /// Scenes a domain
    #[arg(long, value_name = "N", requires = "scene", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub scenes: u64,

    /// Frames of each scene (default 300) or of the video (default: all)
    #[arg(long, value_name = "N", requires = "model", value_parser = clap::value_parser!(u64).range(1..=i32::MAX as u64))]
    pub frames: Option<u64>,

    /// Size of the scenes' pictures
    #[arg(
        long,
        value_name = "WxH",
        requires = "scene",
        default_value = "640x360"
    )]
    pub size: Size,

    /// Frames a second of the scenes, as N or N/D; few spread the frames over more of what happens
    #[arg(long, value_name = "N", requires = "scene", default_value = "30")]
    pub rate: Rate,

    /// Lowest score asked of the models, below their own threshold, so that AP sees the whole curve
    #[arg(long, value_name = "SCORE", default_value_t = 0.05, value_parser = share32)]
    pub least_score: f32,

    /// A property of splitinfer-edge, for example split=3 or server=192.0.2.7:5050
    #[arg(long = "set", value_name = "NAME=VALUE", requires = "model", value_parser = property)]
    pub properties: Vec<(String, String)>,

    /// What to call the results or models in the table, in their order (default: their files' names)
    #[arg(long, value_name = "NAME")]
    pub name: Vec<String>,

    /// Treat all labels as one
    #[arg(long)]
    pub class_agnostic: bool,

    /// Rename labels of results and truth
    #[arg(long, value_name = "FROM=TO", value_delimiter = ',', value_parser = property)]
    pub map: Vec<(String, String)>,

    /// Leave out objects with other labels (after --map)
    #[arg(long, value_name = "LABEL", value_delimiter = ',')]
    pub only: Vec<String>,

    /// Ignore true objects whose shorter side has fewer pixels: neither hit nor miss
    #[arg(long, value_name = "PIXELS", default_value_t = 0.0, value_parser = pixels)]
    pub min_size: f64,

    /// Ignore true objects of which a smaller share is visible
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub min_visible: f64,

    /// Ignore all but the largest true object of a frame: for models that answer one person
    #[arg(long)]
    pub largest: bool,

    /// Score from which objects count in all figures but AP (default: the model's threshold; for files all they hold)
    #[arg(long, value_name = "SCORE", value_parser = share)]
    pub score: Option<f64>,

    /// Box error: what a missed or a false object costs
    #[arg(long, value_name = "PIXELS", default_value_t = Rules::default().cutoff, value_parser = positive)]
    pub cutoff: f64,

    /// PCK: shares of body size
    #[arg(long, value_name = "SHARE", value_delimiter = ',', default_value = "0.05,0.1,0.2", value_parser = share)]
    pub pck: Vec<f64>,

    /// Tables to print: detection, pose, tracking (default: what the results are about)
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    pub tables: Vec<Table>,

    /// Write all figures, curves and errors frame by frame as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Draw precision and recall, error over time and PCK into this folder, as SVG and PNG
    #[arg(long, value_name = "FOLDER")]
    pub plots: Option<PathBuf>,
}

impl Args {
    /// # Errors
    /// When options do not go together; the message says which are missing.
    pub fn request(&self) -> Result<Request> {
        let source = if self.model.is_empty() {
            Source::Files(self.files()?)
        } else {
            self.models()?
        };
        Ok(Request {
            source,
            rules: Rules {
                score: 0.0,
                cutoff: self.cutoff,
                pck: self.pck.clone(),
            },
            score: self.score,
            ignore: Ignore {
                min_size: self.min_size,
                min_visible: self.min_visible,
                largest: self.largest,
            },
            labels: Labels {
                agnostic: self.class_agnostic,
                map: self.map.iter().cloned().collect(),
                only: self.only.clone(),
            },
            tables: (!self.tables.is_empty()).then(|| self.tables.clone()),
            json: self.json.clone(),
            plots: self.plots.clone(),
        })
    }

    fn files(&self) -> Result<Vec<ResultFile>> {
        if self.results.is_empty() {
            bail!(
                "nothing to evaluate: give files of results with --truth, or --model with --scene or --video"
            );
        }
        let (n, m) = (self.results.len(), self.truth.len());
        if m != 1 && m != n {
            bail!(
                "{n} files of results and {m} of truth: give --truth once for all, or once for each"
            );
        }
        let names = names(&self.name, &self.results)?;
        let each = self.results.iter().zip(names).enumerate();
        Ok(each
            .map(|(i, (results, name))| ResultFile {
                name,
                results: results.clone(),
                truth: self.truth[if m == 1 { 0 } else { i }].clone(),
            })
            .collect())
    }

    fn models(&self) -> Result<Source> {
        let input = match (&self.scene, &self.video, &self.truth[..]) {
            (Some(_), _, [_, ..]) => bail!("--scene brings its own truth: leave --truth out"),
            (Some(kind), _, []) => Input::Scenes(self.scenes(*kind)),
            (None, Some(video), [truth]) => Input::Video {
                video: video.clone(),
                truth: truth.clone(),
            },
            (None, Some(_), _) => {
                bail!("--video needs one --truth: COCO annotations or a MOT file")
            }
            (None, None, _) => bail!("--model needs --scene, or --video with --truth"),
        };
        let frames = match input {
            Input::Scenes(_) => Some(self.frames.unwrap_or(300)),
            Input::Video { .. } => self.frames,
        };
        let names = names(&self.name, &self.model)?;
        Ok(Source::Models(Models {
            models: self
                .model
                .iter()
                .zip(names)
                .map(|(path, name)| NamedModel {
                    name,
                    path: path.clone(),
                })
                .collect(),
            input,
            frames,
            least_score: self.least_score,
            properties: self.properties.clone(),
        }))
    }

    fn scenes(&self, kind: SceneKind) -> Scenes {
        Scenes {
            kind: kind.name().to_owned(),
            domains: self.domain.clone(),
            scenario: self.scenario.clone(),
            seed: self.seed,
            count: self.scenes,
            width: self.size.width,
            height: self.size.height,
            rate: self.rate.fraction(),
        }
    }
}

/// Those given, or the files' names without folder and ending; what two would share gets the path.
fn names(given: &[String], files: &[PathBuf]) -> Result<Vec<String>> {
    if !given.is_empty() {
        if given.len() != files.len() {
            bail!(
                "{} names for {} files: give --name once for each, or not at all",
                given.len(),
                files.len()
            );
        }
        return Ok(given.to_vec());
    }
    let stem = |f: &Path| {
        f.file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let stems: Vec<String> = files.iter().map(|f| stem(f)).collect();
    let unique = |name: &String| stems.iter().filter(|s| *s == name).count() == 1;
    let each = stems.iter().zip(files);
    Ok(each
        .map(|(s, f)| {
            if unique(s) {
                s.clone()
            } else {
                f.display().to_string()
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(arguments: &[&str]) -> Result<Request, String> {
        let line = [&["splitinfer-eval"][..], arguments].concat();
        let args = Args::try_parse_from(line).map_err(|e| e.to_string())?;
        args.request().map_err(|e| e.to_string())
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_missing_or_too_much_is_said() {
        for (arguments, said) in [
            (&[][..], "nothing to evaluate"),
            (&["a.jsonl"], "1 files of results and 0 of truth"),
            (
                &["a", "b", "c", "--truth", "1", "--truth", "2"],
                "3 files of results and 2",
            ),
            (
                &["a", "--truth", "t", "--name", "x", "--name", "y"],
                "2 names for 1 files",
            ),
            (&["--model", "m"], "--scene, or --video"),
            (
                &["--model", "m", "--video", "v"],
                "--video needs one --truth",
            ),
            (
                &["--model", "m", "--scene", "walker", "--truth", "t"],
                "its own truth",
            ),
            (&["--model", "m", "--scene", "moon"], "traffic and walker"),
            (
                &["--model", "m", "--scene", "walker", "--size", "640"],
                "640x360",
            ),
            (
                &["--model", "m", "--scene", "walker", "--rate", "0"],
                "30 or 6/5",
            ),
            (&["a", "--truth", "t", "--score", "2"], "from 0 to 1"),
            (&["a", "--truth", "t", "--cutoff", "0"], "above 0"),
            (
                &["a", "--truth", "t", "--tables", "all"],
                "detection, pose, tracking",
            ),
            (&["a", "--truth", "t", "--map", "car"], "name=value"),
        ] {
            let e = request(arguments).unwrap_err();
            assert!(e.contains(said), "{arguments:?}: {e}");
        }
    }

    #[test]
    fn one_truth_serves_all_results_or_each_has_its_own() {
        let truths = |arguments: &[&str]| -> Vec<String> {
            match request(arguments).unwrap().source {
                Source::Files(files) => files
                    .iter()
                    .map(|f| f.truth.display().to_string())
                    .collect(),
                Source::Models(_) => Vec::new(),
            }
        };
        assert_eq!(truths(&["a", "b", "--truth", "t"]), ["t", "t"]);
        assert_eq!(
            truths(&["a", "b", "--truth", "t", "--truth", "u"]),
            ["t", "u"]
        );
    }

    #[test]
    fn names_are_short_where_they_can_be() {
        let files = ["x/a.onnx", "y/a.onnx", "x/b.onnx"].map(PathBuf::from);
        assert_eq!(names(&[], &files).unwrap(), ["x/a.onnx", "y/a.onnx", "b"]);
    }
}
