// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What a model should have answered where certain objects are: the way back from [`Head::read`](crate::Head::read), to train
//! on objects that somebody else found.

pub(crate) mod cells;
mod center;
mod grid;
mod pose_heatmaps;

use splitinfer_tensor::Tensor;

use crate::modelinfo::{HeadKind, ModelInfo};
use crate::{Object, VisionError};
use grid::Grid;

/// A heatmap that is higher says that an object is there.
const FOUND: f32 = 0.3;

/// Makes the outputs of one model from objects. Heads `center` and `pose-heatmaps`.
#[derive(Clone, Debug)]
pub struct Targets {
    info: ModelInfo,
    heatmap: Wanted,
    /// Roles that the model has beside its heatmap.
    others: Vec<(&'static str, Wanted)>,
}

/// An output that is to be made.
#[derive(Clone, Debug)]
struct Wanted {
    name: String,
    shape: Vec<usize>,
    channels: usize,
}

impl Targets {
    /// `shapes`: of the model's outputs, by name.
    ///
    /// # Errors
    /// When the head is none of those above, or an output is missing or has a shape that the head does not read.
    pub fn new(info: &ModelInfo, shapes: &[(String, Vec<usize>)]) -> Result<Self, VisionError> {
        let roles: &[&str] = match info.head.kind {
            HeadKind::Center => &["box", "offset"],
            HeadKind::PoseHeatmaps => &["offset"],
            kind => {
                return Err(VisionError::Targets {
                    head: kind.name(),
                    known: "center and pose-heatmaps",
                });
            }
        };
        let wanted = |role: &str| -> Result<Option<Wanted>, VisionError> {
            let Some(name) = info.head.roles.get(role) else {
                return Ok(None);
            };
            let wrong = |problem: String| VisionError::Output {
                head: info.head.kind.name(),
                tensor: name.clone(),
                problem,
            };
            let shape = shapes.iter().find(|(n, _)| n == name).map(|(_, s)| s);
            let shape = shape.ok_or_else(|| wrong("its shape is not known".into()))?;
            match shape[..] {
                [1, channels, _, _] => Ok(Some(Wanted {
                    name: name.clone(),
                    shape: shape.clone(),
                    channels,
                })),
                _ => Err(wrong(format!(
                    "its shape is {shape:?}, expected [1, channels, h, w]"
                ))),
            }
        };
        let heatmap = wanted("heatmap")?.ok_or_else(|| VisionError::Output {
            head: info.head.kind.name(),
            tensor: "heatmap".into(),
            problem: "the sidecar names no output for it (tensor-heatmap=)".into(),
        })?;
        let mut others = Vec::new();
        for role in roles {
            let Some(wanted) = wanted(role)? else {
                continue;
            };
            let channels = match (info.head.kind, *role) {
                (HeadKind::Center, "box") => &[2, 4][..],
                (HeadKind::Center, _) => &[2],
                _ => &[2 * heatmap.channels],
            };
            if wanted.shape[2..] != heatmap.shape[2..] || !channels.contains(&wanted.channels) {
                return Err(VisionError::Output {
                    head: info.head.kind.name(),
                    tensor: wanted.name,
                    problem: format!(
                        "its shape {:?} does not fit that of the heatmap, {:?}",
                        wanted.shape, heatmap.shape
                    ),
                });
            }
            others.push((*role, wanted));
        }
        Ok(Self {
            info: info.clone(),
            heatmap,
            others,
        })
    }

    /// How many keypoints an object must have; `None` where only its box counts.
    pub fn keypoints(&self) -> Option<usize> {
        (self.info.head.kind == HeadKind::PoseHeatmaps).then_some(self.heatmap.channels)
    }

    /// Names of the outputs that are made.
    pub fn outputs(&self) -> Vec<&str> {
        let others = self.others.iter().map(|(_, wanted)| wanted);
        let all = std::iter::once(&self.heatmap).chain(others);
        all.map(|wanted| wanted.name.as_str()).collect()
    }

