// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Training of small models and of the shipped ones: what is promised of batches, cuts, seeds and states.

use std::path::Path;

use splitinfer_graph::Model;
use splitinfer_graph::build::{GraphBuilder, ints};
use splitinfer_runtime::{Session, SessionOptions, load_library, random_tensor};
use splitinfer_tensor::{DType, Tensor};
use splitinfer_trainer::{
    FitSettings, Loss, LossTerm, Optimizer, Reduction, Replay, Sample, State, StepReport, Stopped,
    TrainError, Trainable, Trainer, TrainerSettings, default_losses, fit,
};

/// Whether there is an ONNX Runtime; without one the tests say so and skip.
fn runtime() -> bool {
    load_library(None)
        .inspect_err(|e| println!("skipped: {e}"))
        .is_ok()
}

fn settings(batch: usize) -> TrainerSettings {
    TrainerSettings {
        optimizer: Optimizer::adam(),
        clip_norm: None,
        batch,
        session: SessionOptions {
            threads: 1,
            ..Default::default()
        },
    }
}

fn noise(shape: &[usize], seed: u64) -> Tensor {
    random_tensor(DType::F32, shape, 1.0, seed)
}

fn weights(shape: &[usize], seed: u64) -> Vec<f32> {
    noise(shape, seed)
        .to_f32_vec()
        .iter()
        .map(|v| v - 0.5)
        .collect()
}

/// Two convolutions, and a product that a constant reshape prepares. `shape` is that of the reshape.
fn network(shape: &[i64]) -> Model {
    let conv = || vec![ints("pads", &[1, 1, 1, 1])];
    GraphBuilder::new(17)
        .input("x", DType::F32, &[1, 2, 6, 6])
        .weight("body.weight", &[4, 2, 3, 3], &weights(&[4, 2, 3, 3], 1))
        .weight("body.bias", &[4], &weights(&[4], 2))
        .weight("neck.weight", &[3, 4, 3, 3], &weights(&[3, 4, 3, 3], 3))
        .weight("head.weight", &[108, 5], &weights(&[108, 5], 4))
        .constant(
            "flat",
            &Tensor::new(vec![shape.len()], shape.to_vec()).unwrap(),
        )
        .node(
            "Conv",
            &["x", "body.weight", "body.bias"],
            &["body"],
            conv(),
        )
        .node("Relu", &["body"], &["features"], vec![])
        .node("Conv", &["features", "neck.weight"], &["neck"], conv())
        .node("Tanh", &["neck"], &["squashed"], vec![])
        .node("Reshape", &["squashed", "flat"], &["rows"], vec![])
        .node("MatMul", &["rows", "head.weight"], &["y"], vec![])
        .untyped_output("y")
        .model()
        .unwrap()
}

fn squared() -> Vec<LossTerm> {
    vec![LossTerm::new("y", Loss::MeanSquared)]
}

fn samples(trainer: &Trainer, count: u64) -> Vec<Sample> {
    let sample = |seed| {
        let features = trainer.features(&[&noise(&[1, 2, 6, 6], seed)]).unwrap();
        Sample::new(features, vec![noise(&[1, 5], 100 + seed)])
    };
    (0..count).map(sample).collect()
}

fn train(trainer: &mut Trainer, steps: usize) -> Vec<f32> {
    let samples = samples(trainer, 4);
    let batch: Vec<&Sample> = samples.iter().collect();
    (0..steps)
        .map(|_| trainer.step(&batch, 0.01).unwrap().loss)
        .collect()
}

fn close(a: &[(String, Tensor)], b: &[(String, Tensor)], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    for ((name, a), (other, b)) in a.iter().zip(b) {
        assert_eq!(name, other);
        let difference = a
            .to_f32_vec()
            .iter()
            .zip(b.to_f32_vec())
            .fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(difference <= tolerance, "{name} differs by {difference}");
    }
}

