//! Reads what PostgreSQL's output plugin `pgoutput` says of the outbox (protocol version 1, values in their binary form).
//!
//! Comes in: one message of the stream. Goes out: the row that it inserts, if it inserts one into the outbox. Columns are found by
//! name, as the last description of the table gave them: others than the relay's own are passed over.

use std::collections::HashMap;

use thiserror::Error;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::source::row::{self, OutboxRow};

/// The outbox, as the stream names it.
const TABLE: (&str, &str) = ("messaging", "outbox");

/// 2000-01-01, from which PostgreSQL counts, in seconds since 1970.
const EPOCH_SECONDS: i64 = 946_684_800;

const INT8: u32 = 20;
const BYTEA: u32 = 17;
const TEXT: u32 = 25;
const VARCHAR: u32 = 1043;
const TIMESTAMPTZ: u32 = 1184;
const UUID: u32 = 2950;

/// Why a message cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// It ends too early, or lengths in it contradict each other.
    #[error("a message of the stream is cut short or damaged")]
    Damaged,
    /// The table has no such column.
    #[error("the stream's table has no column {0}")]
    NoColumn(&'static str),
    /// A column has another type than the outbox has.
    #[error("column {column} of the stream's table has type {oid}, which the outbox has not")]
    Type {
        /// The column's name.
        column: &'static str,
        /// The type's oid.
        oid: u32,
    },
    /// A column that is never NULL is, or came in another form than asked for.
    #[error("column {0} of a row of the stream has no binary value")]
    NoValue(&'static str),
    /// A row of a table that was not described before.
    #[error("the stream has not described table {0}")]
    Undescribed(u32),
}

/// Where in a row the relay's columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Columns {
    sequence: usize,
    id: usize,
    aggregatetype: usize,
    aggregateid: usize,
    event_type: usize,
    source: usize,
    subject: usize,
    created_at: usize,
    correlationid: usize,
    causationid: usize,
    traceparent: usize,
    tracestate: usize,
    contenttype: usize,
    payload: usize,
}

/// What the stream has described so far.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// Tables by their oid; `None` are those that do not matter.
    tables: HashMap<u32, Option<Columns>>,
}

impl Decoder {
    /// Takes in one message; answers the outbox row that it inserts.
    pub(crate) fn decode(&mut self, message: &[u8]) -> Result<Option<OutboxRow>, DecodeError> {
        let mut bytes = Bytes(message);
        match bytes.byte()? {
            b'R' => {
                let (oid, columns) = describe(&mut bytes)?;
                self.tables.insert(oid, columns);
                Ok(None)
            }
            b'I' => {
                let oid = bytes.u32()?;
                match self.tables.get(&oid) {
                    Some(Some(columns)) => insert(&mut bytes, columns).map(Some),
                    Some(None) => Ok(None),
                    None => Err(DecodeError::Undescribed(oid)),
                }
            }
            _ => Ok(None),
        }
    }
}

/// Reads a table's description.
fn describe(bytes: &mut Bytes<'_>) -> Result<(u32, Option<Columns>), DecodeError> {
    let oid = bytes.u32()?;
    let (schema, table) = (bytes.text()?, bytes.text()?);
    let _replica_identity = bytes.byte()?;
    let count = bytes.u16()?;
    let mut types = HashMap::new();
    for index in 0..usize::from(count) {
        let _flags = bytes.byte()?;
        let name = bytes.text()?;
        types.insert(name, (index, bytes.u32()?));
        let _modifier = bytes.u32()?;
    }
    let columns = if (schema, table) == TABLE { Some(columns(&types)?) } else { None };
    Ok((oid, columns))
}

fn columns(types: &HashMap<&str, (usize, u32)>) -> Result<Columns, DecodeError> {
    let find = |column: &'static str, wanted: &[u32]| match types.get(column) {
        None => Err(DecodeError::NoColumn(column)),
        Some((_, oid)) if !wanted.contains(oid) => Err(DecodeError::Type { column, oid: *oid }),
        Some((index, _)) => Ok(*index),
    };
    let text = |column| find(column, &[TEXT, VARCHAR]);
    Ok(Columns {
        sequence: find("sequence", &[INT8])?,
        id: find("id", &[UUID])?,
        aggregatetype: text("aggregatetype")?,
        aggregateid: text("aggregateid")?,
        event_type: text("type")?,
        source: text("source")?,
        subject: text("subject")?,
        created_at: find("created_at", &[TIMESTAMPTZ])?,
        correlationid: text("correlationid")?,
        causationid: text("causationid")?,
        traceparent: text("traceparent")?,
        tracestate: text("tracestate")?,
        contenttype: text("contenttype")?,
        payload: find("payload", &[BYTEA])?,
    })
}

