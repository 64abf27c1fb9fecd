// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Completion here against the server's answer: a frame that has waited long enough is completed here, and takes the answer all the
//! same if that comes first. So an answer that was nearly there is not lost, and no work is done after it has come.

use std::sync::Arc;

use splitinfer_runtime::Stop;

use super::frame::Answer;

/// The frame that is being completed here, if one is.
#[derive(Default)]
pub(super) struct Race {
    /// Its number, while its answer may still come.
    frame: Option<u64>,
    answer: Option<Answer>,
    /// Ends completion.
    stop: Option<Arc<Stop>>,
}

impl Race {
    /// A frame has left the queue without its answer.
    pub(super) fn begin(&mut self, number: u64) {
        *self = Self {
            frame: Some(number),
            ..Self::default()
        };
    }

    /// Completion begins, and ends with this; at once if the answer has come meanwhile.
    pub(super) fn run(&mut self, stop: &Arc<Stop>) {
        match self.answer {
            Some(_) => stop.stop(),
            None => self.stop = Some(Arc::clone(stop)),
        }
    }

    /// An answer ends it; `false` if it is for another frame, or none that could be taken.
    pub(super) fn answer(&mut self, number: u64, answer: Answer) -> bool {
        if self.frame != Some(number) || !matches!(answer, Answer::Completed { .. }) {
            return false;
        }
        self.frame = None;
        self.answer = Some(answer);
        self.abandon();
        true
    }

    /// Nobody wants an outcome any more.
    pub(super) fn abandon(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.stop();
        }
    }

    /// It is over: the answer, if that came first.
    pub(super) fn end(&mut self) -> Option<Answer> {
        std::mem::take(self).answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::frame::{Found, ServerTimes};

    fn answer() -> Answer {
        Answer::Completed {
            found: Found::Objects(Vec::new()),
            model_version: 0,
            server: ServerTimes::default(),
            received: None,
        }
    }

    #[test]
    fn only_an_answer_to_the_frame_is_taken_and_only_one() {
        let mut race = Race::default();
        assert!(!race.answer(3, answer()), "nothing is under way");
        race.begin(3);
        assert!(!race.answer(4, answer()) && !race.answer(3, Answer::Failed));
        assert!(race.answer(3, answer()) && !race.answer(3, answer()));
        assert!(race.end().is_some() && race.end().is_none());
        race.begin(5);
        assert!(!race.answer(3, answer()) && race.end().is_none());
    }

    #[test]
    fn an_answer_or_a_flush_stops_completion() {
        if splitinfer_runtime::load_library(None).is_err() {
            println!("skipped: ONNX Runtime is not here");
            return;
        }
        let stop = || Arc::new(Stop::new().unwrap());
        let (answered, early, flushed, won) = (stop(), stop(), stop(), stop());
        let mut race = Race::default();
        race.begin(1);
        race.run(&answered);
        assert!(!answered.is_stopped());
        race.answer(1, answer());
        assert!(answered.is_stopped());
        race.begin(2);
        race.answer(2, answer());
        race.run(&early);
        assert!(early.is_stopped(), "it came before completion began");
        race.begin(3);
        race.run(&flushed);
        race.abandon();
        assert!(flushed.is_stopped() && race.end().is_none());
        race.begin(4);
        race.run(&won);
        race.end();
        assert!(!won.is_stopped());
    }
}
