// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Reading a `.modelinfo` file: what it says, key by key, with nothing filled in.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use ini::{Ini, ParseOption, Properties};
use splitinfer_tensor::DType;

use super::own::{OWN_SECTION, Own};
use super::words::Word;
use super::{DimsOrder, Direction, TensorInfo, TensorSection};

/// What is wrong with a sidecar, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarError {
    pub file: PathBuf,
    pub line: Option<usize>,
    pub section: Option<String>,
    pub key: Option<String>,
    pub problem: String,
}

impl std::fmt::Display for SidecarError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if let Some(section) = &self.section {
            write!(f, "[{section}] ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for SidecarError {}

/// The types of GStreamer's `GstTensorDataType`, as a sidecar spells them.
const TYPE_NAMES: [&str; 15] = [
    "int4", "int8", "int16", "int32", "int64", "uint4", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "bfloat16", "bool",
];

/// A sidecar as written.
#[derive(Clone, Debug)]
pub(crate) struct Sidecar {
    origin: Origin,
    pub group_id: Option<String>,
    pub tensors: Vec<TensorSection>,
    pub own: Own,
}

impl Sidecar {
    pub fn empty(file: &Path) -> Self {
        Self {
            origin: Origin {
                file: file.to_owned(),
                lines: HashMap::new(),
            },
            group_id: None,
            tensors: Vec::new(),
            own: Own::default(),
        }
    }

    /// Where the sidecar of a model is looked for first.
    pub fn path_for(model: &Path) -> PathBuf {
        let mut name = model.as_os_str().to_owned();
        name.push(".modelinfo");
        name.into()
    }

    /// Reads `<model>.modelinfo` or, failing that, the same without the model's extension.
    pub fn load_for(model: &Path) -> Result<Option<Self>, SidecarError> {
        for path in [Self::path_for(model), model.with_extension("modelinfo")] {
            let unreadable = |problem: String| SidecarError {
                file: path.clone(),
                line: None,
                section: None,
                key: None,
                problem,
            };
            match std::fs::read(&path) {
                Ok(bytes) => {
                    let text = String::from_utf8(bytes)
                        .map_err(|e| unreadable(format!("not UTF-8 text: {e}")))?;
                    return Self::parse(&text, &path, path.parent()).map(Some);
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(unreadable(format!("cannot be read: {e}"))),
            }
        }
        Ok(None)
    }

    /// `file` is for error messages. `folder` is where `labels-file` is looked for; without it no file is opened.
    pub fn parse(text: &str, file: &Path, folder: Option<&Path>) -> Result<Self, SidecarError> {
        let mut sidecar = Self::empty(file);
        let ini = read_ini(text, file)?;
        sidecar.origin.lines = line_numbers(text);
        let origin = &sidecar.origin;

        let mut seen = HashSet::new();
        for (section, properties) in ini.iter() {
            let Some(section) = section else {
                let key = properties.iter().next().map(|(k, _)| k);
                return match key {
                    Some(key) => {
                        Err(origin.error("", key, "stands before the first [section]".into()))
                    }
                    None => continue,
                };
            };
            if !seen.insert(section) {
                return Err(origin.error(section, "", "the section is there twice".into()));
            }
            let keys = Keys::new(origin, section, properties)?;
            match section {
                "modelinfo" => sidecar.group_id = header(&keys)?,
                OWN_SECTION => sidecar.own = Own::read(&keys, folder)?,
                _ => sidecar.tensors.push(tensor_section(section, &keys)?),
            }
        }
        if !seen.contains("modelinfo") {
            return Err(origin.error(
                "",
                "",
                "no [modelinfo] section: a sidecar starts with [modelinfo] and version=1.0".into(),
            ));
        }
        Ok(sidecar)
    }

    pub fn error(&self, section: &str, key: &str, problem: String) -> SidecarError {
        self.origin.error(section, key, problem)
    }

    /// The inputs and outputs as the sidecar alone describes them.
    pub fn tensor_infos(&self) -> (Vec<TensorInfo>, Vec<TensorInfo>) {
        let of = |dir: Direction| {
            self.tensors
                .iter()
                .filter(|t| t.dir == Some(dir))
                .map(|t| TensorInfo {
                    name: t.name.clone(),
                    dtype: t.type_name.as_deref().and_then(dtype_from_name),
                    dims: t.dims.clone().unwrap_or_default(),
                })
                .collect()
        };
        (of(Direction::Input), of(Direction::Output))
    }
}

/// The element type of this name, if it is one that we handle.
pub(crate) fn dtype_from_name(name: &str) -> Option<DType> {
    (1..=16)
        .filter_map(DType::from_onnx)
        .find(|d| d.name() == name)
}

fn read_ini(text: &str, file: &Path) -> Result<Ini, SidecarError> {
    // GLib's key files know neither quotes nor backslashes, and one file is to mean the same in both worlds.
    let options = ParseOption {
        enabled_quote: false,
        enabled_escape: false,
        ..ParseOption::default()
    };
    Ini::load_from_str_opt(text, options).map_err(|e| SidecarError {
        file: file.to_owned(),
        line: Some(e.line + 1),
        section: None,
        key: None,
        problem: format!("not an INI file: {}", e.msg),
    })
}

/// The `[modelinfo]` section; gives the group id.
fn header(keys: &Keys<'_>) -> Result<Option<String>, SidecarError> {
    let version = keys
        .get("version")
        .ok_or_else(|| keys.error("version", "is missing: version=1.0".into()))?;
    let major = version.split_once('.').map(|(major, _)| major);
    if major != Some("1") {
        return Err(keys.error(
            "version",
            format!("\"{version}\" is not supported, only 1.x is"),
        ));
    }
    Ok(keys.get("group-id").map(str::to_owned))
}

fn tensor_section(name: &str, keys: &Keys<'_>) -> Result<TensorSection, SidecarError> {
    let type_name = keys.get("type").map(str::to_owned);
    if let Some(t) = &type_name
        && !TYPE_NAMES.contains(&t.as_str())
    {
        return Err(keys.error(
            "type",
            format!("\"{t}\" is not one of {}", TYPE_NAMES.join(", ")),
        ));
    }
    // Nothing at all is the shape of a scalar, which a list has no other way to write.
    let written = match keys.get("dims").map(str::trim) {
        Some("") => Some(Vec::new()),
        _ => keys.list("dims", ',', "an integer", |s| s.parse::<i64>().ok())?,
    };
    let dims = written.map(|dims| dims.into_iter().map(|d| usize::try_from(d).ok()).collect());
    Ok(TensorSection {
        id: keys.get("id").map(str::to_owned),
        type_name,
        dims,
        dir: keys.word::<Direction>("dir")?,
        dims_order: keys.word::<DimsOrder>("dims-order")?.unwrap_or_default(),
        ranges: keys
            .list("ranges", ';', "a pair min,max", |s| {
                let (min, max) = s.split_once(',')?;
                let pair = [min.trim().parse().ok()?, max.trim().parse().ok()?];
                pair.iter().all(|x: &f32| x.is_finite()).then_some(pair)
            })?
            .unwrap_or_default(),
        ..TensorSection::new(name)
    })
}

/// The file a sidecar came from, and the line of each of its keys.
#[derive(Clone, Debug)]
struct Origin {
    file: PathBuf,
    lines: HashMap<(String, String), usize>,
}

impl Origin {
    /// Empty `section` or `key`: the problem is not in one.
    fn error(&self, section: &str, key: &str, problem: String) -> SidecarError {
        let named = |s: &str| (!s.is_empty()).then(|| s.to_owned());
        let line = |key: &str| self.lines.get(&(section.to_owned(), key.to_owned()));
        SidecarError {
            file: self.file.clone(),
            line: line(key).or_else(|| line("")).copied(),
            section: named(section),
            key: named(key),
            problem,
        }
    }
}

/// The line of each section (key "") and of each key; the parser itself does not keep them.
fn line_numbers(text: &str) -> HashMap<(String, String), usize> {
    let mut lines = HashMap::new();
    let mut section = String::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        let key = if let Some(title) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            title.trim().clone_into(&mut section);
            ""
        } else if let Some(end) = line.find(['=', ':']) {
            line[..end].trim()
        } else {
            continue;
        };
        lines
            .entry((section.clone(), key.to_owned()))
            .or_insert(i + 1);
    }
    lines
}

/// The keys of one section, read by type; every error names the key.
pub(super) struct Keys<'a> {
    origin: &'a Origin,
    section: &'a str,
    values: BTreeMap<&'a str, &'a str>,
}

