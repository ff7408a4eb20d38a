//! Programs that fell over by themselves: a panic in a log, also where only one task ended by it, and an end that nobody had planned.

use std::{collections::BTreeMap, os::unix::process::ExitStatusExt, process::ExitStatus};

use nix::sys::signal::Signal;

/// An end that may be explained by a line of the program's log, each line explaining one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Explained {
    /// A fail point had it abort.
    Abort,
    /// A fail point had it exit.
    Exit,
    /// Its database was away when it started, which ends a service by design; whoever runs it starts it again.
    NoDatabase,
}

impl Explained {
    /// What explains an end like this, if anything can.
    fn of(end: ExitStatus) -> Option<Self> {
        match (end.code(), end.signal()) {
            (Some(1), _) => Some(Self::NoDatabase),
            (Some(3), _) => Some(Self::Exit),
            (_, Some(signal)) if signal == Signal::SIGABRT as i32 => Some(Self::Abort),
            (Some(_), _) | (None, _) => None,
        }
    }

    /// What this line of `program`'s log explains, if anything.
    fn by(program: &str, line: &str) -> Option<Self> {
        if line.contains("failing on purpose") {
            let actions = [("Abort", Self::Abort), ("Exit", Self::Exit)];
            return actions
                .into_iter()
                .find(|(action, _)| line.contains(action))
                .map(|(_, explained)| explained);
        }
        let last_words = line.strip_prefix(program)?.strip_prefix(": ")?;
        let is_at_start = ["no database: ", "the schema is not up to date: "]
            .iter()
            .any(|begins| last_words.starts_with(begins));
        is_at_start.then_some(Self::NoDatabase)
    }
}

/// What a program did by itself that no fault explains: its log's lines about panics, and each end that no line explains.
pub(super) fn crashes(program: &str, log: &str, ends: &[ExitStatus]) -> Vec<String> {
    let lines: Vec<&str> = log.lines().collect();
    let panics = lines.iter().enumerate().filter(|(_, line)| line.contains("panicked at"));
    // The next line says why.
    let panics = panics.map(|(number, line)| {
        let why = lines.get(number + 1).unwrap_or(&"");
        format!("{program}'s log, line {}: {line} {why}", number + 1)
    });
    let mut explained = BTreeMap::<_, usize>::new();
    for line in &lines {
        if let Some(end) = Explained::by(program, line) {
            *explained.entry(end).or_default() += 1;
        }
    }
    let mut is_unexplained = |end: &&ExitStatus| {
        let left = Explained::of(**end).and_then(|end| explained.get_mut(&end));
        match left {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            Some(_) | None => true,
        }
    };
    let ended = ends.iter().filter(|end| is_unexplained(end));
    let ended = ended.map(|end| format!("{program} ended by itself: {end}"));
    panics.chain(ended).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;

    fn exit(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn a_panic_is_told_with_its_line_and_why() {
        let log = "ready\nthread 'worker' (7) panicked at src/worker.rs:1:2:\nout of bounds\nready";
        let line = "payments's log, line 2: thread 'worker' (7) panicked at src/worker.rs:1:2: out of bounds";
        assert_eq!(crashes("payments", log, &[]), [line]);
        assert_eq!(crashes("payments", "ready\nstopping", &[]), [""; 0]);
    }

    #[test]
    fn an_end_is_planned_as_often_as_the_log_says_so() {
        let log = r#"{"action":"Abort","message":"failing on purpose"}"#;
        let abort = ExitStatus::from_raw(SIGABRT);
        assert_eq!(crashes("payments", log, &[abort]), [""; 0]);
        assert_eq!(crashes("payments", log, &[abort, abort]).len(), 1);
        let log = log.replace("Abort", "Exit");
        assert_eq!(crashes("payments", &log, &[exit(3)]), [""; 0]);
        assert_eq!(crashes("payments", &log, &[abort, exit(3), exit(3)]).len(), 2);
    }

    #[test]
    fn a_service_may_end_at_its_start_where_there_is_no_database() {
        for log in [
            "payments: no database: cannot connect",
            "payments: the schema is not up to date: run `payments migrate`: terminating connection",
        ] {
            assert_eq!(crashes("payments", log, &[exit(1)]), [""; 0]);
            assert_eq!(crashes("payments", log, &[exit(1), exit(1)]).len(), 1);
            assert_eq!(crashes("store-manager", log, &[exit(1)]).len(), 1);
        }
        let failed = "payments: the task worker failed: no database: cannot connect";
        assert_eq!(crashes("payments", failed, &[exit(1)]).len(), 1);
    }

    #[test]
    fn every_end_that_nobody_asked_for_is_told() {
        let ends = [exit(0), exit(1), exit(2), exit(3), exit(101), ExitStatus::from_raw(SIGKILL)];
        assert_eq!(crashes("payments", "", &ends).len(), ends.len());
    }
}
