// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where frames are computed that enter a prepared model at the same place: one by one, or several together where that
//! has been measured to pay.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use splitinfer_runtime::{Batched, RuntimeError, SplitModel, sample};
use splitinfer_tensor::Tensor;

use super::answer::Outputs;
use super::company::Company;
use super::decode::Ready;
use super::lane::{Lane, Turn};

/// How often a number of frames is timed. Others are computed meanwhile, so that one run may take twice as long as the next: the mean
/// counts, of times that are no larger than so many times the shortest.
const TIMED: usize = 12;
const LONGEST: u32 = 3;

/// One way into a prepared model.
pub struct Station {
    /// The cut; `None`: the whole model.
    from: Option<usize>,
    lane: Lane<Ready>,
    /// Empty until it is known; `None` within where frames are computed one by one.
    together: OnceLock<Option<Together>>,
    /// Somebody finds out, or has found out.
    asked: AtomicBool,
}

/// A session for several frames.
struct Together {
    session: Batched,
    company: Company,
}

/// How far frames are computed together.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Frames in one run.
    pub most: usize,
    /// How long a frame waits for others.
    pub window: Duration,
}

impl Station {
    pub fn new(from: Option<usize>) -> Self {
        Self {
            from,
            lane: Lane::default(),
            together: OnceLock::new(),
            asked: AtomicBool::new(false),
        }
    }

    /// For other weights of the same graph: where it did not pay, it will not.
    pub fn renewed(&self) -> Self {
        let new = Self::new(self.from);
        if matches!(self.together.get(), Some(None)) {
            let _ = new.together.set(None);
            new.asked.store(true, Ordering::Relaxed);
        }
        new
    }

    fn together(&self) -> Option<&Together> {
        self.together.get()?.as_ref()
    }

    /// Brings a frame; true if others were in the way.
    pub fn put(&self, frame: Ready) -> bool {
        let room = self.together().map_or(0, |t| t.company.most());
        self.lane.put(frame, room)
    }

    /// Frames to compute next, if there are any and nobody else computes. `edges`: how many use the model.
    pub fn turn(&self, policy: Policy, edges: impl FnOnce() -> usize) -> Option<Turn<'_, Ready>> {
        let Some(Together { company, .. }) = self.together() else {
            return self.lane.take(|_| 1);
        };
        let choose = |waiting| company.choose(waiting);
        if policy.window.is_zero() {
            return self.lane.take(choose);
        }
        let wanted = edges().min(company.most());
        let until =
            |first: &Ready| company.waits_until(first.since, policy.window, first.job.deadline);
        self.lane.gather(wanted, until, choose)
    }

    /// Runs the model on the tensors of one or several frames.
    ///
    /// # Errors
    /// Of each frame by itself: where they fail together, they are computed one by one.
    pub fn compute(
        &self,
        split: &SplitModel,
        frames: &[&[Tensor]],
    ) -> Vec<Result<Outputs, RuntimeError>> {
        if let Some(Together { session, company }) = self.together() {
            let begun = Instant::now();
            if let Ok(outputs) = session.run(frames) {
                company.took(frames.len(), begun.elapsed());
                return outputs.into_iter().map(Ok).collect();
            }
        }
        frames
            .iter()
            .map(|frame| match (self.from, *frame) {
                (Some(cut), tensors) => split.tail(cut, tensors),
                (None, [input]) => split.whole(input),
                (None, _) => Err(RuntimeError::Run("the model has one input".to_owned())),
            })
            .collect()
    }

    /// The cut; `None`: the whole model.
    pub fn cut(&self) -> Option<usize> {
        self.from
    }

    /// Whether it is known if frames are computed together, or somebody finds out.
    pub fn is_decided(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// True to the first who asks: that one is to [find out](Self::find_out).
    pub fn should_find_out(&self) -> bool {
        !self.asked.swap(true, Ordering::Relaxed)
    }

    /// Finds out whether frames are to be computed together, which takes as long as three dozens of them where two gain nothing, and some
    /// hundreds where they do. `rest` is told after each run how long it took, and returns when it is time for the next; false if there is to be
    /// none. Says what was found.
    pub fn find_out(
        &self,
        split: &SplitModel,
        most: usize,
        rest: impl Fn(Duration) -> bool,
    ) -> String {
        let found = self.measure(split, most, rest);
        let text = match &found {
            Ok(together) => format!("pays: {}", describe(&together.company)),
            Err(reason) => reason.clone(),
        };
        let _ = self.together.set(found.ok());
        text
    }

    fn measure(
        &self,
        split: &SplitModel,
        most: usize,
        rest: impl Fn(Duration) -> bool,
    ) -> Result<Together, String> {
        let failed = |e: RuntimeError| e.to_string();
        let session = split.batched(self.from).map_err(failed)?;
        let input = sample(split.input(), 1).map_err(failed)?;
        let frame = match self.from {
            Some(cut) => split.head(cut, &input).map_err(failed)?,
            None => vec![input],
        };
        let company = Company::new(most);
        let time = |size: usize| -> Result<Duration, String> {
            let frames = vec![frame.as_slice(); size];
            let begun = Instant::now();
            session.run(&frames).map_err(failed)?;
            let took = begun.elapsed();
            match rest(took) {
                true => Ok(took),
                false => Err("the server stops".into()),
            }
        };
        for size in company.sizes().skip(1) {
            let (mut alone, mut together) = (Vec::new(), Vec::new());
            // In turns, so that what else the machine does falls on both alike.
            for _ in 0..TIMED {
                alone.push(time(1)?);
                together.push(time(size)?);
            }
            company.measured(1, usual(&alone));
            company.measured(size, usual(&together));
            // What two do not gain at all four seldom do, and what four do not, eight; each takes twice as long to try.
            if size >= 4 && !company.pays() || size == 2 && company.gains_nothing() {
                break;
            }
        }
        match company.pays() {
            true => Ok(Together { session, company }),
            false => Err(format!("does not pay: {}", describe(&company))),
        }
    }
}

fn usual(times: &[Duration]) -> Duration {
    let shortest = times.iter().min().copied().unwrap_or_default();
    let sum: Duration = times.iter().map(|t| (*t).min(shortest * LONGEST)).sum();
    sum / u32::try_from(times.len()).unwrap_or(1).max(1)
}

fn describe(company: &Company) -> String {
    let times = company.sizes().filter_map(|n| {
        let time = company.time_of(n);
        (!time.is_zero()).then(|| format!("{n}: {:.2} ms", time.as_secs_f64() * 1e3))
    });
    times.collect::<Vec<_>>().join(", ")
}
