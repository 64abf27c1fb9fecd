// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A mean and how far it may be off.

/// Student's t at 97.5 %, by degrees of freedom from 1.
const T: [f64; 9] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262,
];
/// Fewer runs say nothing of how much they vary.
const LEAST: usize = 3;

pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Half of the 95 % confidence interval of the mean, for three values or more.
pub fn half_width(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() >= LEAST)?;
    let n = values.len() as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = T.get(values.len() - 2).copied().unwrap_or(T[T.len() - 1]);
    Some(t * (variance / n).sqrt())
}

/// `12.3 ± 0.4`, `12.3`, or a dash.
pub fn text(values: &[f64], digits: usize) -> String {
    match (mean(values), half_width(values)) {
        (None, _) => "–".to_owned(),
        (Some(m), None) => format!("{m:.digits$}"),
        (Some(m), Some(h)) => format!("{m:.digits$} ± {h:.digits$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_values_by_hand() {
        // Deviation 1, t(2) = 4.303.
        let half = half_width(&[1.0, 2.0, 3.0]).unwrap();
        assert!((half - 4.303 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(text(&[1.0, 2.0, 3.0], 1), "2.0 ± 2.5");
        assert_eq!(text(&[1.0, 2.0], 1), "1.5");
        assert_eq!(text(&[], 1), "–");
    }
}
