// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Sends clips through codes and asks the model what it makes of what arrives.

use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use splitinfer_vision::Picture;

use super::accuracy::Accuracy;
use super::codes::Codes;
use super::figures::{Label, Point, Tally};
use super::subject::{Outputs, Subject};
use super::{Code, StreamCode, Tensors};
use crate::model::LocalModel;

/// Frames sent through a code of its own before time is taken.
const WARM_UP: usize = 2;

/// Every code at every quality, at the given cuts and of the picture.
///
/// # Errors
/// When a code or the model fails.
pub fn sweep(
    subject: &mut Subject,
    cuts: &[usize],
    codes: &Codes,
    bar: &ProgressBar,
) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    let pictures = subject.pictures();
    let look = |model: &mut LocalModel, seen: &Picture| {
        let input = model.tensor(seen)?;
        Ok(model.split.whole(&input)?)
    };
    for cut in cuts {
        let frames = subject.crossing(*cut)?;
        let values = frames.first().map_or(0, values);
        let coarser = subject.coarser(*cut, &frames)?;
        let go_on =
            |model: &mut LocalModel, tensors: &Tensors| Ok(model.split.tail(*cut, tensors)?);
        for code in &codes.tensor {
            points.extend(curve(
                subject,
                code,
                Some((*cut, &coarser)),
                values,
                &frames,
                &go_on,
                bar,
            )?);
        }
    }
    for code in &codes.picture {
        let values = pictures.first().map_or(0, |p| p.rgb.len());
        points.extend(curve(subject, code, None, values, &pictures, &look, bar)?);
    }
    Ok(points)
}

fn values(tensors: &Tensors) -> usize {
    tensors.iter().map(|t| t.len()).sum()
}

/// The whole model's accuracy against the truth.
pub fn whole_accuracy(subject: &Subject) -> Option<f64> {
    let mut accuracy = Accuracy::default();
    for frame in &subject.frames {
        if let Some(truth) = &frame.truth {
            accuracy.add(&frame.objects, truth);
        }
    }
    accuracy.value(subject.metric())
}

type Answer<'a, F> = &'a dyn Fn(&mut LocalModel, &F) -> Result<Outputs>;

/// One code at all its qualities.
fn curve<F>(
    subject: &mut Subject,
    code: &Code<F>,
    cut: Option<(usize, &[Vec<i8>])>,
    values: usize,
    frames: &[F],
    answer: Answer<'_, F>,
    bar: &ProgressBar,
) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    let whole = whole_accuracy(subject);
    for quality in &code.qualities {
        bar.set_message(format!(
            "{}, cut {}, {}, {} {quality}",
            subject.name,
            cut.map_or("–".to_owned(), |c| c.0.to_string()),
            code.name,
            code.knob
        ));
        let label = Label {
            clip: subject.name.clone(),
            cut: cut.map(|c| c.0),
            code: code.name,
            role: code.role,
            knob: code.knob,
            quality: *quality,
            values,
        };
        let made = || {
            let mut stream = (code.make)(*quality)?;
            stream.attune(cut.map_or(&[], |c| c.1));
            Ok(stream)
        };
        let tally = send(subject, made, frames, answer)
            .with_context(|| format!("{} at {} {quality}", code.name, code.knob))?;
        points.push(tally.point(label, whole, subject.metric()));
        bar.inc(1);
    }
    Ok(points)
}

fn send<F>(
    subject: &mut Subject,
    made: impl Fn() -> Result<Box<dyn StreamCode<F>>>,
    frames: &[F],
    answer: Answer<'_, F>,
) -> Result<Tally> {
    let mut warm = made()?;
    for frame in frames.iter().take(WARM_UP) {
        let bytes = warm.encode(frame)?;
        warm.decode(&bytes)?;
    }
    drop(warm);
    let mut stream = made()?;
    let mut tally = Tally::default();
    for (frame, sent) in subject.frames.iter().zip(frames) {
        let begin = Instant::now();
        let bytes = stream.encode(sent)?;
        let encode = begin.elapsed();
        let begin = Instant::now();
        let received = stream.decode(&bytes)?;
        let decode = begin.elapsed();
        tally.sent(bytes.len(), encode, decode);
        let outputs = answer(&mut subject.model, &received)?;
        let objects = subject.model.read(&outputs)?;
        tally.answered(frame, &outputs, &objects, &subject.legs);
    }
    Ok(tally)
}
