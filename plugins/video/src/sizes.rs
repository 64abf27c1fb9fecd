// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! How large a decoder would find the pictures of a stream, read before the decoder reads it: what comes from the network
//! shall not decide how much memory is taken.

use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::nal::{Nal, RefNal, UnitType};

use super::VideoError;

/// # Errors
/// When the access unit (a byte stream) declares pictures of another size than `width` × `height`, or declares it in a way
/// that cannot be read.
pub(super) fn check(unit: &[u8], width: u32, height: u32) -> Result<(), VideoError> {
    for nal in nals(unit) {
        let nal = RefNal::new(nal, &[], true);
        let kind = nal.header().map(|header| header.nal_unit_type());
        if !matches!(kind, Ok(UnitType::SeqParameterSet)) {
            continue;
        }
        let unreadable = |e: &dyn std::fmt::Debug| {
            VideoError::new(format!("its parameters cannot be read: {e:?}"))
        };
        let set = SeqParameterSet::from_bits(nal.rbsp_bits()).map_err(|e| unreadable(&e))?;
        let declared = set.pixel_dimensions().map_err(|e| unreadable(&e))?;
        if declared != (width, height) {
            let (w, h) = declared;
            let text = format!("its pictures are {w}×{h}, the frame says {width}×{height}");
            return Err(VideoError::new(text));
        }
    }
    Ok(())
}

/// The units behind the start codes of a byte stream, empty ones left out.
fn nals(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts = bytes.windows(3).enumerate();
    let starts: Vec<_> = starts
        .filter(|(_, w)| *w == [0, 0, 1])
        .map(|(i, _)| i)
        .collect();
    let ends: Vec<_> = starts
        .iter()
        .skip(1)
        .copied()
        .chain([bytes.len()])
        .collect();
    let units = starts.into_iter().zip(ends);
    units
        .map(|(start, end)| &bytes[start + 3..end])
        .filter(|nal| !nal.is_empty())
}
