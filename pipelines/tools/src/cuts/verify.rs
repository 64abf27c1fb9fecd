// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! The proof that tail after head is the whole model, and that coded tensors come back as promised.

use anyhow::Result as Anyhow;
use splitinfer_graph::Facts;
use splitinfer_runtime::SplitModel;
use splitinfer_tensor::{DType, Tensor};
use splitinfer_tensorcode::{Limits, decoder, max_errors};

/// How far two runs of the same operators may be apart: this times the larger of 1 and the value.
pub const TOLERANCE: f64 = 1e-6;

/// The same for models with float16 inside: where a processor lacks it, ONNX Runtime computes in float32 and
/// rounds at a cut only.
pub const TOLERANCE_F16: f64 = 5e-3;

pub(super) type Outputs = Vec<(String, Tensor)>;

/// What the whole model gives for each sample, and what a split must give to be the same.
///
/// ONNX Runtime fuses operators, and on the two sides of a cut others than in the whole model. So values differ in
/// their last bits, or by quantisation steps in an 8-bit model, however right the cut is. The proof is therefore
/// made with fusing off, where every operator runs as the model has it and no difference is excused. How far it is
/// with fusing on, as in use, is measured too.
pub(super) struct Truth {
    fused: Vec<Outputs>,
    plain: Vec<Outputs>,
    tolerance: f64,
}

impl Truth {
    /// # Errors
    /// When the model cannot be run.
    pub fn find(
        fused: &SplitModel,
        plain: &SplitModel,
        facts: &Facts,
        inputs: &[Tensor],
    ) -> Anyhow<Self> {
        let run = |model: &SplitModel| {
            inputs
                .iter()
                .map(|x| model.whole(x))
                .collect::<Result<Vec<_>, _>>()
        };
        let half = facts.0.values().any(|fact| fact.dtype == DType::F16);
        Ok(Self {
            fused: run(fused)?,
            plain: run(plain)?,
            tolerance: if half { TOLERANCE_F16 } else { TOLERANCE },
        })
    }

    /// The proof for one sample: the failure, if it fails.
    ///
    /// # Errors
    /// When ONNX Runtime fails.
    pub fn prove(
        &self,
        plain: &SplitModel,
        candidate: usize,
        input: &Tensor,
        sample: usize,
    ) -> Anyhow<Option<String>> {
        let outputs = plain.tail(candidate, &plain.head(candidate, input)?)?;
        Ok(compare(&self.plain[sample], &outputs, self.tolerance).err())
    }

    /// How far the outputs of a split, as it is used, are from those of the whole model as it is used.
    ///
    /// # Errors
    /// Says which output is missing, not a number, or of another type or shape.
    pub fn distance(&self, outputs: &Outputs, sample: usize) -> Result<f64, String> {
        compare(&self.fused[sample], outputs, f64::MAX)
    }
}

/// The largest absolute difference of any value.
///
/// # Errors
/// Says which output is missing, of another type or shape, or too far off, and by how much.
fn compare(whole: &Outputs, split: &Outputs, tolerance: f64) -> Result<f64, String> {
    if whole.len() != split.len() {
        return Err(format!(
            "{} outputs instead of {}",
            split.len(),
            whole.len()
        ));
    }
    let mut worst = 0.0f64;
    for ((name, whole), (split_name, split)) in whole.iter().zip(split) {
        let kind = |name: &str, t: &Tensor| format!("{name} {} {:?}", t.dtype(), t.shape());
        let (expected, got) = (kind(name, whole), kind(split_name, split));
        if expected != got {
            return Err(format!("output {got} instead of {expected}"));
        }
        for (i, (a, b)) in whole
            .to_f32_vec()
            .into_iter()
            .zip(split.to_f32_vec())
            .enumerate()
        {
            let (a, b) = (f64::from(a), f64::from(b));
            if a == b || (a.is_nan() && b.is_nan()) {
                continue;
            }
            let difference = (a - b).abs();
            // A NaN or an infinity on one side only is as far off as can be.
            if !difference.is_finite() || difference > tolerance * a.abs().max(1.0) {
                return Err(format!("output {name} at {i} is {b} instead of {a}"));
            }
            worst = worst.max(difference);
        }
    }
    Ok(worst)
}

