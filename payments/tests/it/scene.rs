//! What the tests play with: a database, the handler as the consumer calls it, the worker's step, and what can be seen.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use lab::stack::Stack;
use messaging::{HandleError, Handler, Record, inbox};
use payments::{
    commands::{self, ProcessPayment, ProcessPaymentError},
    domain::{Payment, PaymentState},
    grpc::PaymentsGrpc,
    handlers::PaymentsHandler,
    metrics::PaymentsMetrics,
    provider::{Provider, SimulatedProvider, SimulatedProviderOptions},
    service::migrate,
    store::payments as rows,
    worker::{SettleError, settle},
};
use proto::{
    Currency, Event, Money, OrderId, PaymentId, UserId,
    store::{
        orders::events::v1::{OrderCancellationRequested, OrderEvent},
        payments::v1::ProcessPaymentResponse,
        stock::events::v1::{StockDecreased, StockEvent},
    },
};
use runtime::postgres;
use sqlx::{PgPool, Row as _};
use tokio::sync::Notify;
use uuid::Uuid;

pub(crate) const DECLINE_ABOVE_MINOR: i64 = 1_000_000;
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// An order as payments hears of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) order_id: OrderId,
    pub(crate) user_id: UserId,
    pub(crate) total: Money,
}

impl Order {
    pub(crate) fn new() -> Self {
        Self::of(7_100)
    }

    /// One that the provider refuses.
    pub(crate) fn too_expensive() -> Self {
        Self::of(DECLINE_ABOVE_MINOR + 1)
    }

    fn of(amount_minor: i64) -> Self {
        let total = Money::new(amount_minor, Currency::CAD);
        Self { order_id: OrderId::new(), user_id: UserId::new(), total }
    }

    pub(crate) fn stock_decreased(&self) -> Record {
        self.record(&StockEvent::from(StockDecreased {
            order_id: self.order_id.to_string(),
            user_id: self.user_id.to_string(),
            total: Some(self.total.into()),
            lines: Vec::new(),
        }))
    }

    pub(crate) fn cancellation_requested(&self) -> Record {
        self.record(&OrderEvent::from(OrderCancellationRequested {
            order_id: self.order_id.to_string(),
            user_id: self.user_id.to_string(),
            total: Some(self.total.into()),
        }))
    }

    fn record<E: Event>(&self, event: &E) -> Record {
        let key = self.order_id.to_string();
        let event_id = Uuid::now_v7().to_string();
        let headers = [
            ("ce_id", event_id.as_str()),
            ("ce_correlationid", &key),
            ("traceparent", TRACEPARENT),
        ];
        record(E::TOPIC, &key, &headers, event.encode_to_vec())
    }
}

pub(crate) fn record(topic: &str, key: &str, headers: &[(&str, &str)], payload: Vec<u8>) -> Record {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec())))
        .collect();
    Record {
        topic: topic.to_owned(),
        partition: 0,
        offset: 0,
        key: Some(key.as_bytes().to_vec()),
        headers,
        payload: Some(payload),
    }
}

/// What was announced: a row of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) name: String,
    pub(crate) correlation_id: Option<String>,
    pub(crate) causation_id: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) payload: Vec<u8>,
}