/// Reads the new row of an insert.
fn insert(bytes: &mut Bytes<'_>, columns: &Columns) -> Result<OutboxRow, DecodeError> {
    if bytes.byte()? != b'N' {
        return Err(DecodeError::Damaged);
    }
    let count = bytes.u16()?;
    let mut values = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        values.push(match bytes.byte()? {
            b'b' => {
                let length = bytes.u32()?;
                Some(bytes.take(usize::try_from(length).map_err(|_| DecodeError::Damaged)?)?)
            }
            b'n' => None,
            _ => return Err(DecodeError::Damaged),
        });
    }
    row(&Row(values), columns).map(OutboxRow::from)
}

fn row<'a>(row: &Row<'a>, columns: &Columns) -> Result<row::Columns<'a>, DecodeError> {
    Ok(row::Columns {
        sequence: row.i64(columns.sequence, "sequence")?,
        id: Uuid::from_bytes(row.fixed(columns.id, "id")?),
        aggregatetype: row.text(columns.aggregatetype, "aggregatetype")?,
        aggregateid: row.text(columns.aggregateid, "aggregateid")?,
        event_type: row.text(columns.event_type, "type")?,
        source: row.text(columns.source, "source")?,
        subject: row.text(columns.subject, "subject")?,
        created_at: time(row.i64(columns.created_at, "created_at")?)?,
        correlationid: row.optional_text(columns.correlationid)?,
        causationid: row.optional_text(columns.causationid)?,
        traceparent: row.optional_text(columns.traceparent)?,
        tracestate: row.optional_text(columns.tracestate)?,
        contenttype: row.text(columns.contenttype, "contenttype")?,
        payload: row.value(columns.payload, "payload")?,
    })
}

/// A time from microseconds since 2000.
fn time(microseconds: i64) -> Result<OffsetDateTime, DecodeError> {
    OffsetDateTime::from_unix_timestamp(EPOCH_SECONDS)
        .ok()
        .and_then(|epoch| epoch.checked_add(Duration::microseconds(microseconds)))
        .ok_or(DecodeError::Damaged)
}

/// The values of a row, in the order of the table's description.
struct Row<'a>(Vec<Option<&'a [u8]>>);

impl<'a> Row<'a> {
    fn value(&self, index: usize, column: &'static str) -> Result<&'a [u8], DecodeError> {
        self.0.get(index).copied().flatten().ok_or(DecodeError::NoValue(column))
    }

    fn fixed<const N: usize>(
        &self,
        index: usize,
        column: &'static str,
    ) -> Result<[u8; N], DecodeError> {
        self.value(index, column)?.try_into().map_err(|_| DecodeError::Damaged)
    }

    fn i64(&self, index: usize, column: &'static str) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.fixed(index, column)?))
    }

    fn text(&self, index: usize, column: &'static str) -> Result<&'a str, DecodeError> {
        text(self.value(index, column)?)
    }

    fn optional_text(&self, index: usize) -> Result<Option<&'a str>, DecodeError> {
        self.0.get(index).copied().flatten().map(text).transpose()
    }
}

fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::Damaged)
}

