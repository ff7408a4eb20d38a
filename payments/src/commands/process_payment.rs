//! `ProcessPayment`: the caller pays.
//!
//! Why the provider is not called here. A pending payment is an amount that the provider holds. Deciding that it is paid
//! and telling the provider to charge it are two systems, so one of them comes first:
//! - charge first, then commit: a cancel that commits in between leaves a charge for a cancelled order, and a process
//!   killed in between leaves a charge that nobody knows of;
//! - commit first, then charge: the row lock lets either this command or the cancel decide, never both, and the row
//!   itself remembers (`paid`, not settled) that a capture is owed. The worker captures as soon as this has committed,
//!   and again after every failure and restart until the provider has said yes; the payment id is the idempotency key,
//!   so there is at most one charge. An amount that is held can always be captured, so the promise can be kept.
//!
//! So the second. A cancelled payment owes a void in the same way, and no payment ever owes both.

use messaging::{
    Context, outbox,
    requests::{self, Claim, RequestError},
    retry,
};
use proto::{
    PaymentId,
    store::payments::v1::{ProcessPaymentRequest, ProcessPaymentResponse},
};
use runtime::{fail_points::road, postgres};
use sqlx::{PgConnection, PgPool};
use tokio::sync::Notify;
use tracing::info;
use uuid::Uuid;

use crate::{
    domain::{IllegalTransition, Outcome, Payment, PaymentInput},
    store::payments,
};

/// The rpc's full name.
const RPC: &str = "store.payments.v1.PaymentService/ProcessPayment";

/// What the caller wants paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessPayment {
    /// Which payment.
    pub payment_id: PaymentId,
    /// Makes a repetition safe, see [`requests`].
    pub request_id: Option<Uuid>,
}

/// Why a payment was not paid.
#[derive(Debug, thiserror::Error)]
pub enum ProcessPaymentError {
    /// There is no such payment.
    #[error("no payment {0}")]
    NoSuchPayment(PaymentId),
    /// It is not pending, nor paid.
    #[error("payment {payment_id} cannot be processed")]
    NotPending {
        /// Which payment.
        payment_id: PaymentId,
        /// In which state it is.
        #[source]
        source: IllegalTransition,
    },
    /// The request id cannot be claimed.
    #[error("the request id cannot be claimed")]
    Request(#[from] RequestError),
    /// The database failed.
    #[error("a statement failed")]
    Store(#[from] sqlx::Error),
}

/// Pays a pending payment, and announces `PaymentProcessed`. One that is paid is answered as it is.
///
/// # Errors
/// [`ProcessPaymentError`].
pub async fn process_payment(
    pool: &PgPool,
    wake_worker: &Notify,
    command: ProcessPayment,
) -> Result<ProcessPaymentResponse, ProcessPaymentError> {
    retry::until_known(|_| attempt(pool, wake_worker, command)).await
}

async fn attempt(
    pool: &PgPool,
    wake_worker: &Notify,
    command: ProcessPayment,
) -> Result<ProcessPaymentResponse, ProcessPaymentError> {
    let ProcessPayment { payment_id, request_id } = command;
    let request =
        ProcessPaymentRequest { payment_id: payment_id.to_string(), request_id: String::new() };
    let mut transaction = postgres::begin(pool).await?;
    postgres::set_statement_timeout(&mut transaction).await?;
    let ticket = match requests::claim(&mut transaction, RPC, request_id, &request).await? {
        Claim::New(ticket) => ticket,
        Claim::Answered(answer) => return Ok(answer),
    };
    let (payment, cause) = payments::lock(&mut transaction, payment_id)
        .await?
        .ok_or(ProcessPaymentError::NoSuchPayment(payment_id))?;
    let outcome = payment
        .apply(PaymentInput::ProcessPayment)
        .map_err(|source| ProcessPaymentError::NotPending { payment_id, source })?;
    let context = Context::start(cause.correlation_id);
    let payment = write(&mut transaction, &context, outcome).await?;
    let answer = ProcessPaymentResponse { payment: Some(payment.into()) };
    requests::answer(&mut transaction, ticket, &answer).await?;
    postgres::commit(transaction, road::PROCESS_PAYMENT).await?;
    wake_worker.notify_one();
    info!(payment.id = %payment_id, "payment answered as paid");
    Ok(answer)
}

async fn write(
    connection: &mut PgConnection,
    context: &Context,
    outcome: Outcome,
) -> sqlx::Result<Payment> {
    match outcome {
        Outcome::Changed { payment, announcement } => {
            let payment = payments::update(connection, payment).await?;
            if let Some(announcement) = announcement {
                outbox::append(connection, context, &announcement).await?;
            }
            Ok(payment)
        }
        Outcome::AlreadyDone(payment) | Outcome::TooLate(payment) => Ok(payment),
    }
}
