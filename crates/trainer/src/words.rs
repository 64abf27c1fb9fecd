// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Losses and optimizers as people write them, on a command line or in a property.

use splitinfer_grad::{Loss, LossTerm, Optimizer};

use crate::error::TrainError;

const LOSSES: &str = "TENSOR=KIND[:PARAMETER][*FACTOR], where KIND is mse, huber[:DELTA], bce, bce-logits, focal, \
                      boxes:AXIS:FIRST, boxes-logits:AXIS:FIRST, cross-entropy[:AXIS] or kl[:AXIS] (DELTA and AXIS are 1 if \
                      not given elsewhere)";
const OPTIMIZERS: &str =
    "sgd[:MOMENTUM], adam or adamw[:DECAY] (momentum and decay are 0 if not given)";

/// A loss from `TENSOR=KIND[:PARAMETER][*FACTOR]`, such as `heatmap=huber:0.1*20`; the mean over all elements.
/// The tensor's name may hold any of these signs but the last `=`.
///
/// # Errors
/// When the text is not of that form, or a number in it is out of range.
pub fn parse_loss(text: &str) -> Result<LossTerm, TrainError> {
    let wrong = || TrainError::Word {
        what: "loss",
        text: text.to_owned(),
        expected: LOSSES,
    };
    let (tensor, how) = text.trim().rsplit_once('=').ok_or_else(wrong)?;
    let (kind, factor) = match how.split_once('*') {
        Some((kind, factor)) => (kind, number(factor).filter(|f| *f > 0.0).ok_or_else(wrong)?),
        None => (how, 1.0),
    };
    let (kind, parameter) = match kind.split_once(':') {
        Some((kind, parameter)) => (kind, Some(parameter)),
        None => (kind, None),
    };
    let axis = || match parameter {
        Some(axis) => axis.trim().parse().map_err(|_| wrong()),
        None => Ok(1),
    };
    let loss = match (kind.trim(), parameter) {
        ("mse", None) => Loss::MeanSquared,
        ("bce", None) => Loss::BinaryCrossEntropy,
        ("bce-logits", None) => Loss::BinaryCrossEntropyWithLogits,
        ("focal", None) => Loss::FocalWithLogits,
        ("huber", delta) => Loss::Huber {
            delta: number(delta.unwrap_or("1"))
                .filter(|d| *d > 0.0)
                .ok_or_else(wrong)?,
        },
        ("boxes" | "boxes-logits", Some(place)) => {
            let (axis, first) = place.split_once(':').ok_or_else(wrong)?;
            let number = |word: &str| word.trim().parse().map_err(|_| wrong());
            Loss::Boxes {
                axis: number(axis)?,
                first: number(first)?,
                logits: kind.trim() == "boxes-logits",
            }
        }
        ("cross-entropy", _) => Loss::CrossEntropy { axis: axis()? },
        ("kl", _) => Loss::KullbackLeibler { axis: axis()? },
        _ => return Err(wrong()),
    };
    if tensor.is_empty() {
        return Err(wrong());
    }
    Ok(LossTerm {
        factor,
        ..LossTerm::new(tensor, loss)
    })
}

/// A loss as [`parse_loss`] reads it.
pub fn loss_words(term: &LossTerm) -> String {
    let kind = match term.loss {
        Loss::MeanSquared => "mse".to_owned(),
        Loss::Huber { delta } => format!("huber:{delta}"),
        Loss::BinaryCrossEntropy => "bce".to_owned(),
        Loss::BinaryCrossEntropyWithLogits => "bce-logits".to_owned(),
        Loss::FocalWithLogits => "focal".to_owned(),
        Loss::Boxes {
            axis,
            first,
            logits,
        } => {
            let of = if logits { "-logits" } else { "" };
            format!("boxes{of}:{axis}:{first}")
        }
        Loss::CrossEntropy { axis } => format!("cross-entropy:{axis}"),
        Loss::KullbackLeibler { axis } => format!("kl:{axis}"),
    };
    match term.factor {
        1.0 => format!("{}={kind}", term.tensor),
        factor => format!("{}={kind}*{factor}", term.tensor),
    }
}

