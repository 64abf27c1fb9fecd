// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Where the training stands among the threads of the machine: behind all that is in a hurry, but not so far that it never
//! gets a turn.

use std::time::Duration;

/// So long the thread works before it is seen whether it gets turns.
const SEEN: Duration = Duration::from_secs(1);
/// Among the others it gets this share of the time where the machine has room for it.
const ROOM: f64 = 0.5;
/// Behind them it gets less than this where the machine has none.
const STARVED: f64 = 0.2;

/// The calling thread's. It shares the processors at first, and steps behind all others, which then need not wait for it at
/// all, where there is room for it all the same.
#[derive(Debug, Default)]
pub(super) struct Priority {
    behind: bool,
    /// Since it was last seen.
    wall: Duration,
    worked: Duration,
}

impl Priority {
    pub(super) fn low() -> Self {
        set(false);
        Self::default()
    }

    /// The thread has wanted to work for `wall`, and `worked` for this part of it.
    pub(super) fn has_worked(&mut self, wall: Duration, worked: Duration) {
        if let Some(behind) = self.next(wall, worked) {
            set(behind);
        }
    }

    /// What changes.
    fn next(&mut self, wall: Duration, worked: Duration) -> Option<bool> {
        self.wall += wall;
        self.worked += worked;
        if self.wall < SEEN {
            return None;
        }
        let share = self.worked.as_secs_f64() / self.wall.as_secs_f64();
        let behind = match self.behind {
            true => share >= STARVED,
            false => share >= ROOM,
        };
        let changed = (behind != self.behind).then_some(behind);
        *self = Self {
            behind,
            ..Self::default()
        };
        changed
    }
}

/// The processor's time of the calling thread.
pub(super) fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes to our own structure.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// `behind`: only while no other thread wants the processor; else with a small share among them.
#[cfg(target_os = "linux")]
fn set(behind: bool) {
    const NICE: libc::c_int = 5;
    let policy = match behind {
        true => libc::SCHED_IDLE,
        false => libc::SCHED_OTHER,
    };
    // SAFETY: plain system calls with our own structure; on Linux a thread has a policy and a priority of its own.
    unsafe {
        let parameters: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(0, policy, &raw const parameters);
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        libc::setpriority(libc::PRIO_PROCESS, thread, NICE);
    }
}

#[cfg(not(target_os = "linux"))]
fn set(_: bool) {}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Where it works this share of the time, when it shares and when it is behind, what it is after each second.
    fn course(sharing: f64, behind: f64) -> Vec<bool> {
        let mut priority = Priority::default();
        let second = |_| {
            let share = if priority.behind { behind } else { sharing };
            for _ in 0..10 {
                priority.next(100 * MS, MS.mul_f64(100.0 * share));
            }
            priority.behind
        };
        (0..6).map(second).collect()
    }

    #[test]
    fn where_there_is_room_it_steps_behind_and_stays() {
        assert_eq!(course(0.9, 0.7), [true; 6]);
    }

    #[test]
    fn on_a_full_machine_it_goes_on_to_share() {
        assert_eq!(course(0.25, 0.003), [false; 6]);
    }

    #[test]
    fn starved_behind_the_others_it_comes_back() {
        assert_eq!(course(0.6, 0.1), [true, false, true, false, true, false]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_takes_both() {
        let policy = || {
            // SAFETY: a plain system call.
            unsafe { libc::sched_getscheduler(0) }
        };
        let thread = std::thread::spawn(move || {
            let mut priority = Priority::low();
            assert_eq!(policy(), libc::SCHED_OTHER);
            priority.has_worked(SEEN, SEEN);
            assert_eq!(policy(), libc::SCHED_IDLE);
            priority.has_worked(SEEN, Duration::ZERO);
            assert_eq!(policy(), libc::SCHED_OTHER);
        });
        thread.join().unwrap();
    }
}