/// That what was encoded can be decoded, to within the error that the code states.
///
/// # Errors
/// Says which tensor came back wrong.
pub(super) fn decodes(tensors: &[Tensor], bytes: &[u8]) -> Result<(), String> {
    let limits = Limits {
        max_bytes: tensors
            .iter()
            .map(Tensor::byte_len)
            .sum::<usize>()
            .max(Limits::default().max_bytes),
        ..Limits::default()
    };
    let decoded = decoder()
        .decode(bytes, &limits)
        .map_err(|e| format!("coded tensors: {e}"))?;
    let bounds = max_errors(bytes, &limits).map_err(|e| format!("coded tensors: {e}"))?;
    if decoded.len() != tensors.len() || bounds.len() != tensors.len() {
        return Err(format!(
            "{} tensors were coded, {} came back",
            tensors.len(),
            decoded.len()
        ));
    }
    for (i, ((sent, received), bound)) in tensors.iter().zip(&decoded).zip(bounds).enumerate() {
        if (sent.dtype(), sent.shape()) != (received.dtype(), received.shape()) {
            return Err(format!(
                "coded tensor {i} came back with another type or shape"
            ));
        }
        let pairs = sent.to_f32_vec().into_iter().zip(received.to_f32_vec());
        let same =
            |(a, b): (f32, f32)| (a - b).abs() <= bound || a == b || (a.is_nan() && b.is_nan());
        if !pairs.into_iter().all(same) {
            return Err(format!(
                "coded tensor {i} came back further off than the stated {bound}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(values: &[f32]) -> Outputs {
        vec![(
            "y".to_owned(),
            Tensor::new(vec![values.len()], values.to_vec()).unwrap(),
        )]
    }

    fn compare(a: &Outputs, b: &Outputs) -> Result<f64, String> {
        super::compare(a, b, 1e-4)
    }

    #[test]
    fn the_largest_difference_is_found_and_measured_against_the_value() {
        let same = compare(
            &outputs(&[1.0, f32::NAN, f32::INFINITY]),
            &outputs(&[1.0, f32::NAN, f32::INFINITY]),
        );
        assert_eq!(same, Ok(0.0));
        let d = compare(&outputs(&[0.0, 400.0]), &outputs(&[0.00005, 400.02])).unwrap();
        assert!((0.019..0.021).contains(&d), "{d}");
        for (a, b) in [
            (0.0, 0.0002),
            (400.0, 400.1),
            (1.0, f32::NAN),
            (f32::NAN, 1.0),
            (f32::INFINITY, 1.0),
        ] {
            let e = compare(&outputs(&[3.0, a]), &outputs(&[3.0, b])).unwrap_err();
            assert!(e.contains("output y at 1"), "{e}");
        }
    }

    #[test]
    fn other_shapes_and_missing_outputs_are_failures() {
        assert!(
            compare(&outputs(&[1.0]), &outputs(&[1.0, 2.0]))
                .unwrap_err()
                .contains("[2] instead of")
        );
        assert!(
            compare(&outputs(&[1.0]), &Vec::new())
                .unwrap_err()
                .contains("0 outputs")
        );
    }

    #[test]
    fn a_damaged_code_is_noticed() {
        let tensor =
            splitinfer_runtime::random_tensor(splitinfer_tensor::DType::F32, &[1, 4, 8, 8], 1.0, 1);
        let sent = [tensor];
        let bytes = splitinfer_tensorcode::encoder()
            .encode(0, &sent, 8)
            .unwrap();
        assert_eq!(decodes(&sent, &bytes), Ok(()));
        assert!(decodes(&sent, &bytes[..bytes.len() / 2]).is_err());
        let other = [splitinfer_runtime::random_tensor(
            splitinfer_tensor::DType::F32,
            &[1, 4, 8, 8],
            1.0,
            2,
        )];
        assert!(decodes(&other, &bytes).unwrap_err().contains("further off"));
    }
}
