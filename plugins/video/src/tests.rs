// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

use std::time::{Duration, Instant};

use proptest::prelude::*;
use splitinfer_vision::Picture;

use super::*;

const SIZE: (u32, u32) = (96, 64);

/// A bright square that moves over a gradient.
fn picture(number: u32) -> Picture {
    let (width, height) = SIZE;
    let pixels = (0..width * height).map(|i| (i % width, i / width));
    let rgb = pixels.flat_map(|(x, y)| {
        let inside = (x + 96 - number % 96) % 96 < 16 && (20..36).contains(&y);
        match inside {
            true => [230, 220, 40],
            false => [(x * 2) as u8, (y * 3) as u8, 90],
        }
    });
    Picture::new(width, height, rgb.collect()).unwrap()
}

fn mean_difference(a: &Picture, b: &Picture) -> f64 {
    let pairs = a.rgb.iter().zip(&b.rgb);
    let sum: u32 = pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    f64::from(sum) / a.rgb.len() as f64
}

fn encoder() -> VideoEncoder {
    gst::init().unwrap();
    VideoEncoder::new(None, SIZE.0, SIZE.1).unwrap()
}

fn decoder() -> VideoDecoder {
    gst::init().unwrap();
    VideoDecoder::new(SIZE.0, SIZE.1).unwrap()
}

/// The stream of the first pictures, a key picture first.
fn stream(pictures: u32) -> Vec<Vec<u8>> {
    let mut encoder = encoder();
    let coded = (0..pictures).map(|n| encoder.encode(&picture(n), n == 0).unwrap().bytes);
    coded.collect()
}

#[test]
fn each_picture_comes_back_at_once_and_later_ones_are_small() {
    let (mut encoder, mut decoder) = (encoder(), decoder());
    let mut sizes = Vec::new();
    for n in 0..20 {
        let sent = picture(n);
        let coded = encoder.encode(&sent, n == 0).unwrap();
        assert_eq!(coded.key, n == 0);
        sizes.push(coded.bytes.len());
        let got = decoder.decode(&coded.bytes).unwrap();
        let off = mean_difference(&sent, &got);
        assert!(off < 4.0, "picture {n} is off by {off}");
    }
    assert!(sizes[1..].iter().all(|s| *s < sizes[0]), "{sizes:?}");
}

#[test]
fn a_key_picture_on_demand_needs_nothing_before_it() {
    let mut encoder = encoder();
    for n in 0..5 {
        encoder.encode(&picture(n), n == 0).unwrap();
    }
    let coded = encoder.encode(&picture(5), true).unwrap();
    assert!(coded.key);
    let got = decoder().decode(&coded.bytes).unwrap();
    assert!(mean_difference(&picture(5), &got) < 4.0);
}

#[test]
fn without_the_key_picture_there_is_no_picture() {
    let coded = stream(2);
    assert!(decoder().decode(&coded[1]).is_err());
}

#[test]
fn every_known_encoder_that_is_here_works_with_every_decoder() {
    gst::init().unwrap();
    for name in ["x264enc", "openh264enc"] {
        if gst::ElementFactory::find(name).is_none() {
            continue;
        }
        let mut encoder = VideoEncoder::new(Some(name), SIZE.0, SIZE.1);
        // As it is by default, x264enc holds many pictures back.
        if name == "x264enc" {
            let problem = encoder.err().map(|e| e.to_string()).unwrap_or_default();
            assert!(problem.contains("gave nothing for"), "{problem}");
            encoder = VideoEncoder::new(Some("x264enc tune=zerolatency"), SIZE.0, SIZE.1);
        }
        let (mut encoder, mut decoder) = (encoder.unwrap(), decoder());
        for n in 0..5 {
            let coded = encoder.encode(&picture(n), n == 0).unwrap();
            let got = decoder.decode(&coded.bytes).unwrap();
            let off = mean_difference(&picture(n), &got);
            assert!(off < 8.0, "{name}, picture {n}: {off}");
        }
    }
}

#[test]
fn what_cannot_be_had_is_said() {
    gst::init().unwrap();
    let problem = |elements, w, h| VideoEncoder::new(elements, w, h).err().unwrap().to_string();
    assert!(problem(Some("nosuchenc ! x"), 96, 64).contains("nosuchenc"));
    assert!(problem(Some("x264enc nosuch=1"), 96, 64).contains("nosuch"));
    assert!(problem(None, 97, 64).contains("even"));
    let mut encoder = encoder();
    let other = Picture::new(2, 2, vec![0; 12]).unwrap();
    assert!(encoder.encode(&other, false).is_err());
}

#[test]
fn a_stream_of_larger_pictures_is_refused_before_it_is_decoded() {
    gst::init().unwrap();
    let mut large = VideoEncoder::new(None, 640, 480).unwrap();
    let grey = Picture::new(640, 480, vec![90; 640 * 480 * 3]).unwrap();
    let coded = large.encode(&grey, true).unwrap();
    let refused = decoder().decode(&coded.bytes).unwrap_err().to_string();
    assert!(
        refused.contains("640×480") && refused.contains("96×64"),
        "{refused}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_damaged_stream_gives_errors_or_pictures_and_ends_soon(
        damage in proptest::collection::vec((0usize..4, any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in proptest::option::of((0usize..4, any::<prop::sample::Index>())),
    ) {
        let mut coded = stream(4);
        for (n, at, flip) in damage {
            let at = at.index(coded[n].len());
            coded[n][at] ^= flip;
        }
        if let Some((n, at)) = cut {
            let at = at.index(coded[n].len());
            coded[n].truncate(at);
        }
        let since = Instant::now();
        let mut decoder = decoder();
        for unit in &coded {
            let Ok(picture) = decoder.decode(unit) else { break };
            prop_assert_eq!((picture.width, picture.height), SIZE);
        }
        drop(decoder);
        prop_assert!(since.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn noise_is_no_picture(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(decoder().decode(&bytes).is_err());
        let marked = [&[0, 0, 0, 1][..], &bytes[..]].concat();
        let _ = decoder().decode(&marked);
    }
}
