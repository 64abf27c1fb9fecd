// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Which objects of consecutive frames are the same one.
//!
//! As in ByteTrack (Zhang et al., ECCV 2022): Kalman prediction, optimal assignment, first of the objects that the student
//! is sure of, then of the others to the tracks that are left. The likeness is not the plain IoU but the distance-IoU
//! (Zheng et al., AAAI 2020), because bad predictions jump, and those are the ones that have to be followed.

mod moving;

use moving::MovingBox;
use splitinfer_assignment::assign;

/// An object to be given an identity.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// x, y, width, height in pixels.
    pub bbox: [f64; 4],
    pub class: u32,
    /// 0 to 1.
    pub score: f64,
    /// The identity that something upstream gave it.
    pub track: Option<u64>,
}

/// Who an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// As upstream says.
    Upstream(u64),
    /// As the tracker here counts, from 0.
    Own(u64),
}

/// From this score on an object chooses its track first.
const SURE: f64 = 0.5;

/// Least distance-IoU of a pair. Boxes that just do not touch any more have about −0.3.
const LEAST_LIKENESS: f64 = -0.3;

/// Frames on which an object may be missing before its track ends.
const PATIENCE: usize = 10;

#[derive(Clone, Debug)]
struct Track {
    number: u64,
    class: u32,
    place: MovingBox,
    missing: usize,
}

/// Gives identities, frame after frame.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    tracks: Vec<Track>,
    next: u64,
}

impl Tracker {
    /// The identity of each object of the next frame. Those with an identity from upstream keep that.
    pub fn frame(&mut self, seen: &[Seen]) -> Vec<Identity> {
        let mut identities: Vec<Option<Identity>> = seen
            .iter()
            .map(|s| s.track.map(Identity::Upstream))
            .collect();
        for track in &mut self.tracks {
            track.place.predict();
            track.missing += 1;
        }
        for sure in [true, false] {
            let open: Vec<usize> = (0..seen.len())
                .filter(|i| identities[*i].is_none() && (seen[*i].score >= SURE) == sure)
                .collect();
            for (i, number) in self.continued(seen, &open) {
                identities[i] = Some(Identity::Own(number));
            }
        }
        self.tracks.retain(|t| t.missing <= PATIENCE);
        let identity = |(s, known): (&Seen, Option<Identity>)| match known {
            Some(identity) => identity,
            None => Identity::Own(self.begin(s)),
        };
        seen.iter().zip(identities).map(identity).collect()
    }

    /// Pairs objects with the tracks that were not found on this frame yet.
    fn continued(&mut self, seen: &[Seen], open: &[usize]) -> Vec<(usize, u64)> {
        let free: Vec<usize> = (0..self.tracks.len())
            .filter(|t| self.tracks[*t].missing > 0)
            .collect();
        let likeness = |t: usize, i: usize| {
            let (track, object) = (&self.tracks[t], &seen[i]);
            match track.class == object.class {
                true => distance_iou(track.place.bbox(), object.bbox),
                // A class that flickers is no other object, but a pair of one class goes first.
                false => distance_iou(track.place.bbox(), object.bbox) - 0.2,
            }
        };
        // A pair that is too unlike costs as much as none.
        let cost = |t: usize, i: usize| -likeness(free[t], open[i]).max(LEAST_LIKENESS);
        let pairs: Vec<(usize, usize)> = assign(free.len(), open.len(), cost)
            .into_iter()
            .enumerate()
            .filter_map(|(t, i)| Some((free[t], open[i?])))
            .filter(|(t, i)| likeness(*t, *i) > LEAST_LIKENESS)
            .collect();
        pairs
            .into_iter()
            .map(|(t, i)| {
                let track = &mut self.tracks[t];
                track.place.correct(seen[i].bbox);
                track.class = seen[i].class;
                track.missing = 0;
                (i, track.number)
            })
            .collect()
    }

    fn begin(&mut self, seen: &Seen) -> u64 {
        let number = self.next;
        self.next += 1;
        if seen.bbox.iter().all(|v| v.is_finite()) {
            self.tracks.push(Track {
                number,
                class: seen.class,
                place: MovingBox::new(seen.bbox),
                missing: 0,
            });
        }
        number
    }
}

