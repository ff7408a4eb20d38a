//! `explain`: where an event is now, on its way from the table to Kafka.

mod place;
mod records;
mod report;

use clap::Args;
use sqlx::PgConnection;

use crate::blocking::blocking;
use crate::fault::Fault;
use crate::operator::Verdict;
use crate::operator::arguments::{DatabaseArgs, ProgressArgs};
use crate::operator::error::CommandError;
use crate::operator::event::{self, Event, Row};
use crate::operator::output::OutputArgs;
use crate::operator::session::{Access, connect};
use crate::operator::standing::{self, Standing};
use crate::source::identity;
use crate::sources::SourceAddress;

use records::Search;
use report::{ExplainReport, Explanation, State};

/// Options of `explain`.
#[derive(Clone, Debug, Args)]
pub struct ExplainOptions {
    /// The event's id, or its number in the outbox.
    #[arg(value_name = "EVENT")]
    event: Event,
    /// Where to look.
    #[command(flatten)]
    database: DatabaseArgs,
    /// Where the progress is.
    #[command(flatten)]
    progress: ProgressArgs,
    /// How it is told.
    #[command(flatten)]
    output: OutputArgs,
    /// Records of the topic that are looked through at most.
    #[arg(long, env = "RELAY_EXPLAIN_RECORDS", default_value_t = 1_000_000)]
    records: usize,
}

/// Tells where the event is: in the one source that has it, else why in none.
pub(crate) async fn explain(options: &ExplainOptions) -> Result<Verdict, CommandError> {
    let mut sources = Vec::new();
    for source in options.database.all()? {
        let of_source = |fault| CommandError::Source { name: source.name.clone(), fault };
        let explanation = explain_in(&source, options).await.map_err(of_source)?;
        let found = explanation.row.is_some();
        if found {
            sources.clear();
        }
        sources.push(explanation);
        if found {
            break;
        }
    }
    let report = ExplainReport { event: options.event.to_string(), sources };
    options.output.print(&report)?;
    Ok(if report.is_fine() { Verdict::Fine } else { Verdict::Trouble })
}

async fn explain_in(
    source: &SourceAddress,
    options: &ExplainOptions,
) -> Result<Explanation, Fault> {
    let of_database = |error| Fault::of_database(&error);
    let mut connection = connect(source, "explain", Access::Read).await?;
    // First the progress, then the row: what is not there was not there when the progress was made either.
    let standing = standing::read(&mut connection, &options.progress, &source.name).await;
    let last_value = identity::last_value(&mut connection).await.map_err(of_database)?;
    let row = event::find(&mut connection, options.event, last_value).await.map_err(of_database)?;
    let explanation = match (row, standing) {
        (row, Err(fault)) => Explanation::unknown(row, &fault),
        (row, Ok(standing)) => match (standing.fault(), row) {
            (Some(fault), row) => Explanation::unknown(row, &fault),
            (None, Some(row)) => of_row(&mut connection, row, &standing, options).await?,
            (None, None) => place::of_nothing(&mut connection, options.event, &standing)
                .await
                .map_err(of_database)?,
        },
    };
    Ok(Explanation { source: source.name.clone(), ..explanation })
}

async fn of_row(
    connection: &mut PgConnection,
    row: Row,
    standing: &Standing,
    options: &ExplainOptions,
) -> Result<Explanation, Fault> {
    let explanation = place::of_row(connection, &row, standing).await;
    let explanation = explanation.map_err(|error| Fault::of_database(&error))?;
    if explanation.state != State::Published {
        return Ok(Explanation { row: Some(row), ..explanation });
    }
    let (kafka, wanted, limit) = (options.progress.kafka.clone(), row.clone(), options.records);
    let search = blocking(move || records::find(&kafka, &wanted, limit)).await;
    Ok(published(explanation, row, search))
}

fn published(explanation: Explanation, row: Row, search: Result<Search, Fault>) -> Explanation {
    let said = match &search {
        Err(fault) => format!("it is published, but where is not known: {fault}"),
        Ok(search) => search.to_string(),
    };
    let records = search.map(|search| search.records).unwrap_or_default();
    Explanation { said, row: Some(row), records, ..explanation }
}