    /// Which elements of the heatmap count, 1 or 0 each, where `ignored` boxes (in pixels of the model's picture) hold what
    /// is neither asked for nor wrong: those in none of them, and those where `objects` are.
    pub fn counting(&self, objects: &[Object], ignored: &[[f32; 4]]) -> Tensor {
        let grid = Grid::new(&self.info, &self.heatmap.shape);
        let mut counts = vec![1.0; grid.cells()];
        for &[x, y, w, h] in ignored {
            grid.cells_of([x, y], [x + w, y + h])
                .for_each(|i| counts[i] = 0.0);
        }
        let heatmap = self.maps(objects).heatmap;
        for channel in heatmap.chunks(grid.cells()) {
            let there = counts.iter_mut().zip(channel);
            there.for_each(|(count, heat)| *count = f32::max(*count, f32::from(*heat > FOUND)));
        }
        tensor(&self.heatmap, counts.repeat(self.heatmap.channels)).1
    }

    fn maps(&self, objects: &[Object]) -> Maps {
        let grid = Grid::new(&self.info, &self.heatmap.shape);
        match self.info.head.kind {
            HeadKind::Center => center::draw(&self.info, &grid, self.heatmap.channels, objects),
            _ => pose_heatmaps::draw(&grid, self.heatmap.channels, objects),
        }
    }

