// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which hardware runs a session.

use crate::error::{RuntimeError, one_line};
use crate::library;
use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use std::fmt;
use std::str::FromStr;

/// An execution provider of ONNX Runtime. All but the CPU need a library that was built with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Provider {
    #[default]
    Cpu,
    Cuda,
    TensorRt,
    OpenVino,
    CoreMl,
    DirectMl,
    Xnnpack,
}

impl Provider {
    pub const ALL: [Self; 7] = [
        Self::Cpu,
        Self::Cuda,
        Self::TensorRt,
        Self::OpenVino,
        Self::CoreMl,
        Self::DirectMl,
        Self::Xnnpack,
    ];

    /// The name users type: `cpu`, `cuda`, `tensorrt`, `openvino`, `coreml`, `directml`, `xnnpack`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::OpenVino => "openvino",
            Self::CoreMl => "coreml",
            Self::DirectMl => "directml",
            Self::Xnnpack => "xnnpack",
        }
    }

    /// Whether the loaded ONNX Runtime was built with it (which does not say that its hardware is there).
    ///
    /// # Errors
    /// When ONNX Runtime cannot be loaded.
    pub fn is_available(self) -> Result<bool, RuntimeError> {
        library::environment()?;
        let available = match self {
            Self::Cpu => return Ok(true),
            Self::Cuda => ep::CUDA::is_available(),
            Self::TensorRt => ep::TensorRT::is_available(),
            Self::OpenVino => ep::OpenVINO::is_available(),
            Self::CoreMl => ep::CoreML::is_available(),
            Self::DirectMl => ep::DirectML::is_available(),
            Self::Xnnpack => ep::XNNPACK::is_available(),
        };
        available.map_err(|e| RuntimeError::Load(one_line(e.message())))
    }

    /// What to register with a session; `None` for the CPU, which is always there.
    ///
    /// # Errors
    /// When the loaded ONNX Runtime was built without it.
    pub(crate) fn dispatch(
        self,
        device: i32,
    ) -> Result<Option<ExecutionProviderDispatch>, RuntimeError> {
        if !self.is_available()? {
            return Err(self.missing()?);
        }
        let dispatch = match self {
            Self::Cpu => return Ok(None),
            Self::Cuda => ep::CUDA::default().with_device_id(device).build(),
            Self::TensorRt => ep::TensorRT::default().with_device_id(device).build(),
            // OpenVINO and CoreML name their devices instead of numbering them; theirs is the default one.
            Self::OpenVino => ep::OpenVINO::default().build(),
            Self::CoreMl => ep::CoreML::default().build(),
            Self::DirectMl => ep::DirectML::default().with_device_id(device).build(),
            Self::Xnnpack => ep::XNNPACK::default().build(),
        };
        // Otherwise `ort` would silently go on without it, and the user would wonder why it is slow.
        Ok(Some(dispatch.error_on_failure()))
    }

    fn missing(self) -> Result<RuntimeError, RuntimeError> {
        let library = library::load_library(None)?;
        let available = Self::ALL
            .into_iter()
            .filter(|p| p.is_available().unwrap_or(false))
            .map(|p| p.name().to_owned())
            .collect();
        Ok(RuntimeError::ProviderMissing {
            wanted: self.name(),
            library: format!("{}, version {}", library.path.display(), library.version),
            available,
        })
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Provider {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let wanted = s.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|p| p.name() == wanted)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                format!("there is no execution provider `{s}`; it is one of {names}")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_is_found_by_its_name() {
        for provider in Provider::ALL {
            assert_eq!(provider.name().parse(), Ok(provider));
        }
        assert!("gpu".parse::<Provider>().unwrap_err().contains("cuda"));
    }
}
