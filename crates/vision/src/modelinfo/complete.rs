// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! From what a sidecar says and what a model shows to a complete [`ModelInfo`].

use splitinfer_tensor::DType;

use super::own::{OWN_SECTION, ROLE_PREFIX};
use super::sidecar::{Sidecar, SidecarError, dtype_from_name};
use super::words::Word;
use super::{
    Colour, Direction, HeadInfo, HeadKind, InputInfo, Layout, ModelInfo, TensorInfo, TensorSection,
    guess, presets,
};

/// No side of a picture may be longer; the numbers may come from the network.
const MAX_SIDE: usize = 8192;

/// Fills in what `sidecar` leaves open and returns what was assumed to do so.
pub(super) fn complete(
    sidecar: Sidecar,
    inputs: &[TensorInfo],
    outputs: &[TensorInfo],
) -> Result<(ModelInfo, Vec<String>), SidecarError> {
    check_sections(&sidecar, inputs, outputs)?;
    let mut notes = Notes(Vec::new());
    let geometry = geometry(&sidecar, inputs)?;
    let kind = match sidecar.own.head {
        Some(kind) => kind,
        None => notes.head(guess::head(geometry.size, outputs)),
    };
    let usual = guess::usual(kind, geometry.dtype, geometry.layout);
    let head = head_info(&sidecar, kind, &usual, outputs, &mut notes)?;
    let input = input_info(&sidecar, geometry, &usual, &mut notes)?;
    let (labels, keypoints, skeleton) = names(&sidecar, kind, &head, outputs, &mut notes)?;
    let tensors = sections(sidecar.tensors, &input, inputs, outputs);
    let info = ModelInfo {
        group_id: sidecar.group_id,
        tensors,
        input,
        head,
        labels,
        keypoints,
        skeleton,
    };
    Ok((info, notes.0))
}

/// A section for every tensor of the model, those of the sidecar first, with nothing left open that is known.
fn sections(
    mut sections: Vec<TensorSection>,
    input: &InputInfo,
    inputs: &[TensorInfo],
    outputs: &[TensorInfo],
) -> Vec<TensorSection> {
    let of = |tensors: &[TensorInfo], dir| -> Vec<_> {
        tensors.iter().cloned().map(|t| (t, dir)).collect()
    };
    let tensors = [of(inputs, Direction::Input), of(outputs, Direction::Output)];
    for (tensor, dir) in tensors.concat() {
        let at = sections.iter().position(|s| s.name == tensor.name);
        let at = at.unwrap_or_else(|| {
            sections.push(TensorSection::new(&tensor.name));
            sections.len() - 1
        });
        let section = &mut sections[at];
        section.dir = Some(dir);
        section.dims.get_or_insert(tensor.dims);
        section.type_name = section
            .type_name
            .take()
            .or(tensor.dtype.map(|d| d.name().to_owned()));
        if dir == Direction::Input {
            section.ranges.clone_from(&input.ranges);
        }
    }
    sections
}

/// What was assumed, in words.
struct Notes(Vec<String>);

impl Notes {
    fn head(&mut self, found: Option<(HeadKind, String)>) -> HeadKind {
        let (kind, reason) = found.unwrap_or((
            HeadKind::Raw,
            "the outputs are not those of a known head, so they are passed on as raw tensors"
                .to_owned(),
        ));
        self.0.push(format!("head={}: {reason}", kind.name()));
        kind
    }

    /// The value given, or else the usual one, noted.
    fn or_usual<W: Word>(&mut self, key: &str, given: Option<W>, usual: W) -> W {
        given.unwrap_or_else(|| {
            self.0.push(format!("{key}={}", usual.word()));
            usual
        })
    }
}

/// Every tensor section must be a tensor of the model and agree with it.
fn check_sections(
    sidecar: &Sidecar,
    inputs: &[TensorInfo],
    outputs: &[TensorInfo],
) -> Result<(), SidecarError> {
    for section in &sidecar.tensors {
        let refuse = |key: &str, problem: String| Err(sidecar.error(&section.name, key, problem));
        let candidates = match section.dir {
            Some(Direction::Input) => inputs.to_vec(),
            Some(Direction::Output) => outputs.to_vec(),
            None => [inputs, outputs].concat(),
        };
        let Some(tensor) = candidates.iter().find(|t| t.name == section.name) else {
            let names: Vec<_> = candidates.iter().map(|t| t.name.as_str()).collect();
            return refuse(
                "",
                format!("the model has no such tensor; it has {}", names.join(", ")),
            );
        };
        if let Some(dims) = &section.dims
            && !dims_match(dims, &tensor.dims)
        {
            return refuse(
                "dims",
                format!(
                    "{} does not match the model's {}",
                    show_dims(dims),
                    show_dims(&tensor.dims)
                ),
            );
        }
        let stated = section.type_name.as_deref().and_then(dtype_from_name);
        if let (Some(a), Some(b)) = (stated, tensor.dtype)
            && a != b
        {
            return refuse("type", format!("{a}, but in the model it is {b}"));
        }
    }
    Ok(())
}

