// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Losses, and ten steps of each optimizer, against PyTorch.

mod common;

use common::runtime;
use serde_json::Value;
use splitinfer_grad::{
    Loss, LossTerm, Optimizer, Reduction, Spec, TrainingGraph, loss_graph, trainable_form,
};
use splitinfer_grad_reference::compare::{doubles, relative_error, size};
use splitinfer_grad_reference::fixture::{Fixture, load, names};
use splitinfer_graph::{Facts, Model};
use splitinfer_runtime::{CarriedSession, Session, SessionOptions, probe_all};
use splitinfer_tensor::Tensor;

/// Goal for every parameter after each of ten steps.
const PARAMETER_TOLERANCE: f64 = 1e-4;
const LOSS_TOLERANCE: f64 = 1e-5;

fn options() -> SessionOptions {
    SessionOptions {
        threads: 1,
        ..Default::default()
    }
}

fn loss(json: &Value) -> Loss {
    let axis = json["axis"].as_u64().unwrap_or(0) as usize;
    match json["kind"].as_str().unwrap() {
        "mse" => Loss::MeanSquared,
        "huber" => Loss::Huber {
            delta: json["delta"].as_f64().unwrap_or(1.0),
        },
        "bce" => Loss::BinaryCrossEntropy,
        "bce_with_logits" => Loss::BinaryCrossEntropyWithLogits,
        "cross_entropy" => Loss::CrossEntropy { axis },
        "kl" => Loss::KullbackLeibler { axis },
        other => panic!("loss '{other}'"),
    }
}

fn reduction(name: &str) -> Reduction {
    match name {
        "mean" => Reduction::Mean,
        "weighted_mean" => Reduction::WeightedMean,
        "sum" => Reduction::Sum,
        other => panic!("reduction '{other}'"),
    }
}

fn optimizer(json: &Value) -> Optimizer {
    let number = |key: &str| json[key].as_f64().unwrap_or(0.0);
    let beta = |i: usize| json["betas"][i].as_f64().unwrap_or(0.0);
    let (beta1, beta2, epsilon) = (beta(0), beta(1), number("eps"));
    let weight_decay = number("weight_decay");
    match json["kind"].as_str().unwrap() {
        "sgd" => Optimizer::Sgd {
            momentum: number("momentum"),
            nesterov: json["nesterov"].as_bool().unwrap_or(false),
            weight_decay,
        },
        "adam" => Optimizer::Adam {
            beta1,
            beta2,
            epsilon,
            weight_decay,
        },
        "adamw" => Optimizer::AdamW {
            beta1,
            beta2,
            epsilon,
            weight_decay,
        },
        other => panic!("optimizer '{other}'"),
    }
}

fn prepared(fixture: &Fixture) -> (Model, Facts) {
    let mut model = trainable_form(&fixture.model).unwrap();
    for (name, tensor) in fixture.kind("in") {
        model = model.with_input_shape(name, tensor.shape()).unwrap();
    }
    let given: Vec<(&str, &Tensor)> = fixture.kind("in").collect();
    let facts = probe_all(&model, &given, &options()).unwrap();
    (model, facts)
}

/// Everything a fixture feeds besides parameters, under the names that the graphs use.
fn feeds(fixture: &Fixture) -> Vec<(String, Tensor)> {
    let inputs = fixture.kind("in").map(|(n, t)| (n.to_owned(), t.clone()));
    let targets = fixture
        .kind("target")
        .map(|(n, t)| (format!("target/{n}"), t.clone()));
    let weights = fixture
        .kind("weights")
        .map(|(n, t)| (format!("weights/{n}"), t.clone()));
    inputs.chain(targets).chain(weights).collect()
}

fn scalar(tensor: &Tensor) -> f64 {
    doubles(tensor)[0]
}