/// What of a message is still to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.take(N)?.try_into().map_err(|_| DecodeError::Damaged)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.fixed()?))
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.fixed()?))
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.fixed()?))
    }

    /// A text that a zero byte ends.
    fn text(&mut self) -> Result<&'a str, DecodeError> {
        let length = self.0.iter().position(|byte| *byte == 0).ok_or(DecodeError::Damaged)?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| DecodeError::Damaged)?;
        self.take(1)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const OID: u32 = 4711;

    const OUTBOX: [(&str, u32); 15] = [
        ("sequence", INT8),
        ("id", UUID),
        ("added_by_somebody", 23),
        ("aggregatetype", TEXT),
        ("aggregateid", VARCHAR),
        ("type", TEXT),
        ("source", TEXT),
        ("subject", TEXT),
        ("created_at", TIMESTAMPTZ),
        ("correlationid", TEXT),
        ("causationid", TEXT),
        ("traceparent", TEXT),
        ("tracestate", TEXT),
        ("contenttype", TEXT),
        ("payload", BYTEA),
    ];

    fn relation(oid: u32, schema: &str, table: &str, columns: &[(&str, u32)]) -> Vec<u8> {
        let mut bytes = vec![b'R'];
        bytes.extend(oid.to_be_bytes());
        bytes.extend(format!("{schema}\0{table}\0d").into_bytes());
        bytes.extend(u16::try_from(columns.len()).unwrap().to_be_bytes());
        for (name, oid) in columns {
            bytes.push(0);
            bytes.extend(format!("{name}\0").into_bytes());
            bytes.extend(oid.to_be_bytes());
            bytes.extend(u32::MAX.to_be_bytes());
        }
        bytes
    }

    fn insertion(oid: u32, values: &[Option<&[u8]>]) -> Vec<u8> {
        let mut bytes = vec![b'I'];
        bytes.extend(oid.to_be_bytes());
        bytes.push(b'N');
        bytes.extend(u16::try_from(values.len()).unwrap().to_be_bytes());
        for value in values {
            match value {
                None => bytes.push(b'n'),
                Some(value) => {
                    bytes.push(b'b');
                    bytes.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
                    bytes.extend(*value);
                }
            }
        }
        bytes
    }

    fn outbox_row() -> Vec<u8> {
        let id = Uuid::from_u128(7);
        let values: [Option<&[u8]>; 15] = [
            Some(&42_i64.to_be_bytes()),
            Some(id.as_bytes()),
            Some(&[0, 0, 0, 1]),
            Some(b"store.orders"),
            Some(b"order-1"),
            Some(b"store.OrderCreated"),
            Some(b"/store"),
            Some("orders/ü".as_bytes()),
            Some(&848_570_400_123_456_i64.to_be_bytes()),
            Some(b"saga-1"),
            None,
            None,
            None,
            Some(b"application/json"),
            Some(&[0, 255, 16]),
        ];
        insertion(OID, &values)
    }

    #[test]
    fn a_row_is_read_by_the_names_of_its_columns() {
        let mut decoder = Decoder::default();
        assert!(decoder.decode(&relation(OID, "messaging", "outbox", &OUTBOX)).unwrap().is_none());
        let row = decoder.decode(&outbox_row()).unwrap().unwrap();
        assert_eq!((row.sequence, row.id), (42, Uuid::from_u128(7)));
        assert_eq!((row.aggregatetype(), row.aggregateid()), ("store.orders", "order-1"));
        assert_eq!((row.event_type(), row.subject()), ("store.OrderCreated", "orders/ü"));
        assert_eq!(row.created_at, datetime!(2026-11-21 10:00:00.123456 UTC));
        assert_eq!((row.correlationid(), row.causationid()), (Some("saga-1"), None));
        assert_eq!(row.payload, [0, 255, 16]);
    }

    #[test]
    fn other_tables_and_other_messages_are_passed_over() {
        let mut decoder = Decoder::default();
        decoder.decode(&relation(OID, "public", "outbox", &[("id", 23)])).unwrap();
        assert!(decoder.decode(&insertion(OID, &[Some(b"1")])).unwrap().is_none());
        assert!(decoder.decode(b"Twhatever").unwrap().is_none());
    }

    #[test]
    fn a_table_that_is_not_the_outbox_as_it_should_be_is_an_error() {
        let describe = |columns: &[(&str, u32)]| {
            Decoder::default().decode(&relation(OID, "messaging", "outbox", columns)).unwrap_err()
        };
        assert_eq!(describe(&OUTBOX[..14]), DecodeError::NoColumn("payload"));
        let mut changed = OUTBOX;
        changed[14].1 = TEXT;
        assert_eq!(describe(&changed), DecodeError::Type { column: "payload", oid: TEXT });
        assert_eq!(
            Decoder::default().decode(&outbox_row()).unwrap_err(),
            DecodeError::Undescribed(OID)
        );
    }

    #[test]
    fn a_missing_value_is_an_error_and_not_an_empty_one() {
        let mut decoder = Decoder::default();
        decoder.decode(&relation(OID, "messaging", "outbox", &OUTBOX)).unwrap();
        let row = insertion(OID, &[None; 15]);
        assert_eq!(decoder.decode(&row).unwrap_err(), DecodeError::NoValue("sequence"));
    }

    proptest! {
        #[test]
        fn damaged_messages_are_refused_without_a_panic(
            at in 0_usize..400,
            cut in 0_usize..400,
            byte in any::<u8>(),
        ) {
            let mut decoder = Decoder::default();
            for mut message in [relation(OID, "messaging", "outbox", &OUTBOX), outbox_row()] {
                if let Some(damaged) = message.get_mut(at) {
                    *damaged = byte;
                }
                message.truncate(message.len().saturating_sub(cut));
                let _ = decoder.decode(&message);
            }
        }
    }
}
