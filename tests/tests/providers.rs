// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Another execution provider against the CPU: `SPLITINFER_TEST_PROVIDER=cuda`, with an ONNX Runtime that has it.

use splitinfer_runtime::{Given, Held, Provider, Session, SessionOptions, SplitModel, sample};
use splitinfer_tensor::Tensor;
use splitinfer_tests::model::SizedModel;

const MODELS: [&str; 4] = [
    "traffic-student",
    "traffic-teacher",
    "walker-student",
    "walker-teacher",
];
/// Difference over the norm of what the CPU gives. Graphics processors multiply with 10 bits of the mantissa where they can.
const ALIKE: f64 = 0.01;

/// Options of the CPU and of the provider that is asked for.
fn pair() -> Option<(SessionOptions, SessionOptions)> {
    let provider = splitinfer_tests::provider();
    if provider == Provider::Cpu {
        println!("skipped: SPLITINFER_TEST_PROVIDER names no other provider than the CPU");
        return None;
    }
    let cpu = SessionOptions::default();
    let other = SessionOptions {
        provider,
        ..cpu.clone()
    };
    Some((cpu, other))
}

fn load(name: &str) -> SizedModel {
    let path = splitinfer_tests::repository().join(format!("models/{name}.onnx"));
    SizedModel::load(&path, &SessionOptions::default()).unwrap()
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.to_f32_vec(), b.to_f32_vec());
    assert_eq!(a.len(), b.len());
    let square = |x: f32| f64::from(x) * f64::from(x);
    let apart: f64 = a.iter().zip(&b).map(|(a, b)| square(a - b)).sum();
    let whole: f64 = a.iter().map(|&a| square(a)).sum();
    (apart / whole.max(f64::MIN_POSITIVE)).sqrt()
}

fn assert_alike(what: &str, cpu: &[(String, Tensor)], other: &[(String, Tensor)]) {
    assert_eq!(cpu.len(), other.len(), "{what}");
    for ((name, a), (other, b)) in cpu.iter().zip(other) {
        assert_eq!(name, other, "{what}");
        let d = difference(a, b);
        println!("{what}, {name}: {d:.1e}");
        assert!(d < ALIKE, "{what}: {name} differs by {d}");
    }
}

fn tail(split: &SplitModel, cut: usize, carried: &[Tensor]) -> Vec<(String, Tensor)> {
    split.tail(cut, carried).unwrap()
}

#[test]
fn whole_models_and_their_parts_answer_as_on_the_cpu() {
    let Some((cpu, other)) = pair() else { return };
    for name in MODELS {
        let model = load(name);
        let (here, there) = (model.split(&cpu).unwrap(), model.split(&other).unwrap());
        let x = sample(here.input(), 1).unwrap();
        let expected = here.whole(&x).unwrap();
        assert_alike(name, &expected, &there.whole(&x).unwrap());
        for (cut, candidate) in here.candidates().iter().enumerate() {
            let carried = here.head(cut, &x).unwrap();
            let at = format!("{name} cut at {}", candidate.name);
            assert_alike(
                &format!("{at}, tail"),
                &expected,
                &tail(&there, cut, &carried),
            );
            let carried = there.head(cut, &x).unwrap();
            assert_alike(
                &format!("{at}, head"),
                &expected,
                &tail(&here, cut, &carried),
            );
        }
    }
}

#[test]
fn what_one_session_gives_another_takes_without_a_copy() {
    let Some((cpu, other)) = pair() else { return };
    let model = load("walker-student");
    let x = sample(model.split(&cpu).unwrap().input(), 2).unwrap();
    let expected = model.split(&cpu).unwrap().whole(&x).unwrap();
    let session = Session::from_model(&model.model, &other).unwrap();
    let held = Held::new(x).unwrap();
    let input = session.inputs()[0].name.clone();
    for _ in 0..2 {
        let given = session.run_held(&[(&input, Given::from(&held))]).unwrap();
        let got: Vec<(String, Tensor)> = given
            .iter()
            .map(|(name, held)| (name.clone(), held.tensor(name).unwrap()))
            .collect();
        assert_alike("held", &expected, &got);
    }
}

/// Does it in eight threads, many times each; what went wrong, in words.
fn side_by_side(task: impl Fn(usize) -> Result<(), String> + Sync) {
    let failed = std::sync::Mutex::new(vec![]);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (task, failed) = (&task, &failed);
            scope.spawn(move || {
                let errors = (0..20).filter_map(|_| task(thread).err());
                failed.lock().unwrap().extend(errors);
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of 160: {}", failed.len(), failed[0]);
}

#[test]
fn sessions_are_made_side_by_side() {
    let Some((_, other)) = pair() else { return };
    let model = load("walker-student").model;
    side_by_side(|_| {
        let session = Session::from_model(&model, &other).map_err(|e| e.to_string())?;
        drop(session);
        Ok(())
    });
}

#[test]
fn sessions_run_side_by_side() {
    let Some((_, other)) = pair() else { return };
    let model = load("walker-student");
    let splits: Vec<SplitModel> = (0..8).map(|_| model.split(&other).unwrap()).collect();
    let x = sample(splits[0].input(), 2).unwrap();
    let expected = splits[0].whole(&x).unwrap();
    side_by_side(|thread| {
        let got = splits[thread].whole(&x).map_err(|e| e.to_string())?;
        for ((_, a), (_, b)) in expected.iter().zip(&got) {
            let d = difference(a, b);
            if d > ALIKE {
                return Err(format!("differs by {d}"));
            }
        }
        Ok(())
    });
}