/// IoU less the squared distance of the centres over the squared diagonal of the box around both: 1 for the same box,
/// down to nearly −1 for boxes far apart.
fn distance_iou(a: [f64; 4], b: [f64; 4]) -> f64 {
    let [ax, ay, aw, ah] = a;
    let [bx, by, bw, bh] = b;
    let shared_w = ((ax + aw).min(bx + bw) - ax.max(bx)).max(0.0);
    let shared_h = ((ay + ah).min(by + bh) - ay.max(by)).max(0.0);
    let shared = shared_w * shared_h;
    let union = aw * ah + bw * bh - shared;
    let iou = if union > 0.0 { shared / union } else { 0.0 };
    let around_w = (ax + aw).max(bx + bw) - ax.min(bx);
    let around_h = (ay + ah).max(by + bh) - ay.min(by);
    let diagonal = around_w.powi(2) + around_h.powi(2);
    let distance =
        (ax + aw / 2.0 - bx - bw / 2.0).powi(2) + (ay + ah / 2.0 - by - bh / 2.0).powi(2);
    let likeness = if diagonal > 0.0 {
        iou - distance / diagonal
    } else {
        // Two points at the same place.
        1.0
    };
    if likeness.is_finite() { likeness } else { -1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(x: f64, score: f64) -> Seen {
        Seen {
            bbox: [x, 50.0, 40.0, 80.0],
            class: 0,
            score,
            track: None,
        }
    }

    fn own(numbers: &[u64]) -> Vec<Identity> {
        numbers.iter().copied().map(Identity::Own).collect()
    }

    #[test]
    fn two_who_cross_keep_their_identities() {
        let mut tracker = Tracker::default();
        for frame in 0..60 {
            let x = 5.0 * f64::from(frame);
            let (mut a, mut b) = (seen(x, 0.9), seen(300.0 - x, 0.9));
            a.bbox[1] = 40.0;
            b.bbox[1] = 60.0;
            assert_eq!(tracker.frame(&[a, b]), own(&[0, 1]), "{frame}");
        }
    }

    #[test]
    fn an_object_that_is_not_found_for_a_while_is_still_itself_and_after_long_it_is_not() {
        let mut tracker = Tracker::default();
        for frame in 0..20 {
            tracker.frame(&[seen(3.0 * f64::from(frame), 0.9)]);
        }
        for _ in 0..5 {
            assert_eq!(tracker.frame(&[]), []);
        }
        assert_eq!(tracker.frame(&[seen(75.0, 0.9)]), own(&[0]));
        for _ in 0..=PATIENCE {
            tracker.frame(&[]);
        }
        assert_eq!(tracker.frame(&[seen(90.0, 0.9)]), own(&[1]));
    }

    #[test]
    fn one_of_low_score_goes_on_but_takes_no_track_from_a_sure_one() {
        let mut tracker = Tracker::default();
        tracker.frame(&[seen(0.0, 0.9)]);
        assert_eq!(tracker.frame(&[seen(2.0, 0.2)]), own(&[0]));
        let both = tracker.frame(&[seen(3.0, 0.2), seen(12.0, 0.9)]);
        assert_eq!(both, own(&[1, 0]));
    }

    #[test]
    fn what_upstream_says_stands() {
        let mut tracker = Tracker::default();
        let named = Seen {
            track: Some(77),
            ..seen(0.0, 0.9)
        };
        let both = tracker.frame(&[named, seen(1.0, 0.9)]);
        assert_eq!(both, [Identity::Upstream(77), Identity::Own(0)]);
    }

    #[test]
    fn boxes_that_are_none_break_nothing() {
        let mut tracker = Tracker::default();
        let mut broken = seen(f64::NAN, 0.9);
        tracker.frame(&[broken, seen(0.0, 0.9)]);
        broken.bbox = [0.0; 4];
        assert_eq!(
            tracker.frame(&[seen(1.0, 0.9), broken])[0],
            Identity::Own(1)
        );
        assert_eq!(tracker.frame(&[seen(2.0, f64::NAN)]), own(&[1]));
    }
}
