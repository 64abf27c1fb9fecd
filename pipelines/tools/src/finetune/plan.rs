// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Everything that is known before training: models, losses, sources. What is wrong shows here.

use super::data::Source;
use super::drawn::{Drawn, heatmap_loss};
use super::goals::Goals;
use super::student::Student;
use super::teacher::Teacher;
use super::truth::TrueObjects;
use super::{Request, note};
use anyhow::{Result, bail};
use std::sync::Arc;

pub(super) struct Plan {
    pub student: Student,
    pub goals: Goals,
    pub sources: Vec<Source>,
    pub anchors: Vec<Source>,
    /// Where pictures have no truth.
    pub teacher: Option<Teacher>,
    /// Where they have.
    pub drawn: Option<Drawn>,
}

impl Plan {
    /// # Errors
    /// When a file cannot be read or is not what it should be, when pictures have neither teacher nor truth, or when a
    /// loss is on nothing.
    pub fn new(request: &Request) -> Result<Self> {
        let mut sources = Source::look_at_all(&request.data)?;
        let mut anchors = Source::look_at_all(&request.anchors)?;
        attach_truth(request, &mut sources, &mut anchors)?;
        let student = Student::load(&request.model, &request.shapes)?;
        let by = request.weigh_by.as_deref();
        let mut goals = Goals::new(&student.model, student.known(), &request.losses, by)?;
        for i in 0..goals.goals.len() {
            let all = sources.iter().chain(&anchors);
            let names: Vec<&String> = goals.wanted[i].names.iter().map(|(n, _)| n).collect();
            if all.into_iter().any(|s| names.iter().any(|n| s.weighs(n))) {
                goals.weighted(i);
            }
        }
        let mut plan = Self {
            student,
            goals,
            sources,
            anchors,
            teacher: None,
            drawn: None,
        };
        if plan.any(Source::are_pictures) {
            let (_, assumed) = plan.student.pictures()?;
            for assumption in assumed {
                note(&format!(
                    "{}: assumed: {assumption}",
                    super::student::name(&request.model)
                ));
            }
        }
        if plan.any(|s| s.truth().is_some()) {
            plan.prepare_truth(request)?;
        }
        if plan.any(Source::asks_a_teacher) {
            plan.prepare_teacher(request)?;
        } else if request.teacher.is_some() && !request.data.is_empty() {
            bail!(
                "--teacher is for pictures without truth: others bring their targets, and arrays do"
            );
        }
        Ok(plan)
    }

    fn any(&self, is_so: impl Fn(&Source) -> bool) -> bool {
        self.sources.iter().chain(&self.anchors).any(is_so)
    }

    fn prepare_truth(&mut self, request: &Request) -> Result<()> {
        let (info, _) = self.student.pictures()?;
        if let Some(loss) = heatmap_loss(info, &self.goals) {
            self.goals.weighted(loss);
        }
        let drawn = Drawn::new(&self.student, &self.goals, &request.trainer.session)?;
        let all = self.sources.iter().chain(&self.anchors);
        all.filter_map(Source::truth)
            .try_for_each(|truth| drawn.check(truth))?;
        self.drawn = Some(drawn);
        Ok(())
    }

    fn prepare_teacher(&mut self, request: &Request) -> Result<()> {
        let Some(path) = &request.teacher else {
            bail!(
                "pictures have no targets: give --teacher MODEL.onnx, whose outputs are to be learned, or --truth FILE, \
                 which says what is there"
            );
        };
        let teacher = Teacher::load(path, &self.goals.wanted, &request.trainer.session)?;
        for assumption in &teacher.assumed {
            note(&format!(
                "{}: assumed: {assumption}",
                super::student::name(path)
            ));
        }
        self.teacher = Some(teacher);
        Ok(())
    }
}

/// Gives each file of truth to its source: one for each source of pictures among the data, or also among the anchors.
///
/// # Errors
/// When there are others than that, or one cannot be read.
fn attach_truth(request: &Request, sources: &mut [Source], anchors: &mut [Source]) -> Result<()> {
    let pictures = |sources: &[Source]| sources.iter().filter(|s| s.are_pictures()).count();
    let (data, all) = (pictures(sources), pictures(sources) + pictures(anchors));
    let given = request.truth.len();
    if given != 0 && given != data && given != all {
        let also = if all > data {
            format!(" or {all}, for the anchors too")
        } else {
            String::new()
        };
        bail!(
            "--truth is given {given} times, but {data} of the --data are pictures: one for each, in their order{also}"
        );
    }
    let mut files = request.truth.iter();
    for source in sources.iter_mut().chain(anchors) {
        if let Source::Pictures { truth, .. } = source
            && let Some(file) = files.next()
        {
            *truth = Some(Arc::new(TrueObjects::load(file, &request.reading)?));
        }
    }
    Ok(())
}
