// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What is learnt from is varied, as when the student was first trained: another light, and the same scene seen in a
//! mirror.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use splitinfer_tensor::{DType, Tensor};
use splitinfer_trainer::{Sample, Vary};
use splitinfer_vision::modelinfo::{HeadKind, Layout};
use splitinfer_vision::{Cells, ModelInfo};

use super::goals::Goal;

/// The contrast varies by this share at most, and by this one in each colour.
const CONTRAST: f32 = 0.2;
const COLOUR: f32 = 0.05;
/// The brightness varies by this many standard deviations of the picture at most.
const BRIGHTNESS: f32 = 0.3;

/// Varies pictures and what the teacher says of them.
#[derive(Debug)]
pub(super) struct Augment {
    axes: Axes,
    /// The least and the largest value of a picture.
    range: [f32; 2],
    /// Of each target, and of its weights; `None` where the mirror image of an output is not known.
    targets: Option<Vec<Mirrored>>,
    rng: ChaCha8Rng,
}

/// Axes of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axes {
    width: usize,
    channels: usize,
}

/// What becomes of an output when the picture is mirrored.
#[derive(Clone, Debug)]
enum Mirrored {
    Map(Channels),
    Cells(Box<Cells>),
}

/// What becomes of a mirrored output's channels: each is that of another, with another sign, from something.
#[derive(Clone, Debug, PartialEq)]
struct Channels(Vec<Channel>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Channel {
    from: usize,
    factor: f32,
    plus: f32,
}

impl Channel {
    fn of(from: usize) -> Self {
        Self {
            from,
            factor: 1.0,
            plus: 0.0,
        }
    }
}

impl Augment {
    /// `shapes`: of the goals' targets. `None` for pictures that are not floating point.
    pub(super) fn new<'a>(
        info: &ModelInfo,
        goals: &[Goal],
        shapes: impl Iterator<Item = &'a [usize]>,
        seed: u64,
    ) -> Option<Self> {
        if info.input.dtype != DType::F32 {
            return None;
        }
        let batch = usize::from(info.input.batch);
        let [channels, width] = match info.input.layout {
            Layout::Nchw => [batch, batch + 2],
            Layout::Nhwc => [batch + 2, batch + 1],
        };
        let ends = info.input.ranges.iter().flatten().copied();
        let each = goals.iter().zip(shapes);
        Some(Self {
            axes: Axes { width, channels },
            range: [
                ends.clone().fold(f32::INFINITY, f32::min),
                ends.fold(f32::NEG_INFINITY, f32::max),
            ],
            targets: each
                .map(|(goal, shape)| mirrored(info, &goal.output, shape))
                .collect(),
            rng: ChaCha8Rng::seed_from_u64(seed),
        })
    }
}

impl Vary for Augment {
    fn vary(&mut self, sample: &Sample) -> Option<Sample> {
        let [picture] = &sample.inputs[..] else {
            return None;
        };
        let mut varied = Sample {
            inputs: vec![self.light(picture)?],
            ..sample.clone()
        };
        if let Some(targets) = self.targets.as_ref().filter(|_| self.rng.random()) {
            varied.inputs = vec![flipped(&varied.inputs[0], self.axes.width)?];
            for ((target, weights), channels) in varied
                .targets
                .iter_mut()
                .zip(&mut varied.weights)
                .zip(targets)
            {
                *target = channels.mirror(target, true)?;
                if let Some(weights) = weights {
                    *weights = channels.mirror(weights, false)?;
                }
            }
        }
        Some(varied)
    }
}

impl Augment {
    /// Another contrast and brightness, a little different in each colour.
    fn light(&mut self, picture: &Tensor) -> Option<Tensor> {
        let shape = picture.shape().to_vec();
        let mut values = picture.to_f32_vec();
        let count = *shape.get(self.axes.channels)?;
        let inner: usize = shape[self.axes.channels + 1..].iter().product();
        let n = values.len().max(1) as f32;
        let mean = values.iter().sum::<f32>() / n;
        let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt();
        let rng = &mut self.rng;
        let mut about = |most: f32| most * (2.0 * rng.random::<f32>() - 1.0);
        let [least, most] = self.range;
        let contrast = 1.0 + about(CONTRAST);
        let plus = mean + about(BRIGHTNESS) * spread;
        let gains: Vec<f32> = (0..count).map(|_| contrast + about(COLOUR)).collect();
        for (i, value) in values.iter_mut().enumerate() {
            let varied = plus + (*value - mean) * gains[i / inner.max(1) % count];
            *value = varied.max(least).min(most);
        }
        Tensor::new(shape, values).ok()
    }
}