/// An optimizer from `sgd[:MOMENTUM]`, `adam` or `adamw[:DECAY]`.
///
/// # Errors
/// When the text is none of these, or a number in it is out of range.
pub fn parse_optimizer(text: &str) -> Result<Optimizer, TrainError> {
    let wrong = || TrainError::Word {
        what: "optimizer",
        text: text.to_owned(),
        expected: OPTIMIZERS,
    };
    let (kind, parameter) = match text.trim().split_once(':') {
        Some((kind, parameter)) => (kind, Some(number(parameter).ok_or_else(wrong)?)),
        None => (text.trim(), None),
    };
    match (kind, parameter) {
        ("sgd", None) => Ok(Optimizer::sgd(0.0)),
        ("sgd", Some(momentum)) if (0.0..1.0).contains(&momentum) => Ok(Optimizer::sgd(momentum)),
        ("adam", None) => Ok(Optimizer::adam()),
        ("adamw", None) => Ok(Optimizer::adamw(0.0)),
        ("adamw", Some(decay)) if decay >= 0.0 => Ok(Optimizer::adamw(decay)),
        _ => Err(wrong()),
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|v: &f64| v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn losses_are_read_as_they_are_meant() {
        let read = |text| parse_loss(text).unwrap();
        assert_eq!(read("y=mse"), LossTerm::new("y", Loss::MeanSquared));
        let half = read("/head/out:0=huber:0.5*2");
        assert_eq!(half.tensor, "/head/out:0");
        assert_eq!((half.loss, half.factor), (Loss::Huber { delta: 0.5 }, 2.0));
        assert_eq!(read("a=b=kl:2").tensor, "a=b");
        assert_eq!(read("y=cross-entropy").loss, Loss::CrossEntropy { axis: 1 });
    }

    #[test]
    fn what_is_no_loss_is_refused_with_what_is_one() {
        for text in [
            "mse",
            "y=l1",
            "=mse",
            "y=mse:3",
            "y=huber:0",
            "y=mse*-1",
            "y=kl:-1",
            "y=boxes",
            "y=boxes:1",
            "y=boxes:1:x",
            "y=mse*x",
        ] {
            let error = parse_loss(text).unwrap_err().to_string();
            assert!(error.contains(&format!("'{text}'")), "{error}");
            assert!(error.contains("bce-logits"), "{error}");
        }
    }

    #[test]
    fn optimizers_are_read_or_refused() {
        assert_eq!(parse_optimizer("sgd:0.9").unwrap(), Optimizer::sgd(0.9));
        assert_eq!(parse_optimizer("adam").unwrap(), Optimizer::adam());
        assert_eq!(
            parse_optimizer("adamw:0.01").unwrap(),
            Optimizer::adamw(0.01)
        );
        for text in ["lion", "sgd:1", "adam:2", "adamw:-1", "sgd:x", ""] {
            let error = parse_optimizer(text).unwrap_err().to_string();
            assert!(error.contains("adamw[:DECAY]"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            tensor in "[a-z/:=*.0-9]{1,12}",
            factor in 0.001f64..1000.0,
            axis in 0usize..5,
            delta in 0.001f64..10.0,
            kind in 0usize..8,
            logits in any::<bool>(),
        ) {
            let losses = [
                Loss::MeanSquared,
                Loss::Huber { delta },
                Loss::BinaryCrossEntropy,
                Loss::BinaryCrossEntropyWithLogits,
                Loss::FocalWithLogits,
                Loss::Boxes { axis, first: 4 - axis, logits },
                Loss::CrossEntropy { axis },
                Loss::KullbackLeibler { axis },
            ];
            let term = LossTerm { factor, ..LossTerm::new(&tensor, losses[kind]) };
            prop_assert_eq!(parse_loss(&loss_words(&term)).unwrap(), term);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,24}") {
            let _ = (parse_loss(&text), parse_optimizer(&text));
        }
    }
}
