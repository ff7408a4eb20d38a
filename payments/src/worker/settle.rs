//! One payment brought to agreement: ask the provider, then, in one transaction, decide, write and announce.

use std::{error::Error, time::Duration};

use messaging::{Context, outbox};
use proto::PaymentId;
use runtime::{
    fail_points::{self, Injected, road},
    postgres,
    trace::{self, TraceContext},
};
use sqlx::PgPool;
use tokio::time::{Instant, error::Elapsed};
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use crate::{
    domain::{IllegalTransition, Outcome, Payment, PaymentInput, ProviderCall},
    metrics::{CallOutcome, PaymentsMetrics},
    provider::{Authorisation, Charge, Provider, ProviderError},
    store::payments,
};

/// Why a payment was not settled.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The provider did not do as asked.
    #[error("the provider failed")]
    Provider(#[from] ProviderError),
    /// The provider did not answer in time; it may have done as asked.
    #[error("the provider did not answer in time")]
    TimedOut(#[from] Elapsed),
    /// The provider's answer cannot be one to what it was asked.
    #[error("the provider's answer does not fit the payment")]
    Impossible(#[from] IllegalTransition),
    /// The database failed; the answer is to be asked for again.
    #[error("a statement failed")]
    Store(#[from] sqlx::Error),
}

impl SettleError {
    /// Logs what came between: a contradiction wants somebody, the rest mends itself.
    pub(super) fn log(&self, payment_id: PaymentId) {
        match self {
            Self::Provider(ProviderError::Contradiction(_)) | Self::Impossible(_) => {
                error!(payment.id = %payment_id, error = self as &dyn Error, "payment needs attention");
            }
            Self::Provider(ProviderError::Unavailable(_)) | Self::TimedOut(_) | Self::Store(_) => {
                warn!(payment.id = %payment_id, error = self as &dyn Error, "payment not settled, trying again");
            }
        }
    }

    fn outcome(&self) -> CallOutcome {
        match self {
            Self::TimedOut(_) => CallOutcome::TimedOut,
            Self::Provider(ProviderError::Unavailable(_)) => CallOutcome::Unavailable,
            Self::Provider(ProviderError::Contradiction(_)) | Self::Impossible(_) => {
                CallOutcome::Contradiction
            }
            Self::Store(_) => CallOutcome::Unavailable,
        }
    }
}

/// Calls the provider as `payment` owes it, and records the answer. Answers the payment as it is then.
///
/// # Errors
/// [`SettleError`]; the call is still owed then.
pub async fn settle(
    pool: &PgPool,
    provider: &impl Provider,
    timeout: Duration,
    metrics: &PaymentsMetrics,
    payment: &Payment,
    cause: &Context,
) -> Result<Payment, SettleError> {
    let Some(call) = payment.owed_call() else { return Ok(payment.clone()) };
    let span = info_span!(
        "settle payment",
        otel.name = %format_args!("{} payment", call.name()),
        order.id = %payment.order_id,
        payment.id = %payment.payment_id,
    );
    trace::set_parent(&span, &cause.trace);
    async {
        let begun = Instant::now();
        let charge = payment.into();
        let asked = past_fail_points(ask(provider, call, &charge));
        let answer = tokio::time::timeout(timeout, asked).await;
        let answer = answer.map_err(SettleError::from).and_then(|answer| Ok(answer?));
        let outcome = answer.as_ref().map_or_else(SettleError::outcome, |_| CallOutcome::Answered);
        metrics.called(call, outcome, begun.elapsed());
        record(pool, metrics, payment.payment_id, answer?).await
    }
    .instrument(span)
    .await
}

/// Makes a call, past the fail points before and after: one that fails there is a provider that is not there.
async fn past_fail_points<T>(
    call: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    let unavailable = |injected: Injected| ProviderError::Unavailable(injected.into());
    fail_points::pass(road::WORKER_CALLING).await.map_err(unavailable)?;
    let answer = call.await?;
    fail_points::pass(road::WORKER_CALLED).await.map_err(unavailable)?;
    Ok(answer)
}

async fn ask(
    provider: &impl Provider,
    call: ProviderCall,
    charge: &Charge,
) -> Result<PaymentInput, ProviderError> {
    match call {
        ProviderCall::Authorise => Ok(match provider.authorise(charge).await? {
            Authorisation::Accepted { payment_link } => {
                PaymentInput::ProviderAccepted { payment_link }
            }
            Authorisation::Refused { reason } => PaymentInput::ProviderRefused { reason },
        }),
        ProviderCall::Capture => {
            provider.capture(charge).await.map(|()| PaymentInput::ProviderCaptured)
        }
        ProviderCall::Void => provider.void(charge).await.map(|()| PaymentInput::ProviderVoided),
    }
}

async fn record(
    pool: &PgPool,
    metrics: &PaymentsMetrics,
    payment_id: PaymentId,
    input: PaymentInput,
) -> Result<Payment, SettleError> {
    let input_name = input.name();
    let mut transaction = postgres::begin(pool).await?;
    let (payment, cause) =
        payments::lock(&mut transaction, payment_id).await?.ok_or(sqlx::Error::RowNotFound)?;
    match payment.apply(input)? {
        Outcome::Changed { payment, announcement } => {
            let payment = payments::update(&mut transaction, payment).await?;
            if let Some(announcement) = announcement {
                outbox::append(&mut transaction, &in_current_trace(cause), &announcement).await?;
            }
            postgres::commit(transaction, road::WORKER).await?;
            metrics.settled(payment.state);
            info!(payment.state = %payment.state, input = input_name, "payment settled");
            Ok(payment)
        }
        Outcome::AlreadyDone(payment) | Outcome::TooLate(payment) => {
            debug!(payment.state = %payment.state, input = input_name, "answer changes nothing");
            Ok(payment)
        }
    }
}

/// The cause with the trace of the current span, or its own where no span is recorded.
fn in_current_trace(cause: Context) -> Context {
    let current = TraceContext::current();
    Context { trace: if current.traceparent.is_some() { current } else { cause.trace }, ..cause }
}
