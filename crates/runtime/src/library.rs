// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Finding ONNX Runtime's shared library, and the one environment that all sessions of a process share.
//!
//! The `ort` crate panics when it has to find a missing library by itself, so everything is tried and checked
//! here first; `ort` is only ever given the absolute path of a library that was seen to serve.

use crate::error::{RuntimeError, one_line};
use crate::{arena, exit};
use libloading::Symbol;
use ort::environment::Environment;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::{CStr, OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

pub use ort::logging::LogLevel;

/// Oldest ONNX Runtime that has the C API asked for here (the `api-17` feature of `ort`).
const OLDEST_MINOR: u32 = 17;

/// Newest minor version whose versioned file name is tried. Distributions that build their own library name it
/// after major and minor version (Debian 13: `libonnxruntime.so.1.21`), so the names have to be enumerated.
const NEWEST_MINOR: u32 = 60;

/// The ONNX Runtime library in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Absolute path of the library file (as the dynamic linker found it).
    pub path: PathBuf,
    /// As the library says, for example `1.21.0`.
    pub version: String,
}

struct Loaded {
    library: Library,
    environment: Environment,
}

/// Kept for the life of the process: sessions may outlive everything else, and ONNX Runtime does not survive
/// being unloaded. A failed attempt is not kept, so that it can be repeated once the library is there.
static LOADED: Mutex<Option<Arc<Loaded>>> = Mutex::new(None);

/// Loads ONNX Runtime, once for the process; later calls return what the first one found.
///
/// The order is
/// 1. `ORT_DYLIB_PATH` (a library file, or a folder that holds one). If it is set, nothing else is tried.
/// 2. the system's library, by all names it goes by, wherever the dynamic linker looks;
/// 3. `<near>/onnxruntime/`, then `<near>/../onnxruntime/`, where the project's set-up puts it. `near` is the
///    folder of the plugin or program; `None` stands for that of the running program.
///
/// # Errors
/// [`RuntimeError::LibraryMissing`] or [`RuntimeError::LibraryUnusable`]: what was tried, why it did not serve
/// and how to get one that does.
pub fn load_library(near: Option<&Path>) -> Result<Library, RuntimeError> {
    Ok(loaded(near)?.library.clone())
}

/// The environment all sessions are made in; loads the library if nobody did.
pub(crate) fn environment() -> Result<Environment, RuntimeError> {
    Ok(loaded(None)?.environment.clone())
}

fn loaded(near: Option<&Path>) -> Result<Arc<Loaded>, RuntimeError> {
    let mut slot = LOADED.lock().unwrap();
    if let Some(loaded) = &*slot {
        return Ok(loaded.clone());
    }
    let library = find(near)?;
    let unusable = |reason: String| RuntimeError::LibraryUnusable {
        path: library.path.clone(),
        reason,
    };
    let environment = ort::init_from(&library.path)
        .map_err(|e| unusable(one_line(e)))?
        .with_name("splitinfer")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, _category, _id, _location, message| {
            log(level, message);
        }))
        .build()
        .map_err(|e| unusable(one_line(e.message())))?;
    // With a logger of one's own `ort` asks for everything; formatting what nobody reads costs time.
    environment.set_log_level(LogLevel::Error);
    // Another plugin of this process may have done so: ONNX Runtime has one environment. Without it each session has its own.
    if let Err(reason) = arena::share(&environment) {
        log(
            LogLevel::Info,
            &format!("no new arena for all sessions: {reason}"),
        );
    }
    exit::guard_the_end();
    let loaded = Arc::new(Loaded {
        library,
        environment,
    });
    *slot = Some(loaded.clone());
    Ok(loaded)
}

type Sink = Box<dyn Fn(LogLevel, &str) + Send + Sync>;
static SINK: OnceLock<Sink> = OnceLock::new();

/// Where ONNX Runtime's own messages go. Without a sink they go nowhere: what matters in them also comes as the
/// text of an error. The first call wins; returns whether this was it.
pub fn log_to(sink: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> bool {
    SINK.set(Box::new(sink)).is_ok()
}

fn log(level: LogLevel, message: &str) {
    if let Some(sink) = SINK.get() {
        sink(level, message);
    }
}

fn find(near: Option<&Path>) -> Result<Library, RuntimeError> {
    if let Some(named) = std::env::var_os("ORT_DYLIB_PATH").filter(|s| !s.is_empty()) {
        let path = PathBuf::from(&named);
        let file = if path.is_dir() {
            libraries_in(&path).into_iter().next()
        } else {
            Some(path.clone())
        };
        return file
            .ok_or_else(|| "it is a folder without an ONNX Runtime library".to_owned())
            .and_then(|file| inspect(file.as_os_str()))
            .map_err(|reason| RuntimeError::LibraryUnusable { path, reason });
    }

    let mut tried = Vec::new();
    for name in system_names() {
        match inspect(&name) {
            Ok(library) => return Ok(library),
            // Not being there under one of many possible names is no news; being there and unusable is.
            Err(reason) if reason.contains("cannot open shared object file") => {}
            Err(reason) if cfg!(not(target_os = "linux")) && reason.contains("not find") => {}
            Err(reason) => tried.push(format!("{}: {reason}", Path::new(&name).display())),
        }
    }
    tried.push("no system library".to_owned());
    for folder in folders(near) {
        match libraries_in(&folder).first() {
            None => tried.push(format!("none in {}", folder.display())),
            Some(file) => match inspect(file.as_os_str()) {
                Ok(library) => return Ok(library),
                Err(reason) => tried.push(format!("{}: {reason}", file.display())),
            },
        }
    }
    Err(RuntimeError::LibraryMissing { tried })
}

fn folders(near: Option<&Path>) -> Vec<PathBuf> {
    let near = near.map(Path::to_path_buf).or_else(|| {
        let program = std::env::current_exe().ok()?;
        Some(program.parent()?.to_path_buf())
    });
    near.into_iter()
        .flat_map(|near| {
            let above = near.parent().map(|p| p.join("onnxruntime"));
            std::iter::once(near.join("onnxruntime")).chain(above)
        })
        .collect()
}

/// Names for the dynamic linker, which knows the library path, its cache and `LD_LIBRARY_PATH`.
fn system_names() -> Vec<OsString> {
    let plain = format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}");
    let mut names = vec![plain.clone()];
    if cfg!(all(unix, not(target_vendor = "apple"))) {
        names.push(format!("{plain}.1"));
        for minor in (OLDEST_MINOR..=NEWEST_MINOR).rev() {
            names.push(format!("{plain}.1.{minor}"));
            // Releases before 1.20 carried the full version as their soname.
            names.extend(
                (0..=3)
                    .rev()
                    .map(|patch| format!("{plain}.1.{minor}.{patch}")),
            );
        }
    }
    names.into_iter().map(OsString::from).collect()
}

