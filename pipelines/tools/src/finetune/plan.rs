// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Everything that is known before training: models, losses, sources. What is wrong shows here.

use super::data::Source;
use super::goals::Goals;
use super::student::Student;
use super::teacher::Teacher;
use super::{Request, note};
use anyhow::{Result, bail};

pub(super) struct Plan {
    pub student: Student,
    pub goals: Goals,
    pub sources: Vec<Source>,
    pub anchors: Vec<Source>,
    /// Where there are pictures.
    pub teacher: Option<Teacher>,
}

impl Plan {
    /// # Errors
    /// When a file cannot be read or is not what it should be, when pictures have no teacher, or when a loss is on
    /// nothing.
    pub fn new(request: &Request) -> Result<Self> {
        let sources = Source::look_at_all(&request.data)?;
        let anchors = Source::look_at_all(&request.anchors)?;
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
        };
        if plan
            .sources
            .iter()
            .chain(&plan.anchors)
            .any(Source::are_pictures)
        {
            plan.prepare_pictures(request)?;
        } else if request.teacher.is_some() && !request.data.is_empty() {
            bail!("--teacher is for pictures: an archive of arrays brings its targets itself");
        }
        Ok(plan)
    }

    fn prepare_pictures(&mut self, request: &Request) -> Result<()> {
        let (_, assumed) = self.student.pictures()?;
        for assumption in assumed {
            note(&format!(
                "{}: assumed: {assumption}",
                super::student::name(&request.model)
            ));
        }
        let Some(path) = &request.teacher else {
            bail!(
                "pictures have no targets: give --teacher MODEL.onnx, whose outputs are to be learned"
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
