// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is written: checked before training, complete or not at all.

use super::student::{Student, bytes, name};
use super::{Files, Request};
use anyhow::{Context, Result, bail};
use splitinfer_trainer::{Delta, State, Trainer};
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

impl Files {
    /// # Errors
    /// When something that is to be written could not be, or would overwrite what is there.
    pub(super) fn check(&self, student: &Student) -> Result<()> {
        if self.output.exists() && !self.force {
            bail!(
                "{} exists; --force overwrites it, --output FILE names another",
                self.output.display()
            );
        }
        if let (Some(from), to) = (student.sidecar(), self.sidecar())
            && to.exists()
            && !self.force
            && bytes(&from)? != bytes(&to)?
        {
            bail!(
                "{} exists and says something else than the model's own; --force overwrites it",
                to.display()
            );
        }
        if let Some(plot) = &self.plot {
            is_png(plot)?;
        }
        let others = [&self.log, &self.plot, &self.delta, &self.save_state];
        for file in [&self.output]
            .into_iter()
            .chain(others.into_iter().flatten())
        {
            place_for(file)?;
        }
        Ok(())
    }

    /// Beside the output.
    fn sidecar(&self) -> PathBuf {
        let mut name = self.output.clone().into_os_string();
        name.push(".modelinfo");
        name.into()
    }

    /// # Errors
    /// When the file cannot be read or is no state.
    pub(super) fn state(&self) -> Result<Option<State>> {
        let Some(path) = &self.resume else {
            return Ok(None);
        };
        let state = State::from_bytes(&bytes(path)?).with_context(|| path.display().to_string())?;
        Ok(Some(state))
    }
}

/// The model, its sidecar and what changed; with `only_state` nothing but the state. Returns what was written. The
/// model comes last, so that what belongs to it is there when it is.
///
/// # Errors
/// When one cannot be written.
pub(super) fn write(
    request: &Request,
    student: &Student,
    trainer: &Trainer,
    only_state: bool,
) -> Result<Vec<PathBuf>> {
    let files = &request.files;
    let mut all: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    if !only_state {
        let delta = Delta::new(&student.original, trainer.weights()?)?;
        let model = delta.apply(&student.original)?;
        all.push((files.output.clone(), model.to_bytes()));
        if let Some(sidecar) = student.sidecar() {
            all.push((files.sidecar(), bytes(&sidecar)?));
        }
        if let Some(path) = &files.delta {
            all.push((path.clone(), delta.to_bytes()?));
        }
    }
    if let Some(path) = &files.save_state {
        all.push((path.clone(), trainer.state()?.to_bytes()?));
    }
    for (path, bytes) in all.iter().rev() {
        whole(path, bytes)?;
    }
    Ok(all.into_iter().map(|(path, _)| path).collect())
}

/// Writes beside, then renames, so that nobody ever sees half a model, whenever the process or the machine stops.
fn whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let beside = format!(".{}.", name(path));
    let mut file = tempfile::Builder::new()
        .prefix(&beside)
        .suffix(".part")
        .tempfile_in(folder(path))
        .with_context(cannot)?;
    file.write_all(bytes).with_context(cannot)?;
    readable(&file).with_context(cannot)?;
    file.as_file().sync_all().with_context(cannot)?;
    file.persist(path).with_context(cannot)?;
    Ok(())
}

/// Temporary files are their owner's alone; models are not.
#[cfg(unix)]
fn readable(file: &NamedTempFile) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &NamedTempFile) -> std::io::Result<()> {
    Ok(())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// That a file can be made there.
fn place_for(path: &Path) -> Result<()> {
    if path.is_dir() {
        bail!("cannot write {}: it is a folder", path.display());
    }
    NamedTempFile::new_in(folder(path))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

/// Whether a plot is to be PNG, not SVG.
///
/// # Errors
/// When it is neither.
pub(super) fn is_png(plot: &Path) -> Result<bool> {
    match plot.extension().and_then(|e| e.to_str()) {
        Some("png") => Ok(true),
        Some("svg") => Ok(false),
        _ => bail!("--plot {}: its name must end in .svg or .png", name(plot)),
    }
}
