// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The times of a step's nodes as tables: by part of the step, and the dearest gradients of weights by layer.

use std::collections::HashMap;

use super::convolution::Convolution;
use super::profile::{NodeTime, Part};
use splitinfer_grad_reference::Trainee;

/// Operators of a row that are named, dearest first.
const NAMED: usize = 6;
/// Layers that are named.
const LAYERS: usize = 8;

/// Milliseconds by operator.
#[derive(Default)]
struct Sum<'a> {
    total: f64,
    ops: HashMap<&'a str, f64>,
}

impl<'a> Sum<'a> {
    fn add(&mut self, time: &'a NodeTime) {
        self.total += time.seconds * 1e3;
        *self.ops.entry(&time.op).or_default() += time.seconds * 1e3;
    }

    fn named(&self) -> String {
        let mut ops: Vec<_> = self.ops.iter().collect();
        ops.sort_by(|a, b| b.1.total_cmp(a.1));
        let ops = ops
            .iter()
            .take(NAMED)
            .map(|(op, ms)| format!("{op} {ms:.2}"));
        ops.collect::<Vec<_>>().join(", ")
    }
}

/// Prints the time of each part of the step.
pub fn print_parts(times: &[NodeTime]) {
    let whole: f64 = times.iter().map(|t| t.seconds * 1e3).sum();
    println!("| part | ms | % | operators, ms |\n|---|---|---|---|");
    for part in Part::ALL {
        let mut sum = Sum::default();
        times
            .iter()
            .filter(|t| t.part == part)
            .for_each(|t| sum.add(t));
        println!(
            "| {} | {:.2} | {:.0} | {} |",
            part.name(),
            sum.total,
            sum.total * 100.0 / whole,
            sum.named()
        );
    }
}

/// Prints the layers whose gradients of weights and bias take longest; equal layers are one row.
pub fn print_layers(times: &[NodeTime], trainee: &Trainee) {
    let convolutions = Convolution::all(&trainee.model, &trainee.facts);
    let mut layers: HashMap<Convolution, Sum> = HashMap::new();
    for time in times.iter().filter(|t| t.part == Part::Weight) {
        let named = |names: &[String]| time.parameter.as_ref().is_some_and(|p| names.contains(p));
        if let Some((convolution, _)) = convolutions.iter().find(|(_, names)| named(names)) {
            layers.entry(*convolution).or_default().add(time);
        }
    }
    let mut layers: Vec<_> = layers.into_iter().collect();
    layers.sort_by(|a, b| b.1.total.total_cmp(&a.1.total));
    println!("\n| convolution | times | dW ms | operators, ms |\n|---|---|---|---|");
    for (convolution, sum) in layers.iter().take(LAYERS) {
        let count = convolutions
            .iter()
            .filter(|(c, _)| c == convolution)
            .count();
        println!(
            "| {convolution} | {count} | {:.2} | {} |",
            sum.total,
            sum.named()
        );
    }
}