fn dims_match(stated: &[Option<usize>], model: &[Option<usize>]) -> bool {
    stated.len() == model.len()
        && stated
            .iter()
            .zip(model)
            .all(|(a, b)| a.is_none() || b.is_none() || a == b)
}

fn show_dims(dims: &[Option<usize>]) -> String {
    let dims: Vec<_> = dims
        .iter()
        .map(|d| d.map_or("?".to_owned(), |d| d.to_string()))
        .collect();
    format!("[{}]", dims.join(", "))
}

/// Type and shape of the input.
struct Geometry {
    name: String,
    dtype: DType,
    layout: Layout,
    /// Width, height.
    size: [u32; 2],
    channels: usize,
    batch: bool,
}

fn geometry(sidecar: &Sidecar, inputs: &[TensorInfo]) -> Result<Geometry, SidecarError> {
    let [input] = inputs else {
        let names: Vec<_> = inputs.iter().map(|t| t.name.as_str()).collect();
        return Err(sidecar.error(
            "",
            "",
            format!(
                "a model with one input, a picture, is needed; this one has {}: {}",
                inputs.len(),
                names.join(", ")
            ),
        ));
    };
    let refuse = |problem: String| {
        sidecar.error(
            &input.name,
            "",
            format!("input {}: {problem}", show_dims(&input.dims)),
        )
    };
    let section = sidecar.tensors.iter().find(|t| t.name == input.name);
    // What the model leaves symbolic, the sidecar may fix.
    let fixed = section.and_then(|s| s.dims.clone()).unwrap_or_default();
    let dims: Vec<Option<usize>> = input
        .dims
        .iter()
        .enumerate()
        .map(|(i, d)| d.or(fixed.get(i).copied().flatten()))
        .collect();
    let (batch, picture) = match dims.as_slice() {
        [None | Some(1), picture @ ..] if picture.len() == 3 => (true, picture),
        picture if picture.len() == 3 => (false, picture),
        _ => {
            return Err(refuse(
                "it is not one picture ([1, 3, H, W] or alike)".into(),
            ));
        }
    };
    let layout = layout(sidecar.own.layout, picture).ok_or_else(|| {
        refuse(format!(
            "neither its first nor its last dimension is 1 or 3 channels; say layout=nchw or nhwc in [{OWN_SECTION}]"
        ))
    })?;
    let (c, h, w) = match layout {
        Layout::Nchw => (picture[0], picture[1], picture[2]),
        Layout::Nhwc => (picture[2], picture[0], picture[1]),
    };
    Ok(Geometry {
        name: input.name.clone(),
        dtype: input_dtype(input, &refuse)?,
        layout,
        size: input_size(sidecar, [w, h], &refuse)?,
        channels: c.unwrap_or(3),
        batch,
    })
}

fn layout(stated: Option<Layout>, picture: &[Option<usize>]) -> Option<Layout> {
    let channels = |d: Option<usize>| matches!(d, Some(1 | 3));
    let (first, last) = (picture[0], picture[2]);
    let fits = |l| match l {
        Layout::Nchw => first.is_none() || channels(first),
        Layout::Nhwc => last.is_none() || channels(last),
    };
    match stated {
        Some(l) => fits(l).then_some(l),
        None if channels(first) => Some(Layout::Nchw),
        None if channels(last) => Some(Layout::Nhwc),
        None => None,
    }
}

fn input_dtype(
    input: &TensorInfo,
    refuse: &dyn Fn(String) -> SidecarError,
) -> Result<DType, SidecarError> {
    match input.dtype {
        Some(dtype @ (DType::F32 | DType::F16 | DType::U8)) => Ok(dtype),
        Some(other) => Err(refuse(format!(
            "its type is {other}; float32, float16 and uint8 can be fed"
        ))),
        None => Err(refuse(
            "its type is not known; float32, float16 and uint8 can be fed".into(),
        )),
    }
}