    /// The outputs by name, for objects in pixels of the model's picture, with classes as the model counts its labels. Where a
    /// heatmap is zero the others mean nothing.
    pub fn of(&self, objects: &[Object]) -> Vec<(String, Tensor)> {
        let maps = self.maps(objects);
        let mut heatmap = maps.heatmap;
        heatmap
            .iter_mut()
            .for_each(|v| *v = grid::inverse(self.info.head.activation, *v));
        let mut all = vec![tensor(&self.heatmap, heatmap)];
        for (role, wanted) in &self.others {
            let values = match (*role, wanted.channels) {
                ("box", 4) => &maps.edges,
                ("box", _) => &maps.size,
                _ => &maps.offset,
            };
            all.push(tensor(wanted, values.clone()));
        }
        all
    }
}

/// All that may be asked for.
#[derive(Default)]
struct Maps {
    heatmap: Vec<f32>,
    edges: Vec<f32>,
    size: Vec<f32>,
    offset: Vec<f32>,
}

fn tensor(wanted: &Wanted, values: Vec<f32>) -> (String, Tensor) {
    let tensor = Tensor::new(wanted.shape.clone(), values);
    let tensor = tensor.unwrap_or_else(|_| unreachable!("shapes were compared"));
    (wanted.name.clone(), tensor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Head;
    use crate::heads::testing::{assert_close, model};

    fn targets(info: &ModelInfo, shapes: &[(&str, &[usize])]) -> Result<Targets, VisionError> {
        let shapes: Vec<(String, Vec<usize>)> = shapes
            .iter()
            .map(|(name, shape)| ((*name).to_owned(), shape.to_vec()))
            .collect();
        Targets::new(info, &shapes)
    }

    fn object(class: u32, box_: [f32; 4]) -> Object {
        Object {
            class,
            score: 0.6,
            box_,
            ..Default::default()
        }
    }

    #[test]
    fn boxes_are_read_back_as_they_were() {
        let distances: [(&str, &[usize]); 2] =
            [("heatmap", &[1, 3, 8, 16]), ("box", &[1, 4, 8, 16])];
        let sizes: [(&str, &[usize]); 3] = [
            ("heatmap", &[1, 3, 8, 16]),
            ("box", &[1, 2, 8, 16]),
            ("offset", &[1, 2, 8, 16]),
        ];
        for shapes in [&distances[..], &sizes] {
            for activation in ["none", "sigmoid"] {
                let own: &'static [(&str, &str)] = match activation {
                    "none" => &[("labels", "car;van;bus"), ("activation", "none")],
                    _ => &[("labels", "car;van;bus"), ("activation", "sigmoid")],
                };
                let (info, _) = model("center", own, [128, 64], shapes);
                let objects = [
                    object(2, [10.0, 5.0, 31.0, 22.0]),
                    object(0, [70.5, 30.25, 12.0, 9.0]),
                    // At the border, and as large as the picture is high.
                    object(1, [100.0, 0.0, 28.0, 64.0]),
                ];
                let found = Head::new(&info)
                    .read(&targets(&info, shapes).unwrap().of(&objects))
                    .unwrap();
                assert_eq!(found.len(), 3, "{found:?}");
                for object in &objects {
                    let same = found.iter().find(|f| f.class == object.class).unwrap();
                    assert_close(&same.box_, &object.box_);
                    assert!(same.score > 0.95);
                }
            }
        }
    }

    #[test]
    fn the_heatmap_does_not_count_where_boxes_are_ignored() {
        let shapes: [(&str, &[usize]); 2] = [("heatmap", &[1, 2, 4, 8]), ("box", &[1, 4, 4, 8])];
        let (info, _) = model("center", &[("activation", "none")], [64, 32], &shapes);
        let targets = targets(&info, &shapes).unwrap();
        let counting = |objects: &[Object], ignored: &[[f32; 4]]| {
            let counting = targets.counting(objects, ignored);
            assert_eq!(counting.shape(), [1, 2, 4, 8]);
            let values = counting.to_f32_vec();
            // All classes alike.
            assert_eq!(values[..32], values[32..]);
            (0..32).filter(|i| values[*i] == 0.0).collect::<Vec<_>>()
        };
        assert_eq!(counting(&[], &[]), [0; 0]);
        // Cells are 8 pixels wide: those whose centre is at most half a cell beside the box.
        assert_eq!(counting(&[], &[[20.0, 10.0, 4.0, 4.0]]), [10, 11]);
        // What is to be found counts also there.
        let found = object(0, [17.0, 9.0, 6.0, 6.0]);
        assert!(!counting(&[found], &[[16.0, 8.0, 8.0, 8.0]]).contains(&10));
        // Beside the picture there is nothing.
        assert_eq!(
            counting(&[], &[[-50.0, -50.0, 10.0, 10.0], [90.0, 90.0, 5.0, 5.0]]),
            [0; 0]
        );
    }

    #[test]
    fn an_object_outside_the_picture_and_one_without_a_size_are_left_out() {
        let shapes: [(&str, &[usize]); 2] = [("heatmap", &[1, 1, 4, 4]), ("box", &[1, 4, 4, 4])];
        let (info, _) = model("center", &[("activation", "none")], [32, 32], &shapes);
        let targets = targets(&info, &shapes).unwrap();
        let none = [
            object(0, [40.0, 3.0, 8.0, 8.0]),
            object(0, [3.0, 3.0, 0.0, 8.0]),
            object(0, [f32::NAN, 3.0, 8.0, 8.0]),
            object(5, [3.0, 3.0, 8.0, 8.0]),
        ];
        let made = targets.of(&none);
        assert!(
            made.iter()
                .all(|(_, t)| t.to_f32_vec().iter().all(|v| *v == 0.0))
        );
    }

    #[test]
    fn keypoints_are_read_back_and_missing_ones_stay_missing() {
        let shapes: [(&str, &[usize]); 2] = [("heatmap", &[1, 3, 8, 8]), ("offset", &[1, 6, 8, 8])];
        let own = &[("activation", "none"), ("keypoint-threshold", "0.3")];
        let (info, _) = model("pose-heatmaps", own, [64, 64], &shapes);
        let person = |size: f32, keypoints: Vec<[f32; 3]>| Object {
            keypoints,
            ..object(0, [5.0, 5.0, size, size])
        };
        let objects = [
            person(10.0, vec![[60.0, 60.0, 0.9]; 3]),
            // The largest one counts.
            person(
                40.0,
                vec![[9.5, 20.25, 0.9], [40.0, 33.0, 0.1], [63.9, 0.0, 0.7]],
            ),
        ];
        let made = targets(&info, &shapes).unwrap().of(&objects);
        let found = Head::new(&info).read(&made).unwrap();
        let keypoints = &found[0].keypoints;
        assert_close(&keypoints[0], &[9.5, 20.25, 1.0]);
        assert_eq!(keypoints[1][2], 0.0);
        assert_close(&keypoints[2], &[63.9, 0.0, 1.0]);
    }

    #[test]
    fn heads_and_shapes_that_do_not_suit_are_named() {
        let shapes: [(&str, &[usize]); 2] = [("heatmap", &[1, 3, 8, 8]), ("box", &[1, 4, 8, 8])];
        let (info, _) = model("center", &[("activation", "none")], [64, 64], &shapes);
        let wrong: [(&str, &[usize]); 2] = [("heatmap", &[1, 3, 8, 8]), ("box", &[1, 4, 4, 8])];
        let refused = targets(&info, &wrong).unwrap_err().to_string();
        assert!(
            refused.contains("'box'") && refused.contains("[1, 4, 4, 8]"),
            "{refused}"
        );
        let (info, _) = model("yolox", &[], [64, 64], &[("output", &[1, 84, 85])]);
        let refused = targets(&info, &[]).unwrap_err().to_string();
        assert!(
            refused.contains("yolox") && refused.contains("pose-heatmaps"),
            "{refused}"
        );
    }
}
