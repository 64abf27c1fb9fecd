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
    Carried, Loss, LossTerm, Optimizer, Reduction, ShareGraph, Spec, StepPorts, TrainingGraph,
    UpdateGraph, loss_graph, trainable_form,
};
use splitinfer_grad_reference::compare::{doubles, relative_error, size};
use splitinfer_grad_reference::fixture::{Fixture, load, names};
use splitinfer_graph::{Facts, Model};
use splitinfer_runtime::{CarriedSession, Held, Session, SessionOptions, probe_all};
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
        "focal_with_logits" => Loss::FocalWithLogits,
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
    };
    let step = TrainingGraph::new(&model, &facts, &spec).unwrap();
    let mut feeds = feeds(fixture);
    feeds.retain(|(n, _)| weighted || !n.starts_with("weights/"));
    let shift = &step.step.parameters[0].1;
    feeds.push((
        step.step.learning_rate.clone(),
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
    (scalar(output(&step.losses.loss)), gradient)
}

/// The training that a fixture describes.
fn spec(json: &Value) -> Spec {
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
    }
}

fn carrying(model: &Model, step: &StepPorts) -> CarriedSession {
    let carried: Vec<(&str, &str, &Tensor)> = step
        .carried()
        .map(|c| (c.input.as_str(), c.output.as_str(), &c.initial))
        .collect();
    CarriedSession::new(model, &carried, &options()).unwrap()
}

fn held(inputs: impl Iterator<Item = (String, Tensor)>) -> Vec<(String, Held)> {
    inputs
        .map(|(name, tensor)| (name, Held::new(tensor).unwrap()))
        .collect()
}

fn named(inputs: &[(String, Held)]) -> Vec<(&str, &Held)> {
    inputs.iter().map(|(n, held)| (n.as_str(), held)).collect()
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
    let step = TrainingGraph::new(&model, &facts, &spec(&json)).unwrap();
    let mut session = carrying(&step.model, &step.step);
    let rate = json["optimizer"]["lr"].as_f64().unwrap() as f32;
    let kind = json["optimizer"]["kind"].as_str().unwrap();
    let feeds = feeds(fixture);
    let (losses, norms) = (
        doubles(&fixture.data["loss"]),
        doubles(&fixture.data["norm"]),
    );
    let mut wrong = Vec::new();
    for i in 0..10 {
        let rate = (
            step.step.learning_rate.clone(),
            Tensor::new(vec![], vec![rate]).unwrap(),
        );
        let inputs = held(feeds.iter().cloned().chain([rate]));
        let outputs = session.step(&named(&inputs)).unwrap();
        let output = |name: &str| scalar(&outputs.iter().find(|(n, _)| n == name).unwrap().1);
        for (what, got, expected) in [
            ("loss", output(&step.losses.loss), losses[i]),
            ("norm", output(&step.step.gradient_norm), norms[i]),
        ] {
            if (got - expected).abs() > PARAMETER_TOLERANCE * expected.abs() {
                wrong.push(format!(
                    "{} step {}: {what} {got}, not {expected}",
                    fixture.name,
                    i + 1
                ));
            }
        }
        wrong.extend(wrong_parameters(
            fixture,
            kind,
            i,
            &step.step.parameters,
            &session,
        ));
    }
    wrong
}

/// Those that are not what PyTorch has after step `i`.
fn wrong_parameters(
    fixture: &Fixture,
    kind: &str,
    i: usize,
    parameters: &[(String, Carried)],
    session: &CarriedSession,
) -> Vec<String> {
    let pairs = parameters.iter().zip(session.carried().unwrap());
    let error = |((name, _), got): (&(String, Carried), Tensor)| {
        let expected = &fixture.data[&format!("{kind}:{}:{name}", i + 1)];
        (name.clone(), relative_error(expected, &got, size(expected)))
    };
    pairs
        .map(error)
        .filter(|(_, error)| *error > PARAMETER_TOLERANCE)
        .map(|(name, error)| format!("{} step {}: {name} {error:.1e}", fixture.name, i + 1))
        .collect()
}

