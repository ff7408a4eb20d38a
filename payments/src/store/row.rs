//! A row of `payments.payments` as it is read, and what it says.

use messaging::Context;
use proto::{Money, OrderId, PaymentId, UserId};
use runtime::trace::TraceContext;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Payment, PaymentState};

pub(super) struct PaymentRow {
    pub(super) payment_id: Uuid,
    pub(super) order_id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) amount_minor: i64,
    pub(super) currency: String,
    pub(super) state: String,
    pub(super) cancel_requested: bool,
    pub(super) payment_link: Option<String>,
    pub(super) settled_at: Option<OffsetDateTime>,
    pub(super) correlation_id: String,
    pub(super) causation_id: Option<Uuid>,
    pub(super) traceparent: Option<String>,
    pub(super) tracestate: Option<String>,
    pub(super) created_at: OffsetDateTime,
    pub(super) updated_at: OffsetDateTime,
}

impl PaymentRow {
    /// The payment, and what the worker's next announcement of it inherits.
    pub(super) fn read(self) -> sqlx::Result<(Payment, Context)> {
        let currency = self.currency.parse().map_err(|error| undecodable("currency", error))?;
        let payment = Payment {
            payment_id: PaymentId(self.payment_id),
            order_id: OrderId(self.order_id),
            user_id: UserId(self.user_id),
            amount: Money::new(self.amount_minor, currency),
            state: parse_state(&self.state, self.cancel_requested)?,
            payment_link: self.payment_link,
            settled: self.settled_at.is_some(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        let cause = Context {
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            trace: TraceContext { traceparent: self.traceparent, tracestate: self.tracestate },
        };
        Ok((payment, cause))
    }
}

/// The columns `state` and `cancel_requested` of a state.
pub(super) fn state_columns(state: PaymentState) -> (&'static str, bool) {
    match state {
        PaymentState::Requested => ("requested", false),
        PaymentState::CancelRequested => ("requested", true),
        PaymentState::Pending => ("pending", false),
        PaymentState::Paid => ("paid", false),
        PaymentState::Refused => ("refused", false),
        PaymentState::Cancelled => ("cancelled", false),
    }
}

fn parse_state(state: &str, cancel_requested: bool) -> sqlx::Result<PaymentState> {
    PaymentState::ALL
        .into_iter()
        .find(|known| state_columns(*known) == (state, cancel_requested))
        .ok_or_else(|| undecodable("state", format!("unknown state {state}")))
}

fn undecodable(
    column: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_read_as_it_was_written() {
        for state in PaymentState::ALL {
            let (column, cancel_requested) = state_columns(state);
            assert_eq!(parse_state(column, cancel_requested).unwrap(), state);
        }
        assert!(parse_state("paid", true).is_err());
    }
}