/// What a mirror does to an output of the teacher; `None` where that is not known.
fn mirrored(info: &ModelInfo, output: &str, shape: &[usize]) -> Option<Mirrored> {
    match Cells::are_of(info) {
        true => {
            let cells = Cells::new(info, &[(output.to_owned(), shape.to_vec())]).ok()?;
            cells
                .can_mirror()
                .then_some(Mirrored::Cells(Box::new(cells)))
        }
        false => mirrored_map(info, output, shape).map(Mirrored::Map),
    }
}

fn mirrored_map(info: &ModelInfo, output: &str, shape: &[usize]) -> Option<Channels> {
    let [1, count, _, _] = *shape else {
        return None;
    };
    let has = |role: &str| info.head.roles.get(role).is_some_and(|o| o == output);
    let plain = || (0..count).map(Channel::of).collect();
    let channels: Vec<Channel> = match info.head.kind {
        HeadKind::Center if has("heatmap") => plain(),
        // Distances to the left, top, right and bottom edge; or width and height.
        HeadKind::Center if has("box") && count == 4 => [2, 1, 0, 3].map(Channel::of).to_vec(),
        HeadKind::Center if has("box") && count == 2 => plain(),
        // From the cell's corner.
        HeadKind::Center if has("offset") && count == 2 => {
            let across = Channel {
                from: 0,
                factor: -1.0,
                plus: 1.0,
            };
            vec![across, Channel::of(1)]
        }
        HeadKind::PoseHeatmaps if has("heatmap") => {
            joints(info, count)?.into_iter().map(Channel::of).collect()
        }
        // From the cell's centre, x and y of each joint.
        HeadKind::PoseHeatmaps if has("offset") => {
            let joint = |j: usize| {
                let across = Channel {
                    from: 2 * j,
                    factor: -1.0,
                    plus: 0.0,
                };
                [across, Channel::of(2 * j + 1)]
            };
            joints(info, count / 2)?
                .into_iter()
                .flat_map(joint)
                .collect()
        }
        _ => return None,
    };
    (channels.len() == count).then_some(Channels(channels))
}

/// For each joint the one that it looks like in a mirror; `None` where the joints have no names to tell.
fn joints(info: &ModelInfo, count: usize) -> Option<Vec<usize>> {
    let partner = info.mirrored_keypoints();
    (partner.len() == count).then_some(partner)
}

impl Mirrored {
    /// `values`: signs and offsets count too; of weights they do not.
    fn mirror(&self, tensor: &Tensor, values: bool) -> Option<Tensor> {
        match self {
            Self::Map(channels) => channels.mirror(tensor, values),
            Self::Cells(cells) => cells.mirror(tensor, values),
        }
    }
}

impl Channels {
    /// Of `[1, C, h, w]`. `values`: signs and offsets count too; of weights they do not.
    fn mirror(&self, tensor: &Tensor, values: bool) -> Option<Tensor> {
        let flipped = flipped(tensor, 3)?;
        let shape = tensor.shape().to_vec();
        let places: usize = shape[2..].iter().product();
        let from = flipped.to_f32_vec();
        if from.len() != self.0.len() * places {
            return None;
        }
        let channel = |c: &Channel| {
            let (factor, plus) = if values {
                (c.factor, c.plus)
            } else {
                (1.0, 0.0)
            };
            let of = &from[c.from * places..(c.from + 1) * places];
            of.iter()
                .map(move |v| factor * v + plus)
                .collect::<Vec<f32>>()
        };
        let mirrored: Vec<f32> = self.0.iter().flat_map(channel).collect();
        same_type(shape, mirrored, tensor.dtype())
    }
}

/// Right to left along an axis.
fn flipped(tensor: &Tensor, axis: usize) -> Option<Tensor> {
    let shape = tensor.shape().to_vec();
    let inner: usize = shape.get(axis + 1..)?.iter().product();
    let width = shape[axis];
    let values = tensor.to_f32_vec();
    let mut flipped = Vec::with_capacity(values.len());
    for line in values.chunks_exact((width * inner).max(1)) {
        line.chunks_exact(inner.max(1))
            .rev()
            .for_each(|place| flipped.extend_from_slice(place));
    }
    same_type(shape, flipped, tensor.dtype())
}

