//! What is told of a payment: the events of `store.payments.events.v1`.

use proto::store::payments::events::v1::{
    PaymentCancelled, PaymentCreated, PaymentCreationFailed, PaymentEvent, PaymentProcessed,
};

use crate::domain::Payment;

pub(crate) fn payment_created(payment: &Payment) -> PaymentEvent {
    PaymentCreated {
        order_id: payment.order_id.to_string(),
        payment_id: payment.payment_id.to_string(),
        user_id: payment.user_id.to_string(),
        amount: Some(payment.amount.into()),
        payment_link: payment.payment_link.clone().unwrap_or_default(),
    }
    .into()
}

pub(crate) fn payment_creation_failed(payment: &Payment, reason: String) -> PaymentEvent {
    PaymentCreationFailed {
        order_id: payment.order_id.to_string(),
        payment_id: payment.payment_id.to_string(),
        reason,
    }
    .into()
}

pub(crate) fn payment_processed(payment: &Payment) -> PaymentEvent {
    PaymentProcessed {
        order_id: payment.order_id.to_string(),
        payment_id: payment.payment_id.to_string(),
        user_id: payment.user_id.to_string(),
        amount: Some(payment.amount.into()),
    }
    .into()
}

pub(crate) fn payment_cancelled(payment: &Payment) -> PaymentEvent {
    PaymentCancelled {
        order_id: payment.order_id.to_string(),
        payment_id: payment.payment_id.to_string(),
    }
    .into()
}