impl<'a> Keys<'a> {
    fn new(
        origin: &'a Origin,
        section: &'a str,
        properties: &'a Properties,
    ) -> Result<Self, SidecarError> {
        let mut values = BTreeMap::new();
        for (key, value) in properties.iter() {
            if values.insert(key, value.trim()).is_some() {
                return Err(origin.error(section, key, "the key is there twice".into()));
            }
        }
        Ok(Self {
            origin,
            section,
            values,
        })
    }

    pub fn error(&self, key: &str, problem: String) -> SidecarError {
        self.origin.error(self.section, key, problem)
    }

    pub fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.values.keys().copied()
    }

    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.values.get(key).copied()
    }

    /// A value that `read` understands; `what` names it in the error.
    pub fn value<T>(
        &self,
        key: &str,
        what: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, SidecarError> {
        self.get(key)
            .map(|s| read(s).ok_or_else(|| self.error(key, format!("\"{s}\" is not {what}"))))
            .transpose()
    }

    /// One of the words of an enumeration.
    pub fn word<W: Word>(&self, key: &str) -> Result<Option<W>, SidecarError> {
        let what = format!("one of {}", W::choices());
        self.value(key, &what, W::from_word)
    }

    /// Values between separators; a separator at the end is allowed, as in GLib's key files.
    pub fn list<T>(
        &self,
        key: &str,
        separator: char,
        what: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<Vec<T>>, SidecarError> {
        let Some(text) = self.get(key) else {
            return Ok(None);
        };
        let text = text.strip_suffix(separator).unwrap_or(text);
        text.split(separator)
            .map(|s| {
                let s = s.trim();
                read(s).ok_or_else(|| self.error(key, format!("\"{s}\" is not {what}")))
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }
}