fn same_type(shape: Vec<usize>, values: Vec<f32>, dtype: DType) -> Option<Tensor> {
    match dtype {
        DType::F32 => Tensor::new(shape, values).ok(),
        DType::F64 => Tensor::new(shape, values.into_iter().map(f64::from).collect()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use splitinfer_trainer::{LossTerm, parse_loss};
    use splitinfer_vision::mirror::flip_objects;
    use splitinfer_vision::{Head, Object, Placement};

    fn info(model: &str) -> ModelInfo {
        let path = format!(
            "{}/../../models/{model}.onnx.modelinfo",
            env!("CARGO_MANIFEST_DIR")
        );
        ModelInfo::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn goal(output: &str) -> Goal {
        let term: LossTerm = parse_loss(&format!("{output}=mse")).unwrap();
        Goal {
            term,
            output: output.into(),
            weigh: None,
        }
    }

    /// Smooth maps with a few peaks, anything in the other outputs.
    fn outputs(shapes: &[(&str, [usize; 4])], seed: u64) -> Vec<(String, Tensor)> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut tensor = |shape: &[usize; 4]| {
            let values = (0..shape.iter().product()).map(|_| rng.random::<f32>());
            Tensor::new(shape.to_vec(), values.collect::<Vec<f32>>()).unwrap()
        };
        shapes
            .iter()
            .map(|(name, shape)| ((*name).to_owned(), tensor(shape)))
            .collect()
    }

    fn sorted(mut objects: Vec<Object>) -> Vec<Object> {
        let key = |o: &Object| o.box_[0] + 1000.0 * o.box_[1];
        objects.sort_by(|a, b| key(a).total_cmp(&key(b)));
        objects
    }

    /// What is read from mirrored outputs is the mirror image of what is read from them.
    fn assert_mirrors(model: &str, shapes: &[(&str, [usize; 4])]) {
        let info = info(model);
        let head = Head::new(&info);
        let size = [info.input.width as f32, info.input.height as f32];
        let whole = Placement::from_f32x6([1.0, 1.0, 0.0, 0.0, size[0], size[1]]).unwrap();
        for seed in 0..4 {
            let plain = outputs(shapes, seed);
            let mirror = |(name, tensor): &(String, Tensor)| {
                let channels = mirrored(&info, name, tensor.shape()).unwrap();
                (name.clone(), channels.mirror(tensor, true).unwrap())
            };
            let found = sorted(
                head.read(&plain.iter().map(mirror).collect::<Vec<_>>())
                    .unwrap(),
            );
            let mut expected = head.read(&plain).unwrap();
            flip_objects(&mut expected, &whole, &info);
            let expected = sorted(expected);
            assert!(!expected.is_empty() && found.len() == expected.len());
            for (a, b) in found.iter().zip(&expected) {
                let places = |o: &Object| {
                    o.box_
                        .iter()
                        .chain(o.keypoints.iter().flatten())
                        .copied()
                        .collect::<Vec<f32>>()
                };
                for (p, q) in places(a).into_iter().zip(places(b)) {
                    assert!((p - q).abs() < 1e-3, "{a:?} is not {b:?}");
                }
            }
        }
    }

    #[test]
    fn mirrored_outputs_are_read_as_the_mirror_image() {
        assert_mirrors(
            "walker-student",
            &[("heatmap", [1, 17, 22, 40]), ("offset", [1, 34, 22, 40])],
        );
        assert_mirrors(
            "traffic-student",
            &[("heatmap", [1, 4, 22, 40]), ("box", [1, 4, 22, 40])],
        );
    }

    #[test]
    fn pictures_stay_in_their_range_and_half_of_them_are_mirrored() {
        let info = info("walker-student");
        let goals = [goal("heatmap"), goal("offset")];
        let shapes: [&[usize]; 2] = [&[1, 17, 22, 40], &[1, 34, 22, 40]];
        let mut augment = Augment::new(&info, &goals, shapes.into_iter(), 1).unwrap();
        let mut out = outputs(
            &[
                ("x", [1, 3, 176, 320]),
                ("heatmap", [1, 17, 22, 40]),
                ("offset", [1, 34, 22, 40]),
            ],
            2,
        );
        let targets: Vec<Tensor> = out.split_off(1).into_iter().map(|(_, t)| t).collect();
        let sample = Sample {
            weights: vec![None, Some(targets[1].clone())],
            inputs: vec![out.remove(0).1],
            targets,
        };
        let mut mirrored = 0;
        for _ in 0..40 {
            let varied = augment.vary(&sample).unwrap();
            assert_ne!(varied.inputs, sample.inputs);
            assert!(
                varied.inputs[0]
                    .to_f32_vec()
                    .iter()
                    .all(|v| (0.0..=1.0).contains(v))
            );
            mirrored += usize::from(varied.targets != sample.targets);
            assert_eq!(
                varied.targets != sample.targets,
                varied.weights != sample.weights
            );
        }
        assert!((10..=30).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn of_outputs_that_are_not_known_only_the_light_varies() {
        let info = info("traffic-student");
        let shape: &[usize] = &[1, 9];
        let mut augment = Augment::new(&info, &[goal("features")], [shape].into_iter(), 1).unwrap();
        let picture = outputs(&[("x", [1, 3, 16, 16])], 3).remove(0).1;
        let target = Tensor::new(shape.to_vec(), vec![0.5f32; 9]).unwrap();
        let sample = Sample::new(vec![picture], vec![target]);
        for _ in 0..20 {
            let varied = augment.vary(&sample).unwrap();
            assert_eq!(varied.targets, sample.targets);
        }
    }
}
