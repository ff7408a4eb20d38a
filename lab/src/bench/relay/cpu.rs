//! The processor time of processes and trees of them, and how much memory one holds, from Linux's `/proc`.

use std::{fs, str::FromStr, time::Duration};

/// Linux tells processor time in hundredths of a second, on every kind of machine.
const TICK: Duration = Duration::from_millis(10);

/// Processor time used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cpu {
    /// By whoever is measured.
    pub(super) process: Duration,
    /// By PostgreSQL, all backends and background processes together.
    pub(super) postgres: Duration,
    /// By the broker.
    pub(super) kafka: Duration,
    /// By the whole machine.
    pub(super) machine: Duration,
}

/// Whose processor time is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pids {
    pub(super) process: Option<i32>,
    pub(super) postgres: i32,
    pub(super) kafka: i32,
}

impl Pids {
    /// What they have used until now; nothing for those that have ended.
    pub(super) fn cpu(self) -> Cpu {
        Cpu {
            process: self.process.and_then(of_tree).unwrap_or_default(),
            postgres: of_tree(self.postgres).unwrap_or_default(),
            kafka: of_tree(self.kafka).unwrap_or_default(),
            machine: of_machine().unwrap_or_default(),
        }
    }
}

impl Cpu {
    /// What was used since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            process: self.process.saturating_sub(earlier.process),
            postgres: self.postgres.saturating_sub(earlier.postgres),
            kafka: self.kafka.saturating_sub(earlier.kafka),
            machine: self.machine.saturating_sub(earlier.machine),
        }
    }

    /// That of all three.
    pub(super) fn together(self) -> Duration {
        self.process + self.postgres + self.kafka
    }
}

/// The most memory that a process has ever held, in MiB.
pub(super) fn peak_mib(pid: i32) -> Option<f64> {
    memory_mib(pid, "VmHWM:")
}

/// The memory that a process holds, in MiB.
pub(super) fn resident_mib(pid: i32) -> Option<f64> {
    memory_mib(pid, "VmRSS:")
}

fn memory_mib(pid: i32, field: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes / 1024.0)
}

/// A process, its children, theirs, and all that have ended and been waited for.
fn of_tree(pid: i32) -> Option<Duration> {
    let own = of_process(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    // A process may start children from any thread; the servers here do so from their first.
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    Some(own + children.filter_map(of_tree).sum::<Duration>())
}

/// The 14th to 17th field: in user and in kernel mode, then the same of children waited for. The second field is the name in
/// parentheses, which may hold anything.
fn of_process(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(ticks(fields.split(' ').skip(11).take(4)))
}

/// The first line: in user mode, at low priority and in kernel mode, then idle and waiting, then interrupts.
fn of_machine() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let mut fields = stat.lines().next()?.split_whitespace().skip(1);
    let busy = ticks(fields.by_ref().take(3));
    Some(busy + ticks(fields.skip(2).take(2)))
}

fn ticks<'a>(fields: impl Iterator<Item = &'a str>) -> Duration {
    TICK * fields.filter_map(|field| u32::from_str(field).ok()).sum::<u32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_is_passed_over() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 5 0 0 0 10 20 3 4 20 0 1 0 123";
        assert_eq!(of_process(stat), Some(TICK * 37));
    }

    #[test]
    fn this_process_holds_memory_and_its_peak_is_no_less() {
        let pid = std::process::id().cast_signed();
        // In this order: other tests take memory between the two.
        let resident = resident_mib(pid).unwrap();
        let peak = peak_mib(pid).unwrap();
        assert!(resident > 0.5 && peak >= resident, "{peak} {resident}");
    }
}
