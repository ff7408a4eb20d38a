//! What is measured, and how much of it.

use std::{fmt, path::PathBuf, time::Duration};

/// Options of `lab bench relay`.
#[derive(Clone, Debug, clap::Args)]
pub struct RelayPlan {
    /// How often each figure is measured; minimum, median and maximum are told
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// Rows that are drained; the memory figures take five times as many
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    pub rows: u32,
    /// The figures to measure, separated by commas
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',', default_values_t = FigureId::ALL)]
    pub figures: Vec<FigureId>,
    /// Small numbers and one run: to see that it works, not how fast
    #[arg(long)]
    pub quick: bool,
    /// Leave Debezium out, which is a large download and needs Java 21
    #[arg(long)]
    pub no_debezium: bool,
    /// Where report.json and the plots go
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub out: PathBuf,
    /// Further arguments for `outbox-relay run`, separated by blanks, for experiments
    #[arg(long, value_name = "ARGUMENTS", default_value = "", allow_hyphen_values = true)]
    pub relay_args: String,
}

/// A figure of the relay; the numbers are those of `docs/benchmarks.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum FigureId {
    /// A backlog is drained, at least once.
    #[value(name = "P-1")]
    Drain,
    /// The same, exactly once.
    #[value(name = "P-2")]
    ExactlyOnce,
    /// The same, against Debezium Server.
    #[value(name = "P-3")]
    Debezium,
    /// From commit to consumer at a steady rate, and what being idle costs.
    #[value(name = "P-4")]
    Latency,
    /// The most memory held, whatever comes.
    #[value(name = "P-5")]
    Memory,
    /// What the outbox costs the one who writes to it.
    #[value(name = "P-7")]
    WriterTax,
}

impl FigureId {
    const ALL: [Self; 6] = [
        Self::Drain,
        Self::ExactlyOnce,
        Self::Debezium,
        Self::Latency,
        Self::Memory,
        Self::WriterTax,
    ];
}

impl fmt::Display for FigureId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Drain => "P-1",
            Self::ExactlyOnce => "P-2",
            Self::Debezium => "P-3",
            Self::Latency => "P-4",
            Self::Memory => "P-5",
            Self::WriterTax => "P-7",
        })
    }
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) runs: u32,
    /// Rows over which a drain is measured.
    pub(super) rows: i64,
    /// Rows drained before, so that programs that compile while they run have done so.
    pub(super) warm_up_rows: i64,
    /// Rows of each memory figure.
    pub(super) memory_rows: i64,
    /// Seconds at the steady rate before anything is measured.
    pub(super) latency_warm_up_s: u32,
    /// The same for Debezium, whose compiler takes longer at so low a rate.
    pub(super) debezium_warm_up_s: u32,
    /// Seconds measured at the steady rate.
    pub(super) latency_s: u32,
    /// How long nothing happens.
    pub(super) idle: Duration,
    /// How long the relay goes on without Kafka after the last row.
    pub(super) outage: Duration,
    /// How long each way of writing is measured.
    pub(super) writing: Duration,
}

impl RelayPlan {
    /// Whether `figure` is asked for.
    pub(super) fn has(&self, figure: FigureId) -> bool {
        self.figures.contains(&figure)
    }

    pub(super) fn sizes(&self) -> Sizes {
        if self.quick {
            return Sizes {
                runs: 1,
                rows: 20_000,
                warm_up_rows: 5_000,
                memory_rows: 20_000,
                latency_warm_up_s: 1,
                debezium_warm_up_s: 2,
                latency_s: 1,
                idle: Duration::from_secs(1),
                outage: Duration::from_secs(1),
                writing: Duration::from_millis(400),
            };
        }
        let rows = i64::from(self.rows);
        Sizes {
            runs: self.runs,
            rows,
            warm_up_rows: rows / 4,
            memory_rows: 5 * rows,
            latency_warm_up_s: 5,
            debezium_warm_up_s: 60,
            latency_s: 30,
            idle: Duration::from_secs(60),
            outage: Duration::from_secs(10),
            writing: Duration::from_secs(10),
        }
    }
}
