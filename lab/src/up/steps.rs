//! Shows what is being done and how long it took: a spinner on a terminal, a line when it is done.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::say;

const TICK: Duration = Duration::from_millis(80);

/// Does `work`, which is called `what`.
pub(super) async fn step<T, E: Into<anyhow::Error>>(
    what: &str,
    work: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(TICK);
    let result = work.await;
    spinner.finish_and_clear();
    let mark = if result.is_ok() { "✓" } else { "✗" };
    say(format!("{mark} {what} ({:.1} s)", start.elapsed().as_secs_f32()))?;
    result.map_err(Into::into)
}
