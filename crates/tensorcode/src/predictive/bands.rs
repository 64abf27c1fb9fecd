// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! All bands of a tensor, written or read at the same time where there are several processors.

use std::ops::Range;
use std::sync::Mutex;

use rayon::prelude::*;

use super::band::{Band, Setting};
use super::conceal::StandIn;
use super::contexts::Contexts;
use super::learned::Learning;
use super::plane::{Mode, Motion};
use super::rans::{Reader, Writer};
use super::reference::Coded;
use super::wanted::Wanted;

/// Fewer are done before another thread has woken up.
pub(super) const ENOUGH: usize = 12;

/// A band costs its models, however short it is. Who sends many of fewer bytes than this gets no other thread for them.
const LEAST_BYTES: usize = 128;

/// What the bands make together, in whatever order they are done.
pub(super) struct Bands<'a> {
    setting: Setting<'a>,
    learning: Learning,
    made: Mutex<Made>,
    parallel: bool,
}

/// The tensor's levels, and how its blocks have moved.
pub(super) struct Made {
    pub levels: Vec<i16>,
    pub motions: Vec<Motion>,
}

impl<'a> Bands<'a> {
    /// `earlier`: what the frame is predicted from; `parallel`: whether other threads help.
    pub(super) fn new(setting: Setting<'a>, earlier: Option<&'a Coded>, parallel: bool) -> Self {
        Self {
            setting,
            learning: Learning::new(earlier, setting.plane.len()),
            made: Mutex::new(Made {
                levels: setting.levels(),
                motions: vec![Motion::NONE; setting.plane.blocks()],
            }),
            parallel,
        }
    }

    /// The bytes of each band, which are those `rows` of blocks. `modes`: of the whole tensor.
    pub(super) fn write(
        &self,
        rows: &[Range<usize>],
        modes: &[Mode],
        wanted: Wanted<'_>,
    ) -> Vec<Vec<u8>> {
        let parallel = self.parallel && rows.len() >= ENOUGH;
        let pairs: Vec<_> = rows.chunks(2).collect();
        let written = each(parallel, &pairs, |writers: &mut [Writer; 2], pair| {
            for (writer, rows) in writers.iter_mut().zip(*pair) {
                let code = |contexts: &mut Contexts| {
                    let rows = rows.clone();
                    self.setting.write(writer, contexts, rows, modes, wanted)
                };
                self.put(&self.learning.band(code));
            }
            let [one, other] = writers;
            match pair {
                [_, _] => Vec::from(one.finish_both(other)),
                _ => vec![one.finish()],
            }
        });
        written.into_iter().flatten().collect()
    }

    /// `bands`: in their order. For what is not among them there may be a stand-in; else it is as in the reference, and without one zero.
    pub(super) fn read(&self, bands: &[(Range<usize>, &[u8])], stand_in: Option<&StandIn<'_>>) {
        let bytes: usize = bands.iter().map(|(_, bytes)| bytes.len()).sum();
        let worth_it = bands.len() >= ENOUGH && bytes >= bands.len() * LEAST_BYTES;
        let parallel = self.parallel && worth_it;
        each(parallel, bands, |(), (rows, bytes)| {
            let mut reader = Reader::new(bytes);
            let code =
                |contexts: &mut Contexts| self.setting.read(&mut reader, contexts, rows.clone());
            self.put(&self.learning.band(code));
        });
        let Some(stand_in) = stand_in else {
            return;
        };
        let levels = &mut self.made.lock().unwrap().levels;
        let mut row = 0;
        for (rows, _) in bands {
            stand_in.put_into(row..rows.start, levels);
            row = rows.end;
        }
        stand_in.put_into(row..self.setting.plane.block_rows(), levels);
    }

    /// What was made, and what was learned.
    pub(super) fn finish(self) -> (Made, Option<Box<Contexts>>) {
        (self.made.into_inner().unwrap(), self.learning.finish())
    }

    fn put(&self, band: &Band) {
        let made = &mut *self.made.lock().unwrap();
        band.put_into(&self.setting.plane, &mut made.levels, &mut made.motions);
    }
}

/// `T`: what a thread keeps from one job to the next.
fn each<J: Sync, T: Default, R: Send>(
    parallel: bool,
    jobs: &[J],
    work: impl Fn(&mut T, &J) -> R + Sync + Send,
) -> Vec<R> {
    if parallel {
        return jobs.par_iter().map_init(T::default, work).collect();
    }
    let mut kept = T::default();
    jobs.iter().map(|job| work(&mut kept, job)).collect()
}
