// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! One arena for the tensors of all sessions. Of a model that is held in parts one runs at a time, and each with an arena of its
//! own would keep for ever what its tensors have once taken: the whole and the chain of FastestDet's parts, used in turns, take 19 MB
//! instead of 45 (`tests/measure.sh split-switch`).

use std::ffi::CStr;
use std::ptr;

use ort::AsPointer;
use ort::environment::Environment;
use ort::sys::{OrtAllocatorType, OrtMemType, OrtStatusPtr};

/// As ONNX Runtime sees fit.
const DEFAULT: i32 = -1;

/// Gives the environment an arena for the processor's memory, for sessions made `with_env_allocators`. It keeps what it once
/// got as long as the process lives.
///
/// # Errors
/// What ONNX Runtime says.
pub(crate) fn share(environment: &Environment) -> Result<(), String> {
    let api = ort::api();
    let (mut config, mut memory) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the library was loaded, all that is passed lives throughout, and the environment copies what it needs.
    unsafe {
        let made = told((api.CreateArenaCfg)(
            0,
            DEFAULT,
            DEFAULT,
            DEFAULT,
            &mut config,
        ))
        .and_then(|()| {
            let kind = OrtAllocatorType::OrtArenaAllocator;
            let status =
                (api.CreateCpuMemoryInfo)(kind, OrtMemType::OrtMemTypeDefault, &mut memory);
            told(status)
        })
        .and_then(|()| {
            let environment = environment.ptr().cast_mut();
            told((api.CreateAndRegisterAllocator)(
                environment,
                memory,
                config,
            ))
        });
        if !memory.is_null() {
            (api.ReleaseMemoryInfo)(memory);
        }
        if !config.is_null() {
            (api.ReleaseArenaCfg)(config);
        }
        made
    }
}

/// Takes the status.
///
/// # Safety
/// It comes from ONNX Runtime, and nobody else has it.
unsafe fn told(status: OrtStatusPtr) -> Result<(), String> {
    if status.0.is_null() {
        return Ok(());
    }
    let api = ort::api();
    // SAFETY: as above; the message lives as long as the status.
    unsafe {
        let text = CStr::from_ptr((api.GetErrorMessage)(status.0));
        let text = text.to_string_lossy().into_owned();
        (api.ReleaseStatus)(status.0);
        Err(text)
    }
}
