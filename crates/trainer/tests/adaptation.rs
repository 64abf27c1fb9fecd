// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Adaptation to scenes that come, go and come back, on a model whose scenes are known.

use splitinfer_graph::Model;
use splitinfer_graph::build::GraphBuilder;
use splitinfer_runtime::{SessionOptions, load_library, random_tensor};
use splitinfer_tensor::{DType, Tensor};
use splitinfer_trainer::{
    Adaptation, AdaptationSettings, FitSettings, Loss, LossTerm, Optimizer, Outcome, Sample,
    Trainable, Trainer, TrainerSettings,
};

fn runtime() -> bool {
    load_library(None)
        .inspect_err(|e| println!("skipped: {e}"))
        .is_ok()
}

/// y = x w, which knows scene 0: the first element counts, the others do not.
fn model() -> Model {
    GraphBuilder::new(17)
        .input("x", DType::F32, &[1, 3])
        .weight("w", &[3, 1], &[1.0, 0.0, 0.0])
        .node("MatMul", &["x", "w"], &["y"], vec![])
        .output("y", DType::F32, &[1, 1])
        .model()
        .unwrap()
}

/// In scene i only element i counts.
fn example(scene: usize, seed: u64) -> Sample {
    let x = random_tensor(DType::F32, &[1, 3], 1.0, seed);
    let y = x.to_f32_vec()[scene];
    Sample::new(vec![x], vec![Tensor::new(vec![1, 1], vec![y]).unwrap()])
}

fn adaptation() -> Adaptation {
    let fit = FitSettings {
        steps: 300,
        learning_rate: 0.05,
        target_loss: Some(1e-4),
        ..Default::default()
    };
    with(Optimizer::adam(), Some(10.0), fit)
}

fn with(optimizer: Optimizer, clip_norm: Option<f64>, fit: FitSettings) -> Adaptation {
    let settings = TrainerSettings {
        optimizer,
        clip_norm,
        batch: 8,
        session: SessionOptions {
            threads: 1,
            ..Default::default()
        },
    };
    let losses = vec![LossTerm::new("y", Loss::MeanSquared)];
    let trainer = Trainer::new(&model(), &Trainable::All, losses, settings).unwrap();
    let settings = AdaptationSettings {
        replay: 40,
        held_back: 8,
        fit,
        ..Default::default()
    };
    Adaptation::new(trainer, settings).unwrap()
}

fn show(adaptation: &mut Adaptation, scene: usize, from: u64) {
    for seed in from..from + 60 {
        adaptation.add(example(scene, seed));
    }
}

#[test]
fn a_new_scene_is_learned_and_an_old_one_remembered_without_a_step() {
    if !runtime() {
        return;
    }
    let mut adaptation = adaptation();
    assert!(!adaptation.is_due());
    show(&mut adaptation, 1, 0);
    assert!(adaptation.is_due());
    let outcome = adaptation.adapt(|_| Ok(())).unwrap();
    assert!(
        matches!(outcome, Outcome::Accepted { after, .. } if after <= 1e-4),
        "{outcome:?}"
    );
    assert!(!adaptation.is_due());
    show(&mut adaptation, 2, 100);
    let outcome = adaptation.adapt(|_| Ok(())).unwrap();
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    // The scene before, and the one that the model came with.
    for (scene, seed) in [(1, 200), (0, 300)] {
        show(&mut adaptation, scene, seed);
        let outcome = adaptation.adapt(|_| Ok(())).unwrap();
        assert!(
            matches!(outcome, Outcome::Recalled { .. }),
            "scene {scene}: {outcome:?}"
        );
        let w = adaptation.trainer().weights().unwrap()[0].1.to_f32_vec();
        assert!((w[scene] - 1.0).abs() < 0.1, "{w:?}");
    }
}

#[test]
fn weights_that_are_no_better_are_not_taken() {
    if !runtime() {
        return;
    }
    let mut adaptation = adaptation();
    let old = adaptation.trainer().weights().unwrap();
    // Of its own scene the model knows everything.
    show(&mut adaptation, 0, 0);
    let outcome = adaptation.adapt(|_| Ok(())).unwrap();
    assert!(matches!(outcome, Outcome::Rejected { .. }), "{outcome:?}");
    assert_eq!(adaptation.trainer().weights().unwrap(), old);
    // Nor what a caller does not wait for.
    show(&mut adaptation, 1, 100);
    let mut steps = 0;
    let outcome = adaptation
        .adapt(|step| {
            steps += usize::from(step.is_some());
            if steps < 3 { Ok(()) } else { Err(()) }
        })
        .unwrap();
    assert_eq!((outcome, steps), (Outcome::Abandoned, 3));
    assert_eq!(adaptation.trainer().weights().unwrap(), old);
    // Not even while it looks at what it knows.
    show(&mut adaptation, 1, 200);
    let outcome = adaptation.adapt(|_| Err(())).unwrap();
    assert_eq!(outcome, Outcome::Abandoned);
    assert_eq!(adaptation.trainer().weights().unwrap(), old);
}

#[test]
fn of_a_training_that_diverges_the_best_weights_are_taken_or_none() {
    if !runtime() {
        return;
    }
    // The rate of the first step, a fifth, is good; the others grow and make it worse each time.
    let fit = FitSettings {
        steps: 300,
        learning_rate: 5.0,
        validate_every: 1,
        ..Default::default()
    };
    let mut adaptation = with(Optimizer::sgd(0.0), None, fit);
    show(&mut adaptation, 1, 0);
    let outcome = adaptation.adapt(|_| Ok(())).unwrap();
    let Outcome::Accepted {
        before,
        after,
        diverged: true,
        ..
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    let judged = |a: &Adaptation| a.judge(&a.trainer().model().unwrap()).unwrap().unwrap();
    assert!(
        after < before && (judged(&adaptation) - after).abs() < 1e-6,
        "{outcome:?}"
    );
    // Looked at too late.
    let fit = FitSettings {
        validate_every: 100,
        ..fit
    };
    let mut adaptation = with(Optimizer::sgd(0.0), None, fit);
    let old = adaptation.trainer().weights().unwrap();
    show(&mut adaptation, 1, 0);
    let outcome = adaptation.adapt(|_| Ok(())).unwrap();
    assert!(
        matches!(outcome, Outcome::Rejected { diverged: true, .. }),
        "{outcome:?}"
    );
    assert_eq!(adaptation.trainer().weights().unwrap(), old);
}

#[test]
fn weights_are_judged_as_they_will_be_used() {
    if !runtime() {
        return;
    }
    let mut adaptation = adaptation();
    assert_eq!(adaptation.judge(&model()).unwrap(), None);
    show(&mut adaptation, 1, 0);
    let outcome = adaptation.adapt(|_| Ok(())).unwrap();
    let Outcome::Accepted { before, after, .. } = outcome else {
        panic!("{outcome:?}");
    };
    let judged = |model: &Model| adaptation.judge(model).unwrap().unwrap();
    assert!((judged(&model()) - before).abs() < 1e-6);
    assert!((judged(&adaptation.trainer().model().unwrap()) - after).abs() < 1e-6);
}
