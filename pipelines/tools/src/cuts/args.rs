// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The command line.

use super::Request;
use clap::Parser;
use splitinfer_runtime::{DEFAULT_CANDIDATES, Provider, SessionOptions};
use std::path::PathBuf;
use std::str::FromStr;

/// Where an ONNX model can be cut in two, what would cross the network there, and what each side costs.
///
/// The numbers in the first column are what the property `split` of the element splitinfer-edge takes (as long as
/// neither --limit nor --all is given); so are the names.
#[derive(Clone, Debug, Parser)]
#[command(name = "splitinfer-cuts", version)]
pub struct Args {
    /// The ONNX file
    pub model: PathBuf,

    /// Shape of an input whose dimensions are not fixed in the file, for example images=1x3x416x416 (the name may
    /// be left out where there is only one input)
    #[arg(long, value_name = "[NAME=]SHAPE")]
    pub input_shape: Vec<InputShape>,

    /// Show at most so many candidates
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CANDIDATES, conflicts_with = "all")]
    pub limit: usize,

    /// Show every legal cut, also those that another one beats in every respect
    #[arg(long)]
    pub all: bool,

    /// Threads that share the work of one operator; 0: one a physical core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,

    /// What runs the model: cpu, cuda, tensorrt, openvino, coreml, directml or xnnpack
    #[arg(long, value_name = "NAME", default_value_t = Provider::Cpu)]
    pub execution_provider: Provider,

    /// Number of the execution provider's device
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub device: i32,

    /// Bits a value for the coded sizes: 2 to 8, 16 or 32
    #[arg(long, value_name = "N", default_value_t = splitinfer_tensorcode::AUTO_BITS, value_parser = bits)]
    pub bits: u8,

    /// Prove for every candidate that head and tail together are the whole model; exit with 1 if one is not
    #[arg(long)]
    pub verify: bool,

    /// Feed frames of this video, as the model's sidecar says, instead of noise
    #[arg(long, value_name = "FILE")]
    pub video: Option<PathBuf>,

    /// How many frames of the video, evenly spread over it
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub frames: usize,

    /// How often each part is timed; the table shows medians
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub runs: usize,

    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

impl Args {
    pub fn request(&self) -> Request {
        Request {
            model: self.model.clone(),
            shapes: self.input_shape.clone(),
            limit: (!self.all).then_some(self.limit),
            options: SessionOptions {
                threads: self.threads,
                provider: self.execution_provider,
                device: self.device,
            },
            bits: self.bits,
            verify: self.verify,
            video: self.video.clone(),
            frames: self.frames.max(1),
            runs: self.runs,
        }
    }
}

/// A shape for an input; without a name it is for the only one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputShape {
    pub name: Option<String>,
    pub shape: Vec<usize>,
}

impl FromStr for InputShape {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let (name, shape) = match s.rsplit_once('=') {
            Some((name, shape)) => (Some(name.to_owned()), shape),
            None => (None, s),
        };
        let shape = shape
            .split(['x', ','])
            .map(|n| n.trim().parse().ok().filter(|n| *n > 0))
            .collect::<Option<Vec<usize>>>()
            .ok_or_else(|| format!("`{shape}` is not a shape like 1x3x416x416"))?;
        Ok(Self { name, shape })
    }
}

fn bits(s: &str) -> Result<u8, String> {
    s.parse()
        .ok()
        .filter(|b| matches!(b, 2..=8 | 16 | 32))
        .ok_or_else(|| "it must be 2 to 8, 16 or 32".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_with_and_without_a_name() {
        let shape = |name: Option<&str>, shape: &[usize]| {
            Ok(InputShape {
                name: name.map(str::to_owned),
                shape: shape.to_vec(),
            })
        };
        assert_eq!(
            "images=1x3x416x320".parse(),
            shape(Some("images"), &[1, 3, 416, 320])
        );
        assert_eq!("a=b:0=1,2".parse(), shape(Some("a=b:0"), &[1, 2]));
        assert_eq!("1x3".parse(), shape(None, &[1, 3]));
        for bad in ["", "x", "images=", "images=1x0", "1x-3"] {
            assert!(bad.parse::<InputShape>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
        assert_eq!(
            Args::parse_from(["splitinfer-cuts", "m", "--all"])
                .request()
                .limit,
            None
        );
        for bad in [
            &["--bits", "9"][..],
            &["--limit", "2", "--all"],
            &["--threads", "-1"],
        ] {
            let line = [&["splitinfer-cuts", "m"][..], bad].concat();
            assert!(Args::try_parse_from(line).is_err(), "{bad:?}");
        }
    }
}