#[test]
fn losses_and_their_gradients_agree_with_pytorch() {
    if !runtime() {
        return;
    }
    let mut wrong = Vec::new();
    let names = names("loss_");
    assert!(names.len() >= 10, "only {} fixtures", names.len());
    for name in names {
        let fixture = load(&name);
        let json: Value = serde_json::from_str(&fixture.notes["loss"]).unwrap();
        for (reference, value) in fixture.kind("value") {
            let (how, weighted) = reference.split_once(':').unwrap_or((reference, ""));
            let (got, gradient) =
                one_loss(&fixture, loss(&json), reduction(how), weighted == "weights");
            let expected = scalar(value);
            let error = (got - expected).abs() / expected.abs().max(1e-9);
            let expected = &fixture.data[&format!("grad:{reference}")];
            let slope = relative_error(expected, &gradient, size(expected));
            if error > LOSS_TOLERANCE || slope > LOSS_TOLERANCE {
                wrong.push(format!(
                    "{name} {reference}: value {error:.1e}, gradient {slope:.1e}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Value and gradient of a loss. A step of gradient descent at rate 1 takes the gradient from `shift`, which
/// is added to the prediction.
fn one_loss(fixture: &Fixture, loss: Loss, reduction: Reduction, weighted: bool) -> (f64, Tensor) {
    let (model, facts) = prepared(fixture);
    let term = LossTerm {
        reduction,
        weighted,
        ..LossTerm::new("prediction", loss)
    };
    let spec = Spec {
        parameters: vec!["shift".into()],
        losses: vec![term],
        optimizer: Optimizer::sgd(0.0),
        clip_norm: None,
        accumulate: false,
    };
    let step = TrainingGraph::new(&model, &facts, &spec).unwrap();
    let mut feeds = feeds(fixture);
    feeds.retain(|(n, _)| weighted || !n.starts_with("weights/"));
    let shift = &step.parameters[0].1;
    feeds.push((
        step.learning_rate.clone(),
        Tensor::new(vec![], vec![1f32]).unwrap(),
    ));
    feeds.push((shift.input.clone(), shift.initial.clone()));
    let session = Session::from_model(&step.model, &options()).unwrap();
    let fed: Vec<(&str, &Tensor)> = feeds.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let outputs = session.run(&fed).unwrap();
    let output = |name: &str| &outputs.iter().find(|(n, _)| n == name).unwrap().1;
    let moved = output(&shift.output);
    let gradient: Vec<f32> = moved.to_f32_vec().iter().map(|v| -v).collect();
    let gradient = Tensor::new(moved.shape().to_vec(), gradient).unwrap();
    (scalar(output(&step.loss)), gradient)
}

/// The training that a fixture describes.
fn spec(json: &Value, accumulate: bool) -> Spec {
    let terms = json["losses"].as_array().unwrap().iter().map(|l| LossTerm {
        reduction: reduction(l["reduction"].as_str().unwrap()),
        factor: l["factor"].as_f64().unwrap(),
        weighted: l["weights"].as_bool().unwrap(),
        ..LossTerm::new(l["tensor"].as_str().unwrap(), loss(l))
    });
    let names = json["trainable"].as_array().unwrap().iter();
    Spec {
        parameters: names.map(|n| n.as_str().unwrap().to_owned()).collect(),
        losses: terms.collect(),
        optimizer: optimizer(&json["optimizer"]),
        clip_norm: json["clip_norm"].as_f64(),
        accumulate,
    }
}

fn session(step: &TrainingGraph) -> CarriedSession {
    let parameters = step.parameters.iter().map(|(_, c)| c);
    let carried: Vec<(&str, &str, &Tensor)> = parameters
        .chain(&step.memories)
        .map(|c| (c.input.as_str(), c.output.as_str(), &c.initial))
        .collect();
    CarriedSession::new(&step.model, &carried, &options()).unwrap()
}

#[test]
fn ten_steps_agree_with_pytorch() {
    if !runtime() {
        return;
    }
    let names = names("train_");
    assert!(names.len() >= 15, "only {} fixtures", names.len());
    let wrong: Vec<String> = names.iter().flat_map(|n| ten_steps(&load(n))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn ten_steps(fixture: &Fixture) -> Vec<String> {
    let json: Value = serde_json::from_str(&fixture.notes["hyperparameters"]).unwrap();
    let (model, facts) = prepared(fixture);
    let step = TrainingGraph::new(&model, &facts, &spec(&json, false)).unwrap();
    let mut session = session(&step);
    let rate = json["optimizer"]["lr"].as_f64().unwrap() as f32;
    let kind = json["optimizer"]["kind"].as_str().unwrap();
    let feeds = feeds(fixture);
    let (losses, norms) = (
        doubles(&fixture.data["loss"]),
        doubles(&fixture.data["norm"]),
    );
    let mut wrong = Vec::new();
    for i in 0..10 {
        let mut inputs: Vec<(&str, Tensor)> =
            feeds.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
        inputs.push((
            &step.learning_rate,
            Tensor::new(vec![], vec![rate]).unwrap(),
        ));
        let outputs = session.step(inputs).unwrap();
        let output = |name: &str| scalar(&outputs.iter().find(|(n, _)| n == name).unwrap().1);
        for (what, got, expected) in [
            ("loss", output(&step.loss), losses[i]),
            ("norm", output(&step.gradient_norm), norms[i]),
        ] {
            if (got - expected).abs() > PARAMETER_TOLERANCE * expected.abs() {
                wrong.push(format!(
                    "{} step {}: {what} {got}, not {expected}",
                    fixture.name,
                    i + 1
                ));
            }
        }
        for ((name, _), got) in step.parameters.iter().zip(session.carried().unwrap()) {
            let expected = &fixture.data[&format!("{kind}:{}:{name}", i + 1)];
            let error = relative_error(expected, &got, size(expected));
            if error > PARAMETER_TOLERANCE {
                wrong.push(format!(
                    "{} step {}: {name} {error:.1e}",
                    fixture.name,
                    i + 1
                ));
            }
        }
    }
    wrong
}

#[test]
fn gradients_added_up_over_runs_make_the_step_of_the_whole_batch() {
    if !runtime() {
        return;
    }
    // The same batch twice, each counting half, is the batch once.
    let fixture = load("train_adam_mse");
    let json: Value = serde_json::from_str(&fixture.notes["hyperparameters"]).unwrap();
    let (model, facts) = prepared(&fixture);
    let step = TrainingGraph::new(&model, &facts, &spec(&json, true)).unwrap();
    let gate = step.accumulation.clone().unwrap();
    let mut session = session(&step);
    let feeds = feeds(&fixture);
    let initial: Vec<Tensor> = step
        .parameters
        .iter()
        .map(|(_, c)| c.initial.clone())
        .collect();
    for i in 1..=20 {
        let mut inputs: Vec<(&str, Tensor)> =
            feeds.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
        let rate = json["optimizer"]["lr"].as_f64().unwrap() as f32;
        inputs.push((
            &step.learning_rate,
            Tensor::new(vec![], vec![rate]).unwrap(),
        ));
        inputs.push((&gate.share, Tensor::new(vec![], vec![0.5f32]).unwrap()));
        let apply = splitinfer_tensor::Data::Bool(vec![u8::from(i % 2 == 0)]);
        inputs.push((&gate.apply, Tensor::from_data(vec![], apply).unwrap()));
        session.step(inputs).unwrap();
        if i == 1 {
            assert_eq!(
                session.carried().unwrap()[..initial.len()],
                initial,
                "no step yet"
            );
        }
    }
    for ((name, _), got) in step.parameters.iter().zip(session.carried().unwrap()) {
        let expected = &fixture.data[&format!("adam:10:{name}")];
        assert!(
            relative_error(expected, &got, size(expected)) < PARAMETER_TOLERANCE,
            "{name}"
        );
    }
}

#[test]
fn the_loss_alone_is_that_of_the_step() {
    if !runtime() {
        return;
    }
    let fixture = load("train_adam_two_losses");
    let json: Value = serde_json::from_str(&fixture.notes["hyperparameters"]).unwrap();
    let (model, facts) = prepared(&fixture);
    let graph = loss_graph(&model, &facts, &spec(&json, false)).unwrap();
    let session = Session::from_model(&graph, &options()).unwrap();
    let step = TrainingGraph::new(&model, &facts, &spec(&json, false)).unwrap();
    let mut feeds = feeds(&fixture);
    feeds.extend(
        step.parameters
            .iter()
            .map(|(n, c)| (n.clone(), c.initial.clone())),
    );
    let fed: Vec<(&str, &Tensor)> = feeds.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let outputs = session.run(&fed).unwrap();
    let loss = scalar(&outputs.iter().find(|(n, _)| *n == step.loss).unwrap().1);
    let expected = doubles(&fixture.data["loss"])[0];
    assert!(
        (loss - expected).abs() <= LOSS_TOLERANCE * expected.abs(),
        "{loss}, not {expected}"
    );
}
