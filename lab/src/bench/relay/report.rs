//! What was measured, as a table for people, and as JSON and SVG for programs and documents.

use std::{fmt, fs, path::Path};

use anyhow::Context;
use serde_json::{Value, json};

use super::figure::{Figure, Spread, Target, Verdict};

/// All figures of one run of the program.
pub(super) struct Report {
    pub(super) machine: Value,
    /// How the program was called.
    pub(super) arguments: Vec<String>,
    pub(super) figures: Vec<Figure>,
}

impl Report {
    pub(super) fn json(&self) -> Value {
        json!({
            "machine": self.machine,
            "arguments": self.arguments,
            "figures": self.figures.iter().map(Figure::json).collect::<Vec<_>>(),
        })
    }

    /// Writes `report.json` and every plot to a directory.
    pub(super) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(directory)
            .with_context(|| format!("{} cannot be created", directory.display()))?;
        let json = serde_json::to_string_pretty(&self.json())?;
        fs::write(directory.join("report.json"), json + "\n")
            .context("report.json cannot be written")?;
        for figure in &self.figures {
            for plot in &figure.plots {
                plot.draw(&directory.join(format!("{}-{}.svg", figure.id, plot.name)))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.figures.iter().try_for_each(|figure| show(formatter, figure))
    }
}

fn show(formatter: &mut fmt::Formatter<'_>, figure: &Figure) -> fmt::Result {
    writeln!(formatter, "\n{} {}", figure.id, figure.title)?;
    for entry in &figure.entries {
        writeln!(formatter, "  {}", entry.name)?;
        for (measure, spread) in &entry.measures {
            writeln!(formatter, "    {measure:<26}{}", Shown(spread))?;
        }
    }
    for verdict in &figure.verdicts {
        let mark = if verdict.met() { '✓' } else { '✗' };
        let Verdict { what, spread, target } = verdict;
        let target = match target {
            Target::AtLeast(bound) => format!("≥ {bound}"),
            Target::AtMost(bound) => format!("≤ {bound}"),
        };
        writeln!(formatter, "  {mark} {what}: {}, target {target}", Shown(spread))?;
    }
    figure.notes.iter().try_for_each(|note| writeln!(formatter, "  {note}"))
}

/// A spread as `median (least to most)`.
struct Shown<'a>(&'a Spread);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, median, most) = (self.0.least(), self.0.median(), self.0.most());
        let digits = if median.abs() >= 1_000.0 { 0 } else { 2 };
        write!(formatter, "{median:.digits$} ({least:.digits$} to {most:.digits$})")
    }
}