/// ONNX Runtime libraries in a folder, newest first.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let plain = format!("{DLL_PREFIX}onnxruntime");
    let mut found: Vec<(Vec<u32>, PathBuf)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(&plain)?;
            // libonnxruntime.so.1.21.0, libonnxruntime.1.21.0.dylib; not libonnxruntime_providers_shared.so
            let version = rest
                .strip_prefix(DLL_SUFFIX)
                .or_else(|| rest.strip_suffix(DLL_SUFFIX))?;
            let version: Option<Vec<u32>> = version
                .split('.')
                .filter(|s| !s.is_empty())
                .map(|s| s.parse().ok())
                .collect();
            Some((version?, entry.path()))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Opens a library and asks it who it is. It stays loaded, for `ort` to open again under its absolute path.
fn inspect(name: &OsStr) -> Result<Library, String> {
    // SAFETY: runs the library's initialisers; that is what loading ONNX Runtime means. The two functions have
    // these signatures in every version of onnxruntime_c_api.h.
    unsafe {
        let library =
            libloading::Library::new(name).map_err(|e| match std::error::Error::source(&e) {
                Some(cause) => one_line(cause),
                None => one_line(e),
            })?;
        let base: Symbol<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase> = library
            .get(b"OrtGetApiBase\0")
            .map_err(|_| "it is not ONNX Runtime (it has no `OrtGetApiBase`)".to_owned())?;
        let path = path_of(*base as *const libc::c_void).unwrap_or_else(|| PathBuf::from(name));
        let base = base();
        if base.is_null() {
            return Err("`OrtGetApiBase` gave nothing".to_owned());
        }
        let version = CStr::from_ptr(((*base).GetVersionString)())
            .to_string_lossy()
            .into_owned();
        // Asking an old library for a newer API makes it print to stderr: look at the version first.
        if !serves(&version) {
            return Err(format!(
                "its version is {version}, and 1.{OLDEST_MINOR} is the oldest that serves"
            ));
        }
        if ((*base).GetApi)(OLDEST_MINOR).is_null() {
            return Err(format!(
                "version {version} does not offer the C API of 1.{OLDEST_MINOR}"
            ));
        }
        std::mem::forget(library);
        Ok(Library { path, version })
    }
}

fn serves(version: &str) -> bool {
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (major, minor) >= (1, OLDEST_MINOR)
}

/// The file a function was loaded from.
#[cfg(unix)]
fn path_of(function: *const libc::c_void) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `info` is valid for writing, and is read only after `dladdr` said that it filled it in.
    let name = unsafe {
        if libc::dladdr(function, info.as_mut_ptr()) == 0 {
            return None;
        }
        let name = info.assume_init().dli_fname;
        if name.is_null() {
            return None;
        }
        CStr::from_ptr(name)
    };
    let path = Path::new(OsStr::from_bytes(name.to_bytes()));
    std::path::absolute(path).ok()
}

#[cfg(not(unix))]
fn path_of(_: *const libc::c_void) -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for good in ["1.17.0", "1.21.0", "1.100.0", "2.0.0", "1.32.0-dev"] {
            assert!(serves(good), "{good}");
        }
        for bad in ["1.16.3", "1.9.1", "0.99", "", "nonsense"] {
            assert!(!serves(bad), "{bad}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_newest_library_of_a_folder_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "libonnxruntime.so.1.9.0",
            "libonnxruntime.so.1.21.0",
            "libonnxruntime_providers_shared.so",
            "libonnxruntime.so.txt",
            "other.so",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let names: Vec<_> = libraries_in(folder.path())
            .iter()
            .map(|p| p.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(
            names,
            ["libonnxruntime.so.1.21.0", "libonnxruntime.so.1.9.0"]
        );
        assert!(libraries_in(Path::new("/does/not/exist")).is_empty());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_library_that_is_something_else_is_named_as_such() {
        let reason = inspect(OsStr::new("libc.so.6")).unwrap_err();
        assert!(reason.contains("not ONNX Runtime"), "{reason}");
    }
}