fn input_size(
    sidecar: &Sidecar,
    shape: [Option<usize>; 2],
    refuse: &dyn Fn(String) -> SidecarError,
) -> Result<[u32; 2], SidecarError> {
    let stated = sidecar.own.input_size.map(|s| s.map(|x| x as usize));
    let mut size = [0; 2];
    for axis in 0..2 {
        let stated = stated.map(|s| s[axis]);
        if let (Some(model), Some(stated)) = (shape[axis], stated)
            && model != stated
        {
            return Err(sidecar.error(
                OWN_SECTION,
                "input-size",
                format!("{stated} contradicts the {model} of the model"),
            ));
        }
        let side = shape[axis].or(stated).ok_or_else(|| {
            refuse(format!(
                "the model leaves its size open; say input-size=WIDTHxHEIGHT in [{OWN_SECTION}]"
            ))
        })?;
        if !(1..=MAX_SIDE).contains(&side) {
            return Err(refuse(format!("sides must be 1 to {MAX_SIDE} pixels")));
        }
        size[axis] = side as u32;
    }
    Ok(size)
}

fn input_info(
    sidecar: &Sidecar,
    geometry: Geometry,
    usual: &guess::Usual,
    notes: &mut Notes,
) -> Result<InputInfo, SidecarError> {
    let own = &sidecar.own;
    let gray = geometry.channels == 1;
    let colour = match own.colour {
        Some(c) if (c == Colour::Gray) != gray => {
            let problem = format!(
                "{} does not go with an input of {} channels",
                c.word(),
                geometry.channels
            );
            return Err(sidecar.error(OWN_SECTION, "colour", problem));
        }
        Some(c) => c,
        None if gray => Colour::Gray,
        None => notes.or_usual("colour", None, usual.colour),
    };
    let stated = sidecar
        .tensors
        .iter()
        .find(|t| t.name == geometry.name)
        .map(|t| t.ranges.as_slice())
        .unwrap_or_default();
    let ranges = match stated {
        [] => {
            let shown: Vec<_> = usual
                .ranges
                .iter()
                .map(|[a, b]| format!("{a},{b}"))
                .collect();
            notes.0.push(format!("ranges={}", shown.join(";")));
            usual.ranges.as_slice()
        }
        stated => stated,
    };
    let ranges = match (ranges, geometry.channels) {
        ([one], n) => vec![*one; n],
        (many, n) if many.len() == n => many.to_vec(),
        // What is usual is stated for RGB.
        (many, 1) if stated.is_empty() => vec![many[0]],
        (many, n) => {
            let problem = format!("{} ranges for {n} channels", many.len());
            return Err(sidecar.error(&geometry.name, "ranges", problem));
        }
    };
    let resize = notes.or_usual("resize", own.resize, usual.resize);
    Ok(InputInfo {
        name: geometry.name,
        dtype: geometry.dtype,
        layout: geometry.layout,
        width: geometry.size[0],
        height: geometry.size[1],
        batch: geometry.batch,
        colour,
        ranges,
        resize,
        pad: own.pad.unwrap_or(usual.pad),
        filter: notes.or_usual("filter", own.filter, usual.filter),
    })
}

fn head_info(
    sidecar: &Sidecar,
    kind: HeadKind,
    usual: &guess::Usual,
    outputs: &[TensorInfo],
    notes: &mut Notes,
) -> Result<HeadInfo, SidecarError> {
    let own = &sidecar.own;
    let activation = own.activation.unwrap_or_else(|| {
        // A classifier whose output is named after its softmax has been through it.
        let name = outputs.first().map(|o| o.name.to_ascii_lowercase());
        let done = name.is_some_and(|n| {
            ["softmax", "prob", "predictions"]
                .iter()
                .any(|w| n.contains(w))
        });
        match kind {
            HeadKind::Classification if done => super::Activation::None,
            _ => usual.activation,
        }
    });
    if own.activation.is_none() && kind == HeadKind::Classification {
        notes.0.push(format!("activation={}", activation.word()));
    }
    Ok(HeadInfo {
        kind,
        roles: roles(sidecar, kind, outputs)?,
        activation,
        score_threshold: own.score_threshold.unwrap_or(usual.score_threshold),
        nms_threshold: own.nms_threshold.unwrap_or(0.45),
        class_agnostic: own.class_agnostic.unwrap_or(false),
        peak_ratio: own.peak_ratio.unwrap_or(1.0),
        max_objects: own.max_objects.unwrap_or(usual.max_objects),
        score_power: own.score_power.unwrap_or([0.6, 0.4]),
        strides: own.strides.clone().unwrap_or(guess::STRIDES.to_vec()),
        keypoint_threshold: own.keypoint_threshold.unwrap_or(0.2),
        axis_order: own.axis_order.unwrap_or(usual.axis_order),
        coordinates: own.coordinates.unwrap_or(usual.coordinates),
        first_class: own.first_class.unwrap_or(0),
        classes: own.classes.clone().unwrap_or_default(),
        remap: own.remap.clone().unwrap_or_default(),
    })
}

