//! Reading requests: each field once, all wrong ones named in one answer.

use proto::store::payments::v1::{
    GetPaymentRequest, ListPaymentsRequest, ProcessPaymentRequest, get_payment_request::Id,
    payment::State,
};
use runtime::grpc::{
    page::Page,
    request::{InvalidRequest, Violations},
};
use tonic::Request;

use crate::{
    commands::ProcessPayment, domain::PaymentState, queries::PaymentKey,
    store::payments::PaymentFilter,
};

pub(super) fn process_payment(
    request: &Request<ProcessPaymentRequest>,
) -> Result<ProcessPayment, InvalidRequest> {
    let fields = request.get_ref();
    let mut violations = Violations::default();
    let payment_id = violations.check("payment_id", fields.payment_id.parse());
    let request_id = violations.request_id(request.metadata(), &fields.request_id);
    violations.finish(|| Some(ProcessPayment { payment_id: payment_id?, request_id: request_id? }))
}

pub(super) fn get_payment(request: &GetPaymentRequest) -> Result<PaymentKey, InvalidRequest> {
    let mut violations = Violations::default();
    let key = match &request.id {
        Some(Id::PaymentId(text)) => {
            violations.check("payment_id", text.parse()).map(PaymentKey::Payment)
        }
        Some(Id::OrderId(text)) => {
            violations.check("order_id", text.parse()).map(PaymentKey::Order)
        }
        None => {
            violations.add("id", "must be a payment_id or an order_id");
            None
        }
    };
    violations.finish(|| key)
}

pub(super) fn list_payments(
    request: &ListPaymentsRequest,
) -> Result<(PaymentFilter, Page), InvalidRequest> {
    let mut violations = Violations::default();
    let user_id = match request.user_id.as_str() {
        "" => Some(None),
        text => violations.check("user_id", text.parse()).map(Some),
    };
    let state = state(&mut violations, request.state);
    let filter = ListPaymentsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let page = Page::parse(&mut violations, request.page_size, &request.page_token, &filter);
    violations.finish(|| Some((PaymentFilter { user_id: user_id?, state: state? }, page?)))
}

/// `Some(None)` where any state will do.
fn state(violations: &mut Violations, number: i32) -> Option<Option<PaymentState>> {
    match State::try_from(number) {
        Ok(State::Unspecified) => Some(None),
        Ok(State::Requested) => Some(Some(PaymentState::Requested)),
        Ok(State::Pending) => Some(Some(PaymentState::Pending)),
        Ok(State::Paid) => Some(Some(PaymentState::Paid)),
        Ok(State::Refused) => Some(Some(PaymentState::Refused)),
        Ok(State::Cancelled) => Some(Some(PaymentState::Cancelled)),
        Err(_) => {
            violations.add("state", "must be a state of Payment.State");
            None
        }
    }
}
