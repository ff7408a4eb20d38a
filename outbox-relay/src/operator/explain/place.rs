//! Where a row is by its number, and why there may be none.

use sqlx::PgConnection;

use crate::operator::event::{Event, Row, made_at, next};
use crate::operator::explain::report::{Explanation, State};
use crate::operator::output::{milliseconds, timestamp};
use crate::operator::standing::Standing;
use crate::operator::{leader, transactions};

/// Where a row that is in the table is.
pub(crate) async fn of_row(
    connection: &mut PgConnection,
    row: &Row,
    standing: &Standing,
) -> Result<Explanation, sqlx::Error> {
    let parked = standing.parked.get(&row.topic, &row.key);
    if let Some(parked) = parked.filter(|parked| parked.first <= row.number) {
        let (since, reason) = (milliseconds(parked.since_ms), &parked.reason);
        let said = if parked.first == row.number {
            format!("it is parked since {since}, because {reason}; see `outbox-relay parked`")
        } else {
            let (id, first) = (parked.event_id, parked.first);
            format!(
                "it waits behind event {id} (number {first}) of its key, parked since {since}, because {reason}"
            )
        };
        return Ok(Explanation::of(State::Parked, said));
    }
    let head = standing.position.head();
    let is_open = standing.position.gaps().contains(row.number);
    if standing.position.is_done(row.number) {
        return Ok(Explanation::of(State::Published, String::new()));
    }
    let leader = leader::read(connection).await?;
    let blame = leader.trouble().map_or(String::new(), |fault| format!("; {fault}"));
    Ok(if is_open {
        let said = format!(
            "it was committed after later numbers had been read; the next look takes it{blame}"
        );
        Explanation::of(State::InGap, said)
    } else {
        let said = format!(
            "it waits: {} numbers lie between the head {head} and it{blame}",
            row.number - head - 1
        );
        Explanation::of(State::Waiting, said)
    })
}

/// Why there is no row.
pub(crate) async fn of_nothing(
    connection: &mut PgConnection,
    event: Event,
    standing: &Standing,
) -> Result<Explanation, sqlx::Error> {
    let oldest = next(connection, 0).await?;
    let was_dropped = oldest.filter(|oldest| {
        let before = match event {
            Event::Number(number) => number < oldest.number,
            Event::Id(id) => made_at(id).is_some_and(|at| at < oldest.created_at),
        };
        before && oldest.number > 1 && oldest.number <= standing.position.watermark()
    });
    if let Some(oldest) = was_dropped {
        let (number, at) = (oldest.number, timestamp(oldest.created_at));
        let said = format!(
            "it is not in the table: it is older than the oldest row kept (number {number} of {at}), and so was dropped with its \
             partition, published, or never committed"
        );
        return Ok(Explanation::of(State::NotInTable, said));
    }
    if let Event::Number(number) = event {
        if number > standing.last_value {
            let said =
                format!("it has not been drawn yet: the last one is {}", standing.last_value);
            return Ok(Explanation::of(State::NotInTable, said));
        }
        if standing.position.is_done(number) {
            let said = "it is given up: its transaction was rolled back".to_owned();
            return Ok(Explanation::of(State::NotInTable, said));
        }
    }
    let open = transactions::read(connection).await?;
    let said = if open.is_empty() {
        "it was never committed: it is not in the table, and no transaction is open that could bring it"
    } else {
        "it was never committed, or is in one of the transactions that are still open"
    };
    let explanation = Explanation::of(State::NotInTable, said.to_owned());
    Ok(Explanation { open_transactions: open, ..explanation })
}
