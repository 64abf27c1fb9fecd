// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Processes that get only a part of a processor: control groups of Linux, version 1 or 2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

/// Within this time the share holds: short beside a frame, long enough for the kernel to keep it.
const PERIOD_US: f64 = 10_000.0;

/// A group of processes; without any when dropped.
#[derive(Debug)]
pub struct Quota {
    folder: PathBuf,
    unified: bool,
}

impl Quota {
    /// `share`: processors; 1.0 is one of them.
    ///
    /// # Errors
    /// Without the rights, or on a system without control groups.
    pub fn new(share: f64) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (root, unified) = find()?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("splitinfer-{}-{number}", std::process::id());
        let folder = root.join(name);
        fs::create_dir(&folder).with_context(|| {
            format!(
                "{}: a share of a processor needs root's rights",
                folder.display()
            )
        })?;
        let quota = Self { folder, unified };
        quota.set(share)?;
        Ok(quota)
    }

    /// # Errors
    /// When the system refuses.
    pub fn set(&self, share: f64) -> Result<()> {
        // A thousandth of a second is the least that the kernel takes.
        let quota = (PERIOD_US * share).max(1000.0).round();
        let period = (quota / share).round();
        if self.unified {
            return write(&self.folder.join("cpu.max"), &format!("{quota} {period}"));
        }
        // The order matters: at no time may the share be above that of the group around.
        write(&self.folder.join("cpu.cfs_period_us"), &period.to_string())?;
        write(&self.folder.join("cpu.cfs_quota_us"), &quota.to_string())
    }

    /// Puts a process with all its threads into the group.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn add(&self, process: u32) -> Result<()> {
        write(&self.members(), &process.to_string())
    }

    /// Where a process writes its own number to join.
    pub fn members(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // A group can be removed once its processes have ended, which takes the kernel a moment.
        for _ in 0..50 {
            match fs::remove_dir(&self.folder) {
                Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                _ => return,
            }
        }
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("{text} into {}", file.display()))
}

/// Where groups can be made, and whether they are of version 2.
fn find() -> Result<(PathBuf, bool)> {
    let mounts = fs::read_to_string("/proc/mounts").context("/proc/mounts")?;
    let mounts: Vec<Vec<&str>> = mounts.lines().map(|l| l.split(' ').collect()).collect();
    let of_kind = |kind| mounts.iter().filter(move |m| m.get(2) == Some(&kind));
    for mount in of_kind("cgroup") {
        if mount[3].split(',').any(|option| option == "cpu") {
            return Ok((PathBuf::from(mount[1]), false));
        }
    }
    for mount in of_kind("cgroup2") {
        let root = PathBuf::from(mount[1]);
        let enabled = enable(&root).with_context(|| root.display().to_string())?;
        if enabled {
            return Ok((root, true));
        }
    }
    bail!("this system has no control groups that share out processors")
}

/// Whether groups below can have quotas, after having asked for it.
fn enable(root: &Path) -> io::Result<bool> {
    let file = root.join("cgroup.subtree_control");
    let has = || {
        Ok(fs::read_to_string(&file)?
            .split_whitespace()
            .any(|c| c == "cpu"))
    };
    if has()? {
        return Ok(true);
    }
    // Refused where the controller belongs to version 1.
    let _ = fs::write(&file, "+cpu");
    has()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::{Duration, Instant};

    #[test]
    fn a_process_gets_no_more_than_its_share() {
        let Ok(quota) = Quota::new(0.2).inspect_err(|e| println!("skipped: {e:#}")) else {
            return;
        };
        let mut child = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        quota.add(child.id()).unwrap();
        let used = || {
            let text = fs::read_to_string(format!("/proc/{}/schedstat", child.id())).unwrap();
            Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
        };
        let (begun, before) = (Instant::now(), used());
        std::thread::sleep(Duration::from_secs(1));
        let share = (used() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
        child.kill().unwrap();
        child.wait().unwrap();
        // Less where the machine has no time for it.
        assert!(share < 0.26, "{share}");
        let folder = quota.folder.clone();
        drop(quota);
        assert!(!folder.exists());
    }
}
