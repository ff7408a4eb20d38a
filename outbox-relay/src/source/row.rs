//! A row of the outbox.
//!
//! A relay that is behind takes in a hundred thousand of them a second, so all texts of a row stand in one buffer: sqlx's checked
//! statements would make a `String` of each, which took a seventh of the relay's processor time. The statements that read whole rows
//! are for that reason not checked while the relay is built. All of them name the same columns in the same order.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use time::OffsetDateTime;
use uuid::Uuid;

/// The columns of a row, as the statements name them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<'a> {
    pub(crate) sequence: i64,
    pub(crate) id: Uuid,
    pub(crate) aggregatetype: &'a str,
    pub(crate) aggregateid: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) source: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) correlationid: Option<&'a str>,
    pub(crate) causationid: Option<&'a str>,
    pub(crate) traceparent: Option<&'a str>,
    pub(crate) tracestate: Option<&'a str>,
    pub(crate) contenttype: &'a str,
    pub(crate) payload: &'a [u8],
}

/// A row that is kept.
#[derive(Debug)]
pub(crate) struct OutboxRow {
    pub(crate) sequence: i64,
    pub(crate) id: Uuid,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) payload: Vec<u8>,
    /// Its texts, one after the other.
    texts: String,
    /// Where each of them begins and ends, in the order of [`Columns`]; `None` is NULL.
    spans: [Option<(u32, u32)>; 10],
}

impl From<Columns<'_>> for OutboxRow {
    fn from(columns: Columns<'_>) -> Self {
        let values = [
            Some(columns.aggregatetype),
            Some(columns.aggregateid),
            Some(columns.event_type),
            Some(columns.source),
            Some(columns.subject),
            columns.correlationid,
            columns.causationid,
            columns.traceparent,
            columns.tracestate,
            Some(columns.contenttype),
        ];
        let mut texts = String::with_capacity(values.iter().flatten().map(|text| text.len()).sum());
        let spans = values.map(|value| {
            let begin = texts.len();
            texts.push_str(value?);
            Some((offset(begin), offset(texts.len())))
        });
        let Columns { sequence, id, created_at, payload, .. } = columns;
        Self { sequence, id, created_at, payload: payload.to_vec(), texts, spans }
    }
}

impl FromRow<'_, PgRow> for OutboxRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let columns = Columns {
            sequence: row.try_get(0)?,
            id: row.try_get(1)?,
            aggregatetype: row.try_get(2)?,
            aggregateid: row.try_get(3)?,
            event_type: row.try_get(4)?,
            source: row.try_get(5)?,
            subject: row.try_get(6)?,
            created_at: row.try_get(7)?,
            correlationid: row.try_get(8)?,
            causationid: row.try_get(9)?,
            traceparent: row.try_get(10)?,
            tracestate: row.try_get(11)?,
            contenttype: row.try_get(12)?,
            payload: row.try_get(13)?,
        };
        Ok(columns.into())
    }
}

impl OutboxRow {
    /// The Kafka topic it is for.
    pub(crate) fn aggregatetype(&self) -> &str {
        self.always(0)
    }

    /// The Kafka key.
    pub(crate) fn aggregateid(&self) -> &str {
        self.always(1)
    }

    pub(crate) fn event_type(&self) -> &str {
        self.always(2)
    }

    pub(crate) fn source(&self) -> &str {
        self.always(3)
    }

    pub(crate) fn subject(&self) -> &str {
        self.always(4)
    }

    pub(crate) fn correlationid(&self) -> Option<&str> {
        self.text(5)
    }

    pub(crate) fn causationid(&self) -> Option<&str> {
        self.text(6)
    }

    pub(crate) fn traceparent(&self) -> Option<&str> {
        self.text(7)
    }

    pub(crate) fn tracestate(&self) -> Option<&str> {
        self.text(8)
    }

    pub(crate) fn contenttype(&self) -> &str {
        self.always(9)
    }

    /// The bytes of all texts together.
    pub(crate) fn text_bytes(&self) -> usize {
        self.texts.len()
    }

    fn always(&self, column: usize) -> &str {
        self.text(column).unwrap_or_default()
    }

    fn text(&self, column: usize) -> Option<&str> {
        let (begin, end) = self.spans[column]?;
        Some(&self.texts[begin as usize..end as usize])
    }
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("PostgreSQL sends no row of more than 1 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_what_it_was() {
        let row = OutboxRow::from(Columns {
            sequence: 42,
            id: Uuid::from_u128(7),
            aggregatetype: "store.orders",
            aggregateid: "order-1",
            event_type: "store.OrderCreated",
            source: "",
            subject: "orders/ü",
            created_at: OffsetDateTime::UNIX_EPOCH,
            correlationid: None,
            causationid: Some("cause"),
            traceparent: Some(""),
            tracestate: None,
            contenttype: "application/json",
            payload: &[0, 255, 16],
        });
        assert_eq!((row.sequence, row.id), (42, Uuid::from_u128(7)));
        assert_eq!((row.aggregatetype(), row.aggregateid()), ("store.orders", "order-1"));
        assert_eq!((row.event_type(), row.source()), ("store.OrderCreated", ""));
        assert_eq!((row.subject(), row.contenttype()), ("orders/ü", "application/json"));
        assert_eq!((row.correlationid(), row.causationid()), (None, Some("cause")));
        assert_eq!((row.traceparent(), row.tracestate()), (Some(""), None));
        assert_eq!(
            (row.created_at, &*row.payload),
            (OffsetDateTime::UNIX_EPOCH, &[0, 255, 16][..])
        );
    }
}
