// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! What holds for any weights and any updates.

mod common;

use common::{Values, model, singles, stored};
use proptest::collection::vec;
use proptest::prelude::*;
use splitinfer_graph::Model;
use splitinfer_weights::{Encoding, HEADER_BYTES, Precision, Versions, digest, encode};

/// Values as weights are, and now and then what no weight should be.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -2.0f32..2.0,
        1 => Just(0.0),
        1 => Just(-0.0),
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), any::<f32>()],
    ]
}

fn values() -> impl Strategy<Value = Values> {
    let doubles = vec(number().prop_map(f64::from), 5);
    (vec(number(), 40), vec(number(), 7), doubles).prop_map(|(singles, halves, doubles)| Values {
        singles,
        halves,
        doubles,
    })
}

/// Trained a little: each value moved by a few percent, some not at all.
fn trained(from: &Values, moves: &[f32]) -> Values {
    let mut moves = moves.iter().cycle();
    let mut next = || *moves.next().unwrap_or(&0.0);
    Values {
        singles: from.singles.iter().map(|v| v * (1.0 + next())).collect(),
        halves: from.halves.iter().map(|v| v * (1.0 + next())).collect(),
        doubles: from
            .doubles
            .iter()
            .map(|v| v * (1.0 + f64::from(next())))
            .collect(),
    }
}

fn encoding() -> impl Strategy<Value = Encoding> {
    let precision = prop_oneof![
        Just(Precision::Exact),
        (0.001f32..0.2).prop_map(Precision::OfSize),
        (0.01f32..1.0).prop_map(Precision::OfChange)
    ];
    (precision, prop_oneof![Just(1.0f32), 0.05f32..1.0])
        .prop_map(|(precision, share)| Encoding { precision, share })
}

fn exact(share: f32) -> Encoding {
    Encoding {
        precision: Precision::Exact,
        share,
    }
}

proptest! {
    #[test]
    fn the_receiver_has_the_bits_that_the_sender_goes_on_with(
        base in values(),
        steps in vec((vec(-0.1f32..0.1, 1..60), encoding()), 1..5),
    ) {
        let mut sender = Versions::new(model(&base));
        let bytes = sender.base().to_bytes();
        let mut receiver = Versions::new(Model::from_bytes(&bytes, None).unwrap());
        let mut target = base;
        for (i, (moves, how)) in steps.into_iter().enumerate() {
            target = trained(&target, &moves);
            let to = 3 * i as u64 + 1;
            let coded = encode(&sender, to, &model(&target), &how).unwrap();
            let (header, received) = receiver.read(&coded.bytes).unwrap();
            prop_assert_eq!(&header, &coded.header);
            prop_assert_eq!(received.to_bytes(), coded.model.to_bytes());
            prop_assert_eq!(digest(&received).unwrap(), header.digest);
            sender.adopt(to, coded.model);
            receiver.adopt(to, received);

            // One that starts from the file gives the same bits to whoever missed everything.
            let full = sender.full().unwrap().unwrap();
            let (_, late) = Versions::new(sender.base().clone()).read(&full.bytes).unwrap();
            prop_assert_eq!(digest(&late).unwrap(), header.digest);
        }
    }

    #[test]
    fn exact_updates_give_the_trained_bits(base in values(), new in values()) {
        let sender = Versions::new(model(&base));
        let coded = encode(&sender, 1, &model(&new), &exact(1.0)).unwrap();
        prop_assert_eq!(digest(&coded.model).unwrap(), digest(&model(&new)).unwrap());
    }

    #[test]
    fn the_error_is_half_a_step_at_most_and_never_adds_up(
        base in vec(-2.0f32..2.0, 64),
        moves in vec(vec(-0.05f32..0.05, 64), 1..8),
    ) {
        let mut versions = Versions::new(singles(&base));
        let mut target = base.clone();
        let share = 1.0 / 64.0;
        for (i, moves) in moves.into_iter().enumerate() {
            let size = |v: &[f32]| (v.iter().map(|x| x * x).sum::<f32>() / 64.0).sqrt();
            let step = size(&stored(versions.newest().1)) * share;
            target.iter_mut().zip(moves).for_each(|(t, m)| *t += m);
            let how = Encoding { precision: Precision::OfSize(share), share: 1.0 };
            let coded = encode(&versions, i as u64 + 1, &singles(&target), &how).unwrap();
            for (want, have) in target.iter().zip(stored(&coded.model)) {
                // A value without a difference of levels stays, up to a step away.
                prop_assert!((want - have).abs() <= step * 1.01, "{want} {have} {step}");
            }
            versions.adopt(i as u64 + 1, coded.model);
        }
    }

    #[test]
    fn only_the_largest_changes_are_sent(
        base in vec(0.5f32..2.0, 100),
        moves in vec(-0.5f32..0.5, 100),
        share in 0.02f32..0.9,
    ) {
        let versions = Versions::new(singles(&base));
        let target: Vec<f32> = base.iter().zip(&moves).map(|(b, m)| b + m).collect();
        let coded = encode(&versions, 1, &singles(&target), &exact(share)).unwrap();
        prop_assert_eq!(coded.parameters, 102);
        prop_assert!(coded.changed as f32 <= 102.0 * share, "{}", coded.changed);
        let there = stored(&coded.model);
        let moved = |i: usize| (target[i] - base[i]).abs();
        let (sent, kept): (Vec<usize>, Vec<usize>) = (0..100).partition(|i| there[*i] != base[*i]);
        let least = sent.into_iter().map(moved).fold(f32::INFINITY, f32::min);
        let most = kept.into_iter().map(moved).fold(0.0, f32::max);
        prop_assert!(most <= least, "{most} was kept back, {least} sent");
    }

    #[test]
    fn any_bytes_are_an_update_or_an_error(bytes in vec(any::<u8>(), 0..400)) {
        let versions = Versions::new(singles(&[1.0, 2.0, 3.0]));
        let _ = versions.read(&bytes);
        // The same behind a header that leads on.
        let target = singles(&[1.1, 2.0, 3.1]);
        let sound = encode(&versions, 1, &target, &Encoding::default()).unwrap();
        let mut mixed = sound.bytes[..HEADER_BYTES].to_vec();
        mixed.extend(bytes);
        let _ = versions.read(&mixed);
    }

    #[test]
    fn damage_is_found(at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<bool>()) {
        let versions = Versions::new(singles(&[1.0, -2.0, 3.0, 0.25]));
        let target = singles(&[1.1, -2.2, 3.3, 0.2]);
        let sound = encode(&versions, 1, &target, &Encoding::default()).unwrap();
        let mut bytes = sound.bytes;
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << bit;
        }
        if let Ok((header, model)) = versions.read(&bytes) {
            // Only the number can be changed unnoticed here (event and transport carry it, too), and the last bits of
            // the code need not matter.
            prop_assert_eq!(header.digest, sound.header.digest);
            prop_assert_eq!(model.to_bytes(), sound.model.to_bytes());
        }
    }
}
