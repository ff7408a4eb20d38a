//! A record as it came from Kafka, and what its CloudEvents headers say.

use proto::Event;
use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
};
use runtime::trace::TraceContext;
use uuid::Uuid;

use crate::{Context, HandleError};

pub(crate) const CE_ID: &str = "ce_id";
pub(crate) const CE_TYPE: &str = "ce_type";
pub(crate) const CE_CORRELATION_ID: &str = "ce_correlationid";
pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";
/// Where Debezium's EventRouter puts the event's id unless told otherwise.
const DEBEZIUM_ID: &str = "id";

/// A record of a topic, owned.
#[derive(Clone, Debug)]
pub struct Record {
    /// The topic it stands on.
    pub topic: String,
    /// The partition it stands in.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its key, byte for byte.
    pub key: Option<Vec<u8>>,
    /// Its headers in their order, byte for byte.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Its value; `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
}

impl Record {
    /// The event's id: header `ce_id`, else `id`. `None` if there is none, or one that is no UUID.
    #[must_use]
    pub fn event_id(&self) -> Option<Uuid> {
        let text = self.header(CE_ID).or_else(|| self.header(DEBEZIUM_ID))?;
        Uuid::try_parse(text).ok()
    }

    /// The event's full type name, header `ce_type`.
    #[must_use]
    pub fn event_type(&self) -> Option<&str> {
        self.header(CE_TYPE)
    }

    /// The key as text; `None` if there is none or it is not UTF-8.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        std::str::from_utf8(self.key.as_deref()?).ok()
    }

    /// The value of the first header of this name. Debezium writes headers as JSON: what it quoted comes without the
    /// quotes, and its `null`, for a column that is NULL, is no value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        let text = std::str::from_utf8(value.as_deref()?).ok()?;
        let unquoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Some(unquoted.unwrap_or(text)).filter(|_| text != "null")
    }

    /// Reads the payload as the topic's message.
    ///
    /// # Errors
    /// [`HandleError::Undecodable`] if it is none.
    pub fn decode<E: Event>(&self) -> Result<E, HandleError> {
        Ok(E::decode(self.payload.as_deref().unwrap_or_default())?)
    }

    /// The trace this record continues.
    #[must_use]
    pub fn trace(&self) -> TraceContext {
        TraceContext {
            traceparent: self.header(TRACEPARENT).map(str::to_owned),
            tracestate: self.header(TRACESTATE).map(str::to_owned),
        }
    }

    /// What an event appended by this record's handler inherits: the same saga, this event as its cause, and the trace
    /// of the current span, or the record's own where no span is recorded.
    #[must_use]
    pub fn context(&self) -> Context {
        let causation_id = self.event_id();
        let current = TraceContext::current();
        Context {
            correlation_id: self
                .header(CE_CORRELATION_ID)
                .map(str::to_owned)
                .or_else(|| causation_id.map(|id| id.to_string()))
                .unwrap_or_default(),
            causation_id,
            trace: if current.traceparent.is_some() { current } else { self.trace() },
        }
    }
}

impl From<&BorrowedMessage<'_>> for Record {
    fn from(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect()
        });
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            headers,
            payload: message.payload().map(<[u8]>::to_vec),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(headers: &[(&str, &str)]) -> Record {
        Record {
            topic: String::from("topic"),
            partition: 0,
            offset: 0,
            key: None,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec())))
                .collect(),
            payload: None,
        }
    }

    #[test]
    fn the_event_id_is_ce_id_else_debeziums_id() {
        let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
        let both = record(&[("id", &second.to_string()), ("ce_id", &first.to_string())]);
        assert_eq!(both.event_id(), Some(first));
        let debezium = record(&[("id", &format!("\"{second}\""))]);
        assert_eq!(debezium.event_id(), Some(second));
        assert_eq!(record(&[("ce_id", "17")]).event_id(), None);
        assert_eq!(record(&[]).event_id(), None);
    }

    #[test]
    fn a_header_of_debezium_is_what_its_json_says() {
        let debezium = record(&[("ce_id", "null"), ("ce_type", "\"store.OrderCreated\"")]);
        assert_eq!((debezium.header("ce_id"), debezium.event_id()), (None, None));
        assert_eq!(debezium.event_type(), Some("store.OrderCreated"));
        let ours = record(&[("ce_type", "store.OrderCreated"), ("tracestate", "")]);
        assert_eq!(
            (ours.event_type(), ours.header("tracestate")),
            (Some("store.OrderCreated"), Some(""))
        );
    }

    #[test]
    fn a_saga_that_debezium_tells_of_inherits_nothing_from_columns_that_are_null() {
        let context = record(&[
            ("ce_id", &format!("\"{}\"", Uuid::now_v7())),
            ("ce_correlationid", "\"saga\""),
            ("traceparent", "null"),
            ("tracestate", "null"),
        ])
        .context();
        assert_eq!(context.correlation_id, "saga");
        assert_eq!((context.trace.traceparent, context.trace.tracestate), (None, None));
    }

    #[test]
    fn an_event_inherits_the_saga_the_cause_and_the_trace() {
        let id = Uuid::now_v7();
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = record(&[
            ("ce_id", &id.to_string()),
            ("ce_correlationid", "saga"),
            ("traceparent", traceparent),
        ])
        .context();
        assert_eq!(context.correlation_id, "saga");
        assert_eq!(context.causation_id, Some(id));
        assert_eq!(context.trace.traceparent.as_deref(), Some(traceparent));
    }
}