/// What a detector with rows of a box, an objectness and a class answers is learnt as what each of them is, and NaN from logarithms
/// of a box's numbers goes nowhere.
#[test]
fn boxes_are_learnt_by_distance_and_chances_by_cross_entropy() {
    if !runtime() {
        return;
    }
    let rows = [
        [-3.0f32, 0.25, 1.5, -0.5, 0.9, 0.2],
        [0.0, 0.0, 0.0, 0.0, 0.5, 0.5],
    ];
    let target = [
        [-1.0f32, 0.0, 1.5, 0.0, 1.0, 0.0],
        [0.0, 0.0, 0.0, 9.0, 0.0, 1.0],
    ];
    let weights = [
        [2.0f32, 2.0, 2.0, 2.0, 1.0, 0.5],
        [0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    ];
    let model = GraphBuilder::new(17)
        .input("x", DType::F32, &[1, 2, 2])
        .weight("w", &[2, 6], rows.as_flattened())
        .node("MatMul", &["x", "w"], &["y"], vec![])
        .untyped_output("y")
        .model()
        .unwrap();
    let term = LossTerm {
        weighted: true,
        reduction: Reduction::WeightedMean,
        ..LossTerm::new(
            "y",
            Loss::Boxes {
                axis: 2,
                first: 0,
                logits: false,
            },
        )
    };
    let settings = TrainerSettings {
        optimizer: Optimizer::sgd(0.0),
        ..settings(1)
    };
    let mut trainer = Trainer::new(&model, &Trainable::All, vec![term], settings).unwrap();
    let tensor = |v: &[[f32; 6]; 2]| Tensor::new(vec![1, 2, 6], v.as_flattened().to_vec()).unwrap();
    let sample = Sample {
        inputs: vec![Tensor::new(vec![1, 2, 2], vec![1f32, 0.0, 0.0, 1.0]).unwrap()],
        targets: vec![tensor(&target)],
        weights: vec![Some(tensor(&weights))],
    };
    let loss = trainer.step(&[&sample], 1.0).unwrap().loss;
    // Huber: 2 - 1/2 beyond 1, else half the square; cross-entropy: -ln 0.9, -ln 0.8, -ln 0.5.
    let expected = (2.0 * (1.5 + 0.03125 + 0.125)
        + 0.105_360_52
        + 0.5 * 0.223_143_55
        + std::f32::consts::LN_2)
        / 10.5;
    assert!((loss - expected).abs() < 1e-5, "{loss}, {expected}");
    let slopes = [
        [-1.0f32, 0.25, 0.0, -0.5, -1.0 / 0.9, 1.0 / 0.8],
        [0.0, 0.0, 0.0, -1.0, 2.0, -2.0],
    ];
    let learnt = trainer.weights().unwrap().remove(0).1.to_f32_vec();
    for (i, learnt) in learnt.into_iter().enumerate() {
        let [row, slope, weight] = [&rows, &slopes, &weights].map(|v| v.as_flattened()[i]);
        let expected = row - slope * weight / 10.5;
        assert!(
            (learnt - expected).abs() < 1e-5,
            "{i}: {learnt}, {expected}"
        );
    }
}

#[test]
fn training_lowers_the_loss_and_changes_nothing_but_weights() {
    if !runtime() {
        return;
    }
    let model = network(&[1, 108]);
    let mut trainer = Trainer::new(&model, &Trainable::All, squared(), settings(4)).unwrap();
    assert!(trainer.sharing().is_whole());
    assert_eq!(
        trainer.parameters().collect::<Vec<_>>(),
        ["body.weight", "body.bias", "neck.weight", "head.weight"]
    );
    let losses = train(&mut trainer, 60);
    assert!(losses[59] < losses[0] / 10.0, "{losses:?}");
    let trained = trainer.model().unwrap();
    let nodes = |m: &Model| m.proto().graph.as_ref().unwrap().node.clone();
    assert_eq!(nodes(&trained), nodes(&model));
    assert_eq!(
        (trained.inputs(), trained.outputs()),
        (model.inputs(), model.outputs())
    );
    // The saved model gives the loss that the trainer claims.
    let samples = samples(&trainer, 4);
    let claimed = trainer.loss(&samples.iter().collect::<Vec<_>>()).unwrap();
    let session = Session::from_model(&trained, &SessionOptions::default()).unwrap();
    let mut sum = 0.0;
    for sample in &samples {
        let y = &session.run(&[("x", &sample.inputs[0])]).unwrap()[0].1;
        let pairs = y
            .to_f32_vec()
            .into_iter()
            .zip(sample.targets[0].to_f32_vec());
        sum += pairs.map(|(a, b)| (a - b).powi(2)).sum::<f32>() / 20.0;
    }
    assert!((sum - claimed).abs() < 1e-5, "{sum}, not {claimed}");
}

#[test]
fn a_model_that_takes_one_picture_makes_the_same_steps_as_in_batches() {
    if !runtime() {
        return;
    }
    // 0 stands for the batch where its own place is the first axis; a shape of three numbers hides it.
    let (open, closed) = (network(&[1, 108]), network(&[3, 36]));
    let proto = {
        let mut proto = closed.proto().clone();
        let graph = proto.graph.as_mut().unwrap();
        graph.initializer.push(splitinfer_graph::build::tensor(
            "row",
            &Tensor::new(vec![2], vec![1i64, 108]).unwrap(),
        ));
        let matmul = graph
            .node
            .iter()
            .position(|n| n.op_type() == "MatMul")
            .unwrap();
        let again = splitinfer_graph::build::node("Reshape", &["rows", "row"], &["one"], vec![]);
        graph.node.insert(matmul, again);
        graph.node[matmul + 1].input[0] = "one".into();
        proto
    };
    let closed = Model::from_proto(proto).unwrap();
    let mut together = Trainer::new(&open, &Trainable::All, squared(), settings(4)).unwrap();
    let mut apart = Trainer::new(&closed, &Trainable::All, squared(), settings(4)).unwrap();
    assert_eq!((together.sharing().runs, apart.sharing().runs), (1, 4));
    let losses = (train(&mut together, 10), train(&mut apart, 10));
    assert!((losses.0[9] - losses.1[9]).abs() < 1e-4, "{losses:?}");
    close(
        &together.weights().unwrap(),
        &apart.weights().unwrap(),
        1e-4,
    );
}

/// Each sample with weights of its own, so that shares of a batch do not weigh the same.
fn weighed_samples() -> Vec<Sample> {
    let sample = |seed| {
        Sample::new(
            vec![noise(&[1, 2, 6, 6], seed)],
            vec![noise(&[1, 5], 100 + seed)],
        )
    };
    let mut samples: Vec<Sample> = (0..8).map(sample).collect();
    for (i, sample) in samples.iter_mut().enumerate() {
        let weights = (0..5).map(|k| {
            if (i + k) % 3 == 0 {
                0.0
            } else {
                (1 + i) as f32
            }
        });
        let weights = Tensor::new(vec![1, 5], weights.collect()).unwrap();
        // The second has none: all its elements count 1.
        sample.weights = vec![(i != 1).then_some(weights)];
    }
    samples
}

#[test]
fn more_threads_make_the_same_steps() {
    if !runtime() {
        return;
    }
    let terms = |reduction| {
        let term = LossTerm {
            weighted: true,
            reduction,
            ..squared().remove(0)
        };
        vec![term]
    };
    let samples = weighed_samples();
    let steps = |threads, reduction| {
        let mut settings = settings(8);
        settings.session.threads = threads;
        settings.optimizer = Optimizer::sgd(0.9);
        let model = network(&[1, 108]);
        let mut trainer =
            Trainer::new(&model, &Trainable::All, terms(reduction), settings).unwrap();
        let whole: Vec<&Sample> = samples.iter().collect();
        let reports: Vec<StepReport> = [&whole[..], &whole[..3], &whole[..]]
            .map(|batch| trainer.step(batch, 1e-4).unwrap())
            .into();
        (trainer.sharing().lanes, reports, trainer.weights().unwrap())
    };
    for reduction in [Reduction::Mean, Reduction::WeightedMean, Reduction::Sum] {
        let one = steps(1, reduction);
        assert_eq!(one.0, 1);
        for threads in [2, 3, 8] {
            let several = steps(threads, reduction);
            assert_eq!(several.0, threads);
            for (a, b) in one.1.iter().zip(&several.1) {
                let near = |a: f32, b: f32| (a - b).abs() <= 1e-5 * a.abs();
                assert!(near(a.loss, b.loss), "{threads} {reduction:?}: {a:?} {b:?}");
                assert!(
                    near(a.gradient_norm, b.gradient_norm),
                    "{threads} {reduction:?}: {a:?} {b:?}"
                );
            }
            close(&one.2, &several.2, 1e-5);
            assert_eq!(several, steps(threads, reduction), "not the same again");
        }
    }
}

#[test]
fn training_from_a_cut_on_is_training_of_the_weights_after_it() {
    if !runtime() {
        return;
    }
    let model = network(&[1, 108]);
    let after = Trainable::After("features".into());
    let named = Trainable::Matching(vec!["neck.*".into(), "head.*".into()]);
    let mut from_cut = Trainer::new(&model, &after, squared(), settings(4)).unwrap();
    let mut frozen = Trainer::new(&model, &named, squared(), settings(4)).unwrap();
    train(&mut from_cut, 10);
    train(&mut frozen, 10);
    close(
        &from_cut.weights().unwrap(),
        &frozen.weights().unwrap(),
        1e-5,
    );
    // What is frozen is not even differentiated.
    let nodes = |t: &Trainer| t.graphs()[0].ordered_nodes().count();
    let whole = Trainer::new(&model, &Trainable::All, squared(), settings(4)).unwrap();
    assert!(nodes(&from_cut) < nodes(&frozen) && nodes(&frozen) < nodes(&whole));
}

#[test]
fn a_state_taken_up_again_goes_on_as_if_nothing_had_happened() {
    if !runtime() {
        return;
    }
    let model = network(&[1, 108]);
    let mut trainer = Trainer::new(&model, &Trainable::All, squared(), settings(4)).unwrap();
    train(&mut trainer, 5);
    let bytes = trainer.state().unwrap().to_bytes().unwrap();
    let expected = train(&mut trainer, 5);
    let mut other = Trainer::new(&model, &Trainable::All, squared(), settings(4)).unwrap();
    other.restore(&State::from_bytes(&bytes).unwrap()).unwrap();
    assert_eq!(other.steps(), 5);
    assert_eq!(train(&mut other, 5), expected);
    assert_eq!(other.weights().unwrap(), trainer.weights().unwrap());
    let some = Trainable::Matching(vec!["head.*".into()]);
    let mut third = Trainer::new(&model, &some, squared(), settings(4)).unwrap();
    assert!(matches!(
        third.restore(&trainer.state().unwrap()),
        Err(TrainError::State(_))
    ));
}

fn fitted(seed: u64, settings_: &FitSettings) -> (Trainer, splitinfer_trainer::FitReport) {
    let model = network(&[1, 108]);
    let mut trainer = Trainer::new(&model, &Trainable::All, squared(), settings(4)).unwrap();
    let mut replay = Replay::new(32, seed);
    let samples = samples(&trainer, 12);
    samples.iter().cloned().for_each(|s| replay.push(s));
    let held_back: Vec<&Sample> = samples.iter().take(4).collect();
    let report = fit(&mut trainer, &mut replay, &held_back, settings_, |_| Ok(())).unwrap();
    (trainer, report)
}

#[test]
fn fitting_depends_on_the_seed_alone() {
    if !runtime() {
        return;
    }
    let settings = FitSettings {
        steps: 20,
        ..Default::default()
    };
    let ((a, first), (b, second), (c, _)) = (
        fitted(1, &settings),
        fitted(1, &settings),
        fitted(2, &settings),
    );
    assert_eq!(first, second);
    assert_eq!(a.weights().unwrap(), b.weights().unwrap());
    assert_ne!(a.weights().unwrap(), c.weights().unwrap());
}

#[test]
fn fitting_stops_at_the_target_and_keeps_the_best_weights() {
    if !runtime() {
        return;
    }
    let settings = FitSettings {
        steps: 500,
        learning_rate: 0.01,
        target_loss: Some(0.05),
        ..Default::default()
    };
    let (trainer, report) = fitted(1, &settings);
    assert_eq!(report.stopped, Stopped::Target);
    assert!(report.steps < 500 && report.improved);
    let samples = samples(&trainer, 4);
    let loss = trainer.loss(&samples.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(Some(loss), report.after);
    // A learning rate that makes everything worse leaves the old weights.
    let absurd = FitSettings {
        learning_rate: 30.0,
        steps: 20,
        ..settings
    };
    let (trainer, report) = fitted(1, &absurd);
    assert!(!report.improved && report.after == report.before);
    let old = Trainer::new(
        &network(&[1, 108]),
        &Trainable::All,
        squared(),
        self::settings(4),
    )
    .unwrap();
    assert_eq!(trainer.weights().unwrap(), old.weights().unwrap());
}

/// Plain gradient descent at a rate that is good in the first steps, while it grows, and then far too high.
fn too_fast(batch: usize) -> (TrainerSettings, FitSettings) {
    let trainer = TrainerSettings {
        optimizer: Optimizer::sgd(0.0),
        ..settings(batch)
    };
    let fit = FitSettings {
        steps: 200,
        learning_rate: 1.0,
        validate_every: 1,
        ..Default::default()
    };
    (trainer, fit)
}

#[test]
fn a_training_that_diverges_leaves_the_best_weights_of_before() {
    if !runtime() {
        return;
    }
    let (how, settings) = too_fast(4);
    let head = Trainable::Matching(vec!["head.*".into()]);
    let mut trainer = Trainer::new(&network(&[1, 108]), &head, squared(), how).unwrap();
    let samples = samples(&trainer, 12);
    let mut replay = Replay::new(32, 1);
    samples.iter().cloned().for_each(|s| replay.push(s));
    let held_back: Vec<&Sample> = samples.iter().take(4).collect();
    let start = trainer.weights().unwrap();
    let mut seen = vec![];
    let report = fit(&mut trainer, &mut replay, &held_back, &settings, |p| {
        seen.extend(p.validation_loss);
        Ok(())
    })
    .unwrap();
    assert_eq!(report.stopped, Stopped::Diverged, "{report:?} {seen:?}");
    assert!(
        report.steps < settings.steps && report.improved,
        "{report:?}"
    );
    let best = seen.iter().copied().fold(f32::INFINITY, f32::min);
    assert_eq!(report.after, Some(best));
    assert_eq!(trainer.loss(&held_back).unwrap(), best);
    // Where nothing says which weights are better, those of before the training are.
    let report = fit(&mut trainer, &mut replay, &[], &settings, |_| Ok(())).unwrap();
    assert_eq!(report.stopped, Stopped::Diverged);
    assert!(!report.improved);
    assert_eq!(trainer.loss(&held_back).unwrap(), best);
    assert_ne!(trainer.weights().unwrap(), start);
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    if !runtime() {
        return;
    }
    let model = network(&[1, 108]);
    let refused = |trainable: &Trainable, losses: Vec<LossTerm>| {
        Trainer::new(&model, trainable, losses, settings(2))
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    let e = refused(&Trainable::Matching(vec!["nose.*".into()]), squared());
    assert!(
        e.starts_with("no weight of the model is called like 'nose.*'; its weights: 'body.weight'"),
        "{e}"
    );
    let e = refused(&Trainable::After("nothing".into()), squared());
    assert!(e.contains("'nothing' is no place to train from"), "{e}");
    let e = refused(&Trainable::All, vec![LossTerm::new("z", Loss::MeanSquared)]);
    assert!(e.contains("no tensor named 'z'"), "{e}");
    let mut trainer = Trainer::new(&model, &Trainable::All, squared(), settings(2)).unwrap();
    let wrong = Sample::new(vec![noise(&[1, 2, 6, 6], 1)], vec![noise(&[1, 4], 2)]);
    let e = trainer.step(&[&wrong], 0.1).unwrap_err().to_string();
    assert_eq!(
        e,
        "target 'y' of a sample is float32 [1, 4], but must be float32 [1, 5]"
    );
    let e = trainer.step(&[], 0.1).unwrap_err().to_string();
    assert_eq!(
        e,
        "a step needs at least one sample, and at most 2; 0 were given"
    );
    let nan = Tensor::new(vec![1, 5], vec![f32::NAN; 5]).unwrap();
    let nan = Sample::new(vec![noise(&[1, 2, 6, 6], 1)], vec![nan]);
    assert!(matches!(
        trainer.step(&[&nan], 0.1),
        Err(TrainError::Diverged { .. })
    ));
}

#[test]
fn a_shipped_student_learns_what_its_teacher_says() {
    if !runtime() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let load = |name: &str| Model::load(&folder.join(name)).unwrap();
    let (student, teacher) = (load("walker-student.onnx"), load("walker-teacher.onnx"));
    let teacher = Session::from_model(&teacher, &SessionOptions::default()).unwrap();
    let losses = default_losses(&student);
    assert_eq!(losses[0].loss, Loss::BinaryCrossEntropyWithLogits);
    let mut trainer = Trainer::new(
        &student,
        &Trainable::After("features10".into()),
        losses,
        settings(2),
    )
    .unwrap();
    let samples: Vec<Sample> = (0..2)
        .map(|seed| {
            let picture = noise(&[1, 3, 176, 320], seed);
            let targets = teacher
                .run(&[("image", &picture)])
                .unwrap()
                .into_iter()
                .map(|(_, t)| t)
                .collect();
            Sample::new(trainer.features(&[&picture]).unwrap(), targets)
        })
        .collect();
    let batch: Vec<&Sample> = samples.iter().collect();
    let before = trainer.loss(&batch).unwrap();
    for _ in 0..20 {
        trainer.step(&batch, 1e-3).unwrap();
    }
    let after = trainer.loss(&batch).unwrap();
    assert!(after < before, "{before} became {after}");
}

#[test]
fn a_caller_who_stops_gets_what_was_learned_until_then() {
    if !runtime() {
        return;
    }
    let model = network(&[1, 108]);
    let mut trainer = Trainer::new(&model, &Trainable::All, squared(), settings(4)).unwrap();
    let samples = samples(&trainer, 4);
    let mut replay = Replay::new(8, 0);
    samples.iter().for_each(|s| replay.push(s.clone()));
    let held_back: Vec<&Sample> = samples.iter().collect();
    let settings = FitSettings {
        steps: 1000,
        learning_rate: 0.01,
        validate_every: 1000,
        ..Default::default()
    };
    let report = fit(&mut trainer, &mut replay, &held_back, &settings, |p| {
        if p.step < 20 { Ok(()) } else { Err(()) }
    })
    .unwrap();
    assert_eq!((report.steps, report.stopped), (20, Stopped::Caller));
    assert!(report.improved, "{report:?}");
    assert_eq!(Some(trainer.loss(&held_back).unwrap()), report.after);
}

#[test]
fn memory_counts_weights_what_the_optimizer_keeps_and_activations() {
    if !runtime() {
        return;
    }
    let model = network(&[1, 108]);
    let one = Trainer::new(&model, &Trainable::All, squared(), settings(1)).unwrap();
    let four = Trainer::new(&model, &Trainable::All, squared(), settings(4)).unwrap();
    assert!(four.sharing().is_whole());
    let (one, four, count) = (one.memory(), four.memory(), one.parameter_count() as u64);
    assert_eq!(one.parameters, 4 * count);
    assert!(one.optimizer >= 2 * one.parameters);
    // Five tensors of floats: 4, 4, 3, 3 and 3 channels of 6 x 6, and the answer.
    assert_eq!(one.activations, 4 * (17 * 36 + 5));
    assert_eq!(four.activations, 4 * one.activations);
    let mut two_lanes = settings(4);
    two_lanes.session.threads = 2;
    let shared = Trainer::new(&model, &Trainable::All, squared(), two_lanes).unwrap();
    assert_eq!(shared.memory().activations, four.activations);
    assert_eq!(shared.memory().gradients, 4 * one.gradients);
}
