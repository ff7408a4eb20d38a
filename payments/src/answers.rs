//! A payment as callers see it: `store.payments.v1.Payment`.

use proto::store::payments::v1::{self, payment::State};
use time::OffsetDateTime;

use crate::domain::{Payment, PaymentState};

impl From<PaymentState> for State {
    fn from(state: PaymentState) -> Self {
        match state {
            // Until the worker has voided, callers see that the provider has not answered.
            PaymentState::Requested | PaymentState::CancelRequested => Self::Requested,
            PaymentState::Pending => Self::Pending,
            PaymentState::Paid => Self::Paid,
            PaymentState::Refused => Self::Refused,
            PaymentState::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Payment> for v1::Payment {
    fn from(payment: Payment) -> Self {
        Self {
            payment_id: payment.payment_id.to_string(),
            order_id: payment.order_id.to_string(),
            user_id: payment.user_id.to_string(),
            amount: Some(payment.amount.into()),
            state: State::from(payment.state).into(),
            payment_link: payment.payment_link.unwrap_or_default(),
            create_time: Some(timestamp(payment.created_at)),
            update_time: Some(timestamp(payment.updated_at)),
        }
    }
}

fn timestamp(at: OffsetDateTime) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.nanosecond()).expect("a second has less than 2^31 nanoseconds");
    prost_types::Timestamp { seconds: at.unix_timestamp(), nanos }
}