/// A migrated database and the service's parts over it.
pub(crate) struct Scene {
    pub(crate) database_url: String,
    pub(crate) pool: PgPool,
    pub(crate) wake: Arc<Notify>,
    pub(crate) provider: SimulatedProvider,
    pub(crate) metrics: PaymentsMetrics,
    handler: PaymentsHandler,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let stack = Stack::shared().await.unwrap();
        let migrated = stack.template("payments", async |url| {
            let pool = PgPool::connect(&url).await?;
            migrate(&pool).await?;
            pool.close().await;
            Ok::<_, anyhow::Error>(())
        });
        migrated.await.unwrap();
        let database_url = stack.database_from_template("payments").await.unwrap();
        let pool = PgPool::connect(&database_url).await.unwrap();
        let wake = Arc::new(Notify::new());
        Self {
            database_url,
            provider: SimulatedProvider::new(pool.clone(), &provider_options()),
            metrics: PaymentsMetrics::default(),
            handler: PaymentsHandler::new(Arc::clone(&wake)),
            pool,
            wake,
        }
    }

    pub(crate) fn grpc(&self) -> PaymentsGrpc {
        PaymentsGrpc::new(self.pool.clone(), Arc::clone(&self.wake))
    }

    /// Handles a record as the consumer does.
    pub(crate) async fn deliver(&self, record: &Record) -> Result<(), HandleError> {
        let mut transaction = postgres::begin(&self.pool).await?;
        if inbox::remember(&mut transaction, record.event_id().unwrap()).await? {
            self.handler.handle(&mut transaction, record).await?;
        }
        transaction.commit().await?;
        self.handler.committed(&[record]);
        Ok(())
    }

    /// The same without the inbox: the state alone must do.
    pub(crate) async fn deliver_unremembered(&self, record: &Record) -> Result<(), HandleError> {
        let mut transaction = postgres::begin(&self.pool).await?;
        self.handler.handle(&mut transaction, record).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// What the worker does for one order, if anything is owed for it.
    pub(crate) async fn settle(&self, order_id: OrderId) -> Result<(), SettleError> {
        self.settle_with(&self.provider, order_id).await
    }

    pub(crate) async fn settle_with(
        &self,
        provider: &impl Provider,
        order_id: OrderId,
    ) -> Result<(), SettleError> {
        let owed = rows::owed(&self.pool, 1_000).await?;
        for (payment, cause) in owed {
            if payment.order_id == order_id {
                settle(&self.pool, provider, TIMEOUT, &self.metrics, &payment, &cause).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn process(
        &self,
        payment_id: PaymentId,
        request_id: Option<Uuid>,
    ) -> Result<ProcessPaymentResponse, ProcessPaymentError> {
        let command = ProcessPayment { payment_id, request_id };
        commands::process_payment(&self.pool, &self.wake, command).await
    }

    /// Brings the payment of a new order to `state`, on the usual way.
    pub(crate) async fn order_in(&self, state: PaymentState) -> Order {
        let order = match state {
            PaymentState::Refused => Order::too_expensive(),
            PaymentState::Requested
            | PaymentState::CancelRequested
            | PaymentState::Pending
            | PaymentState::Paid
            | PaymentState::Cancelled => Order::new(),
        };
        self.deliver(&order.stock_decreased()).await.unwrap();
        match state {
            PaymentState::Requested => {}
            PaymentState::CancelRequested => {
                self.deliver(&order.cancellation_requested()).await.unwrap();
            }
            PaymentState::Pending | PaymentState::Refused => {
                self.settle(order.order_id).await.unwrap();
            }
            PaymentState::Paid => {
                self.settle(order.order_id).await.unwrap();
                self.process(self.payment(order.order_id).await.payment_id, None).await.unwrap();
            }
            PaymentState::Cancelled => {
                self.settle(order.order_id).await.unwrap();
                self.deliver(&order.cancellation_requested()).await.unwrap();
            }
        }
        assert_eq!(self.payment(order.order_id).await.state, state);
        order
    }

    pub(crate) async fn find(&self, order_id: OrderId) -> Option<Payment> {
        rows::get_by_order(&self.pool, order_id).await.unwrap()
    }

    pub(crate) async fn payment(&self, order_id: OrderId) -> Payment {
        self.find(order_id).await.unwrap()
    }

    /// What was announced of an order, in the order of the outbox.
    pub(crate) async fn announced(&self, order_id: OrderId) -> Vec<Announced> {
        let rows = sqlx::query(
            "SELECT type, correlationid, causationid, traceparent, payload
             FROM messaging.outbox WHERE aggregateid = $1 ORDER BY sequence",
        )
        .bind(order_id.to_string())
        .fetch_all(&self.pool)
        .await
        .unwrap();
        rows.into_iter()
            .map(|row| Announced {
                name: row.get::<String, _>("type").rsplit('.').next().unwrap().to_owned(),
                correlation_id: row.get("correlationid"),
                causation_id: row.get("causationid"),
                traceparent: row.get("traceparent"),
                payload: row.get("payload"),
            })
            .collect()
    }

    pub(crate) async fn announced_names(&self, order_id: OrderId) -> Vec<String> {
        self.announced(order_id).await.into_iter().map(|announced| announced.name).collect()
    }

    /// The provider's entries for an order, in their order.
    pub(crate) async fn ledger(&self, order_id: OrderId) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT kind FROM simulated_provider.ledger WHERE order_id = $1 ORDER BY entry_id",
        )
        .bind(order_id.0)
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// How many rows a table has.
    pub(crate) async fn written(&self) -> (i64, i64, i64) {
        sqlx::query_as(
            "SELECT (SELECT count(*) FROM messaging.outbox), (SELECT count(*) FROM messaging.requests),
                    (SELECT count(*) FROM payments.payments)",
        )
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }
}

pub(crate) fn provider_options() -> SimulatedProviderOptions {
    SimulatedProviderOptions {
        provider_decline_above_minor: Some(DECLINE_ABOVE_MINOR),
        provider_decline_users: Vec::new(),
        provider_delay_ms: 0,
        provider_link_prefix: String::from("https://pay.example/"),
    }
}

/// Polls `future` so many times and then drops it where it stands, as a killed process would. `None` if that was before
/// its end.
pub(crate) async fn killed_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Waits until `reached` says so.
pub(crate) async fn eventually(what: &str, reached: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !reached().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "never: {what}");
}
