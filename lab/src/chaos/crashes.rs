//! Programs that fell over by themselves: a panic in a log, also where only one task ended by it, and an end that nobody had planned.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

use nix::sys::signal::Signal;

/// How a program ends whose main thread panics.
const PANICKED: i32 = 101;

/// What a program did by itself that no fault explains: its log's lines about panics, and how it ended otherwise. It may abort as often as
/// its log says that it does so on purpose.
pub(super) fn crashes(program: &str, log: &str, ends: &[ExitStatus]) -> Vec<String> {
    let lines: Vec<&str> = log.lines().collect();
    let panics = lines.iter().enumerate().filter(|(_, line)| line.contains("panicked at"));
    // The next line says why.
    let panics = panics.map(|(number, line)| {
        let why = lines.get(number + 1).unwrap_or(&"");
        format!("{program}'s log, line {}: {line} {why}", number + 1)
    });
    let is_planned = |line: &&&str| line.contains("failing on purpose") && line.contains("Abort");
    let mut planned = lines.iter().filter(is_planned).count();
    let ended =
        ends.iter().filter(|end| match end.signal().and_then(|signal| signal.try_into().ok()) {
            Some(Signal::SIGABRT) if planned > 0 => {
                planned -= 1;
                false
            }
            Some(
                Signal::SIGABRT
                | Signal::SIGSEGV
                | Signal::SIGBUS
                | Signal::SIGILL
                | Signal::SIGFPE
                | Signal::SIGTRAP
                | Signal::SIGSYS,
            ) => true,
            Some(_) => false,
            None => end.code() == Some(PANICKED),
        });
    let ended = ended.map(|end| format!("{program} ended by itself: {end}"));
    panics.chain(ended.collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    const SIGSEGV: i32 = 11;

    fn exit(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn a_panic_is_told_with_its_line_and_why() {
        let log = "ready\nthread 'worker' (7) panicked at src/worker.rs:1:2:\nout of bounds\nready";
        let line = "payments's log, line 2: thread 'worker' (7) panicked at src/worker.rs:1:2: out of bounds";
        assert_eq!(crashes("payments", log, &[]), [line]);
        assert_eq!(crashes("payments", "ready\nstopping", &[exit(0)]), [""; 0]);
    }

    #[test]
    fn an_abort_is_planned_as_often_as_the_log_says_so() {
        let log = r#"{"action":"Abort","message":"failing on purpose"}"#;
        let abort = ExitStatus::from_raw(SIGABRT);
        assert_eq!(crashes("payments", log, &[abort]), [""; 0]);
        assert_eq!(crashes("payments", log, &[abort, abort]).len(), 1);
        assert_eq!(crashes("payments", &log.replace("Abort", "Exit"), &[abort]).len(), 1);
    }

    #[test]
    fn only_ends_that_nobody_makes_on_purpose_are_crashes() {
        let ends = [exit(0), exit(1), exit(3), ExitStatus::from_raw(SIGKILL)];
        assert_eq!(crashes("payments", "", &ends), [""; 0]);
        let ends = [exit(PANICKED), ExitStatus::from_raw(SIGSEGV)];
        assert_eq!(crashes("payments", "", &ends).len(), 2);
    }
}