/// Every required role of the head must have an output.
fn roles(
    sidecar: &Sidecar,
    kind: HeadKind,
    outputs: &[TensorInfo],
) -> Result<std::collections::BTreeMap<String, String>, SidecarError> {
    let output_names: Vec<_> = outputs.iter().map(|o| o.name.as_str()).collect();
    let output_names = output_names.join(", ");
    for (role, tensor) in &sidecar.own.roles {
        let refuse = |problem: String| {
            Err(sidecar.error(OWN_SECTION, &format!("{ROLE_PREFIX}{role}"), problem))
        };
        let names: Vec<_> = kind.roles().iter().map(|r| r.name).collect();
        if !names.contains(&role.as_str()) {
            let known = names.join(", ");
            return refuse(format!(
                "head={} has no role '{role}'; it has: {known}",
                kind.name()
            ));
        }
        if !outputs.iter().any(|o| o.name == *tensor) {
            return refuse(format!(
                "the model has no output '{tensor}'; it has {output_names}"
            ));
        }
    }
    // Outputs that the sidecar has given a role are no longer free for another.
    let free: Vec<_> = outputs
        .iter()
        .filter(|o| !sidecar.own.roles.values().any(|t| *t == o.name))
        .cloned()
        .collect();
    let mut roles = guess::roles(kind, &free);
    roles.extend(sidecar.own.roles.clone());
    let open = kind
        .roles()
        .iter()
        .find(|r| r.required && !roles.contains_key(r.name));
    match open {
        None => Ok(roles),
        Some(role) => Err(sidecar.error(
            OWN_SECTION,
            "head",
            format!(
                "head={} needs an output for '{}'; say {ROLE_PREFIX}{}=NAME with one of: {output_names}",
                kind.name(),
                role.name,
                role.name
            ),
        )),
    }
}

type Names = (Vec<String>, Vec<String>, Vec<(usize, usize)>);

/// Labels, names of the keypoints, skeleton.
fn names(
    sidecar: &Sidecar,
    kind: HeadKind,
    head: &HeadInfo,
    outputs: &[TensorInfo],
    notes: &mut Notes,
) -> Result<Names, SidecarError> {
    let own = &sidecar.own;
    let first_role = kind.roles().first().and_then(|r| head.roles.get(r.name));
    let main = outputs.iter().find(|o| Some(&o.name) == first_role);
    let keypoint_count = main.and_then(|o| guess::keypoint_count(kind, o));
    let labels = match &own.labels {
        Some(labels) => labels.clone(),
        None if main.and_then(|o| guess::class_count(kind, o)) == Some(80) => {
            notes.0.push("labels=coco80: there are 80 classes".into());
            presets::owned(&presets::COCO_80)
        }
        None if keypoint_count.is_some() => vec!["person".to_owned()],
        None => Vec::new(),
    };
    let preset = match keypoint_count {
        Some(17) => Some("coco17"),
        Some(33) => Some("blazepose33"),
        _ => None,
    };
    let (keypoints, usual_skeleton) = match (&own.keypoints, preset) {
        (Some(keypoints), _) => (keypoints.clone(), Vec::new()),
        (None, Some(preset)) => {
            notes.0.push(format!("keypoints={preset}"));
            let (names, skeleton) = presets::keypoints(preset).unwrap_or_default();
            (presets::owned(names), skeleton.to_vec())
        }
        (None, None) => (Vec::new(), Vec::new()),
    };
    let skeleton = own.skeleton.clone().unwrap_or(usual_skeleton);
    let count = keypoint_count.unwrap_or(keypoints.len());
    if let Some((a, b)) = skeleton.iter().find(|(a, b)| *a.max(b) >= count) {
        let problem = format!("{a}-{b}: there are only {count} keypoints, counted from 0");
        return Err(sidecar.error(OWN_SECTION, "skeleton", problem));
    }
    if let Some(n) = keypoint_count
        && !keypoints.is_empty()
        && keypoints.len() != n
    {
        let problem = format!(
            "{} names, but the model gives {n} keypoints",
            keypoints.len()
        );
        return Err(sidecar.error(OWN_SECTION, "keypoints", problem));
    }
    Ok((labels, keypoints, skeleton))
}
