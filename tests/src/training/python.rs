// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! PyTorch, where a Python on this machine has it. The project does not depend on it.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Names the Python to use; it needs `torch` and `onnx`.
pub const VARIABLE: &str = "SPLITINFER_PYTHON";

/// How OpenMP's threads wait.
const POLICY: &str = "OMP_WAIT_POLICY";

/// PyTorch's version, if there is one.
pub fn version() -> Option<&'static str> {
    static VERSION: OnceLock<Option<String>> = OnceLock::new();
    let find = || {
        let output = Command::new(python())
            .args(["-c", "import onnx, torch; print(torch.__version__)"])
            .stderr(Stdio::null())
            .output();
        let output = output.ok().filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    VERSION.get_or_init(find).as_deref()
}

/// What a table says where PyTorch's figure would stand.
pub fn heading() -> String {
    match version() {
        Some(version) => format!("PyTorch {version}"),
        None => "no PyTorch here".to_owned(),
    }
}

/// What PyTorch's threads do while they wait for one another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// As PyTorch comes: they spin. Best where nothing else runs.
    Default,
    /// They sleep, as ours. Beside other work, threads that spin take the processor from those that they wait for, and
    /// steps become several times as long.
    Asleep,
}

/// Runs a module of crates/grad/tests/fixtures; `None` where there is no PyTorch.
pub fn module(name: &str, waiting: Waiting) -> Option<Command> {
    version()?;
    let mut command = Command::new(python());
    command
        .args(["-m", name])
        .current_dir(crate::repository().join("crates/grad/tests/fixtures"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove(POLICY);
    if waiting == Waiting::Asleep {
        command.env(POLICY, "passive");
    }
    Some(command)
}

fn python() -> std::ffi::OsString {
    std::env::var_os(VARIABLE).unwrap_or_else(|| "python3".into())
}