/// The same batch twice, each counting half, is the batch once: so a step in shares is held against the same reference.
#[test]
fn ten_steps_in_shares_agree_with_pytorch() {
    if !runtime() {
        return;
    }
    let fixtures = names("train_").into_iter().map(|n| load(&n));
    // A sum over a batch that is there twice is twice the sum.
    let fixtures = fixtures.filter(|f| !f.notes["hyperparameters"].contains(r#""sum""#));
    let wrong: Vec<String> = fixtures.flat_map(|f| ten_steps_in_shares(&f)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn ten_steps_in_shares(fixture: &Fixture) -> Vec<String> {
    let json: Value = serde_json::from_str(&fixture.notes["hyperparameters"]).unwrap();
    let (model, facts) = prepared(fixture);
    let share = ShareGraph::new(&model, &facts, &spec(&json), 2).unwrap();
    let update = UpdateGraph::new(&model, &facts, &spec(&json), 2).unwrap();
    let session = Session::from_model(&share.model, &options()).unwrap();
    let mut updates = carrying(&update.model, &update.step);
    let mut feeds = feeds(fixture);
    feeds.extend(totals(&share, fixture));
    let initial = update.step.parameters.iter().map(|(_, c)| &c.initial);
    let elements = initial.map(Tensor::len).sum();
    let zeros = Tensor::new(vec![elements], vec![0f32; elements]).unwrap();
    let rate = json["optimizer"]["lr"].as_f64().unwrap() as f32;
    let kind = json["optimizer"]["kind"].as_str().unwrap();
    let mut wrong = Vec::new();
    for i in 0..10 {
        let weights = updates.carried().unwrap();
        let mut sum = zeros.clone();
        let mut loss = 0.0;
        for _ in 0..2 {
            let mut given: Vec<(&str, &Tensor)> =
                feeds.iter().map(|(n, t)| (n.as_str(), t)).collect();
            given.extend(share.parameters.iter().map(String::as_str).zip(&weights));
            given.push((&share.before, &sum));
            let outputs = session.run(&given).unwrap();
            let output = |name: &str| outputs.iter().find(|(n, _)| n == name).unwrap().1.clone();
            loss += scalar(&output(&share.losses.loss));
            sum = output(&share.gradient);
        }
        let expected = doubles(&fixture.data["loss"])[i];
        if (loss - expected).abs() > PARAMETER_TOLERANCE * expected.abs() {
            wrong.push(format!(
                "{} step {}: loss {loss}, not {expected}",
                fixture.name,
                i + 1
            ));
        }
        let rate = Tensor::new(vec![], vec![rate]).unwrap();
        let inputs = [
            (update.gradients[0].clone(), sum),
            (update.gradients[1].clone(), zeros.clone()),
            (update.step.learning_rate.clone(), rate),
        ];
        updates.step(&named(&held(inputs.into_iter()))).unwrap();
        wrong.extend(wrong_parameters(
            fixture,
            kind,
            i,
            &update.step.parameters,
            &updates,
        ));
    }
    wrong
}

/// Of each mean by weight: the sum of the weights of both shares.
fn totals(share: &ShareGraph, fixture: &Fixture) -> Vec<(String, Tensor)> {
    let totals = share.losses.totals.iter().zip(&share.losses.weights);
    let sum = |weights: &Option<String>| {
        let tensor = weights.as_deref().and_then(|w| w.strip_prefix("weights/"));
        let weights = &fixture.data[&format!("weights:{}", tensor.unwrap())];
        2.0 * doubles(weights).iter().sum::<f64>()
    };
    totals
        .filter_map(|(total, weights)| Some((total.clone()?, sum(weights))))
        .map(|(name, sum)| (name, Tensor::new(vec![], vec![sum as f32]).unwrap()))
        .collect()
}

#[test]
fn the_loss_alone_is_that_of_the_step() {
    if !runtime() {
        return;
    }
    let fixture = load("train_adam_two_losses");
    let json: Value = serde_json::from_str(&fixture.notes["hyperparameters"]).unwrap();
    let (model, facts) = prepared(&fixture);
    let (graph, ports) = loss_graph(&model, &facts, &spec(&json)).unwrap();
    let session = Session::from_model(&graph, &options()).unwrap();
    let step = TrainingGraph::new(&model, &facts, &spec(&json)).unwrap();
    let mut feeds = feeds(&fixture);
    feeds.extend(
        step.step
            .parameters
            .iter()
            .map(|(n, c)| (n.clone(), c.initial.clone())),
    );
    let fed: Vec<(&str, &Tensor)> = feeds.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let outputs = session.run(&fed).unwrap();
    let loss = scalar(&outputs.iter().find(|(n, _)| *n == ports.loss).unwrap().1);
    let expected = doubles(&fixture.data["loss"])[0];
    assert!(
        (loss - expected).abs() <= LOSS_TOLERANCE * expected.abs(),
        "{loss}, not {expected}"
    );
}
