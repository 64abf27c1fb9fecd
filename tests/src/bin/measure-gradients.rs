// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Gradients against PyTorch, every operator and whole models: `tests/measure.sh gradients [--quick]`.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::json;
use splitinfer_grad_reference::fixture::{load, operator_names};
use splitinfer_grad_reference::gradients::{Fusion, of_fixture};
use splitinfer_tests::measure;
use splitinfer_tests::training::agreement::{Error, errors};
use splitinfer_tests::training::{Subject, python, subjects};

/// Operators that have a row.
const WORST: usize = 12;

fn main() -> Result<()> {
    let quick = std::env::args().any(|a| a == "--quick");
    splitinfer_tests::init();
    println!(
        "# Gradients\n\n{}; {}\n",
        measure::machine(),
        python::heading()
    );
    println!(
        "An error is the largest difference of any element from PyTorch's gradient in float64, over the largest element of \
         that tensor's gradient. ONNX Runtime computes in float32."
    );
    let operators = print_operators()?;
    let models = print_models(quick)?;
    println!(
        "\n{}",
        json!({
            "max_rel_error": models.map(|m| m[1].max(operators)),
            "max_rel_error_operators": operators,
            "max_rel_error_models_same_sides": models.map(|m| m[1]),
            "max_rel_error_models_other_sides": models.map(|m| m[0]),
        })
    );
    Ok(())
}

/// The worst of each operator; the worst of all.
fn print_operators() -> Result<f64> {
    let names = operator_names();
    let bar = measure::progress(names.len());
    // By operator: fixtures, the worst error and where.
    let mut operators: BTreeMap<String, (usize, f64, String)> = BTreeMap::new();
    let mut central = 0.0f64;
    for name in &names {
        let fixture = load(name);
        let found = of_fixture(&fixture, Fusion::Allowed)?;
        let model = &fixture.model;
        let used: std::collections::BTreeSet<String> = model
            .ordered_nodes()
            .map(|n| n.op_type().to_owned())
            .collect();
        for (tensor, error) in fixture.errors("grad", &found) {
            for op in &used {
                let row = operators.entry(op.clone()).or_default();
                if error >= row.1 {
                    (row.1, row.2) = (error, format!("`{tensor}` of {name}"));
                }
            }
        }
        used.into_iter()
            .for_each(|op| operators.entry(op).or_default().0 += 1);
        let errors = fixture.errors("central", &found).map(|(_, e)| e);
        central = errors.fold(central, f64::max);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let count = operators.len();
    let mut rows: Vec<_> = operators.into_iter().collect();
    rows.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
    let worst = rows.first().map_or(0.0, |r| r.1.1);
    println!(
        "\n## Operators\n\n{} fixtures of {count} operators. Worst error {worst:.1e}; against central differences of the ONNX \
         model in double precision {central:.1e}. The {WORST} worst operators, each in any fixture that has it:\n",
        names.len()
    );
    println!("| operator | fixtures | error | gradient of |\n|---|---|---|---|");
    for (op, (fixtures, error, place)) in rows.iter().take(WORST) {
        println!("| {op} | {fixtures} | {error:.1e} | {place} |");
    }
    Ok(worst)
}

/// A row a model; the worst of all as it is and with the same sides, if PyTorch is here.
fn print_models(quick: bool) -> Result<Option<[f64; 2]>> {
    println!(
        "\n## Whole models\n\nEvery weight and bias, up to the outputs of the last convolutions, on one frame of a scene or a \
         video. *y*: the gradient there is the output itself, as of a mean square; *noise*: it is uniform noise, which \
         cancels and so is the harder case. *float32*: PyTorch's own gradients in single precision, the floor that any \
         float32 computation of this graph has. Where a rounding puts a value on the other side of a kink (of Relu, Clip, \
         MaxPool), both gradients are right and differ by as much as the slopes; *same sides* is the error with float64 on \
         our side of each kink, which is that of the arithmetic. *sums in float64*: the floor with the sums of the gradients \
         of weights and biases in double precision and all else in single.\n"
    );
    println!(
        "| model | parameters | dL/dy | worst | of | median | same sides: worst | of | median | PyTorch float32: worst | same sides: worst | median | sums in float64: worst |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut worst: Option<[f64; 2]> = None;
    for subject in subjects().into_iter().filter(|s| s.shipped || !quick) {
        for random in [false, true] {
            let seed = if random { "noise" } else { "y" };
            match errors(&subject, random)? {
                Some(found) => {
                    let error = print_model(&subject, seed, &found);
                    let before = worst.unwrap_or_default();
                    worst = Some([before[0].max(error[0]), before[1].max(error[1])]);
                }
                None => println!(
                    "| {} | – | {seed} | – | – | – | – | – | – | – | – | – | – |",
                    subject.name
                ),
            }
        }
    }
    Ok(worst)
}

/// Prints a row; the worst errors as it is and with the same sides.
fn print_model(subject: &Subject, seed: &str, errors: &[Error]) -> [f64; 2] {
    let worst = |of: fn(&Error) -> f64| errors.iter().max_by(|a, b| of(a).total_cmp(&of(b)));
    let largest = |of: fn(&Error) -> f64| worst(of).map_or(0.0, of);
    let place = |of: fn(&Error) -> f64| {
        worst(of).map_or_else(String::new, |w| measure::short(&w.parameter))
    };
    let middle =
        |of: fn(&Error) -> f64| measure::median(&errors.iter().map(of).collect::<Vec<_>>());
    let [ours, decided, float32, floor]: [fn(&Error) -> f64; 4] =
        [|e| e.ours, |e| e.decided, |e| e.float32, |e| e.floor];
    println!(
        "| {} | {} | {seed} | {:.1e} | `{}` | {:.1e} | {:.1e} | `{}` | {:.1e} | {:.1e} | {:.1e} | {:.1e} | {:.1e} |",
        subject.name,
        errors.len(),
        largest(ours),
        place(ours),
        middle(ours),
        largest(decided),
        place(decided),
        middle(decided),
        largest(float32),
        largest(floor),
        middle(floor),
        largest(|e| e.double_sums),
    );
    [largest(ours), largest(decided)]
}
