//! How far a long command has come, told on a terminal, at most four times a second.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// The pause between two tellings.
const EVERY: Duration = Duration::from_millis(250);

/// A line on standard error that is written over; nothing if that is no terminal.
pub(crate) struct Meter {
    next: Option<Instant>,
    told: bool,
}

impl Meter {
    /// Of a command that begins now.
    pub(crate) fn new() -> Self {
        let next = io::stderr().is_terminal().then(|| Instant::now() + EVERY);
        Self { next, told: false }
    }

    /// Tells `text` if it is time.
    pub(crate) fn tell(&mut self, text: impl FnOnce() -> String) {
        let Some(next) = &mut self.next else { return };
        if Instant::now() >= *next {
            *next = Instant::now() + EVERY;
            self.told = true;
            write(&text());
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.told {
            write("");
        }
    }
}

/// Writes over the line. That the terminal is gone is no failure of the command.
fn write(text: &str) {
    let _ = write!(io::stderr(), "\r\x1b[K{text}").and_then(|()| io::stderr().flush());
}
