//! Draws a figure's plots as SVG.

use std::path::Path;

use anyhow::anyhow;
use plotters::{
    coord::ranged1d::{IntoSegmentedCoord, SegmentValue},
    prelude::*,
};

const SIZE: (u32, u32) = (900, 480);
const FONT: &str = "sans-serif";
/// Room for the names of bars.
const NAMES: u32 = 220;

/// A drawing.
pub(super) struct Plot {
    /// What the file's name ends in.
    pub(super) name: &'static str,
    title: &'static str,
    unit: &'static str,
    content: Content,
}

enum Content {
    Lines(Across, Vec<Line>),
    Bars(Vec<Bar>),
}

/// What goes from left to right under lines.
#[derive(Clone, Copy, Debug)]
pub(super) enum Across {
    /// Seconds.
    Time,
    /// x stands for all events but one in 10^x; what goes upwards does so by powers of ten.
    Rareness,
}

/// One line of a plot.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// One bar of a plot: parts one after the other.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) parts: Vec<(&'static str, f64)>,
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

impl Plot {
    /// Lines over a common axis.
    pub(super) fn lines(
        name: &'static str,
        title: &'static str,
        unit: &'static str,
        across: Across,
        lines: Vec<Line>,
    ) -> Self {
        Self { name, title, unit, content: Content::Lines(across, lines) }
    }

    /// Bars below one another.
    pub(super) fn bars(
        name: &'static str,
        title: &'static str,
        unit: &'static str,
        bars: Vec<Bar>,
    ) -> Self {
        Self { name, title, unit, content: Content::Bars(bars) }
    }

    /// Draws it to `path`.
    pub(super) fn draw(&self, path: &Path) -> anyhow::Result<()> {
        match &self.content {
            Content::Lines(across, lines) => self.draw_lines(path, *across, lines),
            Content::Bars(bars) => self.draw_bars(path, bars),
        }
        // The error may borrow what is drawn.
        .map_err(|error| anyhow!("{} cannot be drawn: {error}", path.display()))
    }

    fn draw_lines(&self, path: &Path, across: Across, lines: &[Line]) -> Drawn {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let place = |&(x, y): &(f64, f64)| (x, across.height(y));
        let points = || lines.iter().flat_map(|line| &line.points).map(place);
        let right = points().map(|(x, _)| x).fold(0.0, f64::max);
        let bottom = points().map(|(_, y)| y).fold(0.0, f64::min);
        let top = points().map(|(_, y)| y).fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, (FONT, 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..beyond(right), bottom..beyond(top))?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(across.name())
            .x_label_formatter(&|x| across.label(*x))
            .y_desc(self.unit)
            .y_label_formatter(&|height| across.label_of_height(*height))
            .draw()?;
        for (index, line) in lines.iter().enumerate() {
            let style = Palette99::pick(index).stroke_width(2);
            let drawn = LineSeries::new(line.points.iter().map(place), style);
            let key = move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style);
            chart.draw_series(drawn)?.label(&line.name).legend(key);
        }
        chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
        area.present()?;
        Ok(())
    }

    fn draw_bars(&self, path: &Path, bars: &[Bar]) -> Drawn {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let length = |bar: &Bar| bar.parts.iter().map(|(_, part)| part).sum::<f64>();
        let right = bars.iter().map(length).fold(0.0, f64::max);
        // The first one on top.
        let from_below: Vec<&Bar> = bars.iter().rev().collect();
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, (FONT, 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(NAMES)
            .build_cartesian_2d(0.0..beyond(right), (0..bars.len()).into_segmented())?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(self.unit)
            .y_labels(bars.len())
            .y_label_formatter(&|place| name(&from_below, place))
            .draw()?;
        for part in 0..bars.first().map_or(0, |bar| bar.parts.len()) {
            let style = Palette99::pick(part).filled();
            let drawn = from_below.iter().enumerate().map(|(index, bar)| {
                let left = bar.parts[..part].iter().map(|(_, size)| size).sum::<f64>();
                let corners = [
                    (left, SegmentValue::Exact(index)),
                    (left + bar.parts[part].1, SegmentValue::Exact(index + 1)),
                ];
                let mut rectangle = Rectangle::new(corners, style);
                rectangle.set_margin(8, 8, 0, 0);
                rectangle
            });
            let key = move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], style);
            chart.draw_series(drawn)?.label(bars[0].parts[part].0).legend(key);
        }
        chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
        area.present()?;
        Ok(())
    }
}

impl Across {
    fn name(self) -> &'static str {
        match self {
            Self::Time => "seconds",
            Self::Rareness => "of the events",
        }
    }

    fn label(self, x: f64) -> String {
        match self {
            Self::Time => format!("{x:.0}"),
            Self::Rareness => format!("{:.4} %", 100.0 - 100.0 / 10_f64.powf(x)),
        }
    }

    fn height(self, y: f64) -> f64 {
        match self {
            Self::Time => y,
            Self::Rareness => y.max(0.01).log10(),
        }
    }

    fn label_of_height(self, height: f64) -> String {
        match self {
            Self::Time => format!("{height}"),
            Self::Rareness => format!("{:.2}", 10_f64.powf(height)),
        }
    }
}

fn name(bars: &[&Bar], place: &SegmentValue<usize>) -> String {
    match place {
        SegmentValue::CenterOf(index) => {
            bars.get(*index).map(|bar| bar.name.clone()).unwrap_or_default()
        }
        SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
    }
}

/// The end of an axis: some room above the largest value, and some axis where there is none.
fn beyond(most: f64) -> f64 {
    if most > 0.0 { most * 1.08 } else { 1.0 }
}
