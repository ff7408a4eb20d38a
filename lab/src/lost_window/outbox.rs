//! Our store: an outbox, and a relay. The services and the relay are the real ones, and die at their fail points.

use std::time::Duration;

use indicatif::ProgressBar;
use proto::store::{
    orders::v1::{
        CreateOrderRequest, Order, create_order_request::Line,
        order_service_client::OrderServiceClient,
    },
    payments::v1::{ProcessPaymentRequest, payment_service_client::PaymentServiceClient},
    stock::v1::{AdjustStockRequest, stock_service_client::StockServiceClient},
};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};
use tonic::{Status, transport::Channel};
use uuid::Uuid;

use super::{Kill, LostWindowError, Moment, Outcome, tally::Books};
use crate::{processes::Service, stack::Stack, system::System};

/// Ada Lovelace orders keyboards.
const USER: &str = "01990000-0000-7000-8000-000000000001";
const PRODUCT: &str = "01990000-0000-7000-9000-000000000002";
/// More of them than are ordered.
const PLENTY: i64 = 1_000_000;

/// Kills after which the store is left in peace until every order is paid.
const ROUND: usize = 30;
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(20);

const ORDER_COMMITTED: &str = "create_order.committed=abort";
/// With the first page of either database: the order's event, or one that came before.
const EVENT_READ: &str = "relay.read=abort";
const PAYMENT_COMMITTED: &str = "process_payment.committed=abort";

/// A commit that no caller waits for: where it is, and a count that goes up by it.
struct Step<'a> {
    service: &'a Service,
    database: &'a str,
    point: &'static str,
    count: &'static str,
}

/// Kills it with each order, leaves it in peace, and counts.
pub(super) async fn play(
    stack: &Stack,
    kills: &[Kill],
    bar: &ProgressBar,
) -> Result<Outcome, LostWindowError> {
    let ours = Ours { system: System::start(stack).await? };
    StockServiceClient::new(ours.system.store_manager.channel()).adjust_stock(plenty()).await?;
    let units = ours.books().units().await?;
    for round in kills.chunks(ROUND) {
        ours.round(round, bar).await?;
    }
    ours.books().judge(units, PATIENCE).await
}

/// So much more stock that no order is short.
pub(super) fn plenty() -> AdjustStockRequest {
    AdjustStockRequest {
        product_id: PRODUCT.to_owned(),
        quantity_delta: PLENTY,
        request_id: String::new(),
    }
}

/// What a kill's caller asks for.
pub(super) fn order(kill: &Kill) -> CreateOrderRequest {
    CreateOrderRequest {
        user_id: USER.to_owned(),
        lines: vec![Line { product_id: PRODUCT.to_owned(), quantity: kill.quantity }],
        request_id: kill.request_id.to_string(),
    }
}

/// Asks for an order once.
pub(super) async fn place(channel: Channel, order: CreateOrderRequest) -> Result<Order, Status> {
    let answer = OrderServiceClient::new(channel).create_order(order).await?;
    Ok(answer.into_inner().order.unwrap_or_default())
}

struct Ours {
    system: System,
}

impl Ours {
    fn books(&self) -> Books<'_> {
        Books {
            orders: self.system.store_manager_database(),
            payments: self.system.payments_database(),
            brokers: self.system.kafka().brokers(),
        }
    }

    /// Some kills, then peace until each order is paid or nothing moves any more.
    async fn round(&self, kills: &[Kill], bar: &ProgressBar) -> Result<(), LostWindowError> {
        let System { store_manager, payments, .. } = &self.system;
        for kill in kills.iter().filter(|kill| kill.moment == Moment::Payment) {
            place(store_manager.channel(), order(kill)).await?;
        }
        self.until_all_can_be_paid().await?;
        for kill in kills {
            match kill.moment {
                Moment::Order => self.kill_with_order(kill).await?,
                Moment::Event => self.kill_relay(kill).await?,
                Moment::Stock => self.kill_with_step(kill, self.taking_stock()).await?,
                Moment::Request => self.kill_with_step(kill, self.requesting_payment()).await?,
                Moment::Answer => self.kill_with_step(kill, self.writing_answer()).await?,
                Moment::Payment => self.kill_with_payment(kill).await?,
            }
            bar.inc(1);
        }
        self.until_all_can_be_paid().await?;
        for kill in kills {
            pay(payments, self.payment_of(kill).await?, kill).await?;
        }
        self.until_none(
            self.books().orders,
            "orders that are not paid",
            "SELECT count(*) FROM store_manager.orders WHERE NOT is_paid",
        )
        .await?;
        self.until_none(
            self.books().payments,
            "payments that the provider is yet to be told of",
            "SELECT count(*) FROM payments.payments WHERE settled_at IS NULL",
        )
        .await
    }

    /// The order is committed; neither its caller nor Kafka has been told.
    async fn kill_with_order(&self, kill: &Kill) -> Result<(), LostWindowError> {
        let service = &self.system.store_manager;
        restart_failing(service, ORDER_COMMITTED).await?;
        if place(service.channel(), order(kill)).await.is_ok() {
            return Err(LostWindowError::Alive("store-manager"));
        }
        dies(service).await?;
        service.start().await?;
        // The caller who has had no answer asks again: under the same request id that is the same order.
        place(service.channel(), order(kill)).await?;
        Ok(())
    }

    /// The order's event is read from the outbox; Kafka has not been told.
    async fn kill_relay(&self, kill: &Kill) -> Result<(), LostWindowError> {
        let relay = &self.system.relay;
        relay.stop().await?;
        place(self.system.store_manager.channel(), order(kill)).await?;
        relay.start_failing(EVENT_READ).await?;
        dies(relay).await?;
        Ok(relay.start().await?)
    }

    /// A step of the order's saga is committed; the record that led to it will come again, or the provider be asked again.
    async fn kill_with_step(&self, kill: &Kill, step: Step<'_>) -> Result<(), LostWindowError> {
        let store_manager = &self.system.store_manager;
        self.until_all_can_be_paid().await?;
        self.books().rest(PATIENCE).await?;
        let before = count(step.database, step.count).await?;
        restart_failing(step.service, step.point).await?;
        // Where store-manager is the one to die, its caller has an answer or none.
        let _ = place(store_manager.channel(), order(kill)).await;
        dies(step.service).await?;
        if count(step.database, step.count).await? != before + 1 {
            return Err(LostWindowError::Elsewhere(step.service.options().program.name()));
        }
        step.service.start().await?;
        place(store_manager.channel(), order(kill)).await?;
        Ok(())
    }

    /// With an order's first record store-manager takes its stock.
    fn taking_stock(&self) -> Step<'_> {
        Step {
            service: &self.system.store_manager,
            database: self.books().orders,
            point: "consumer.committed=abort",
            count: "SELECT count(*) FROM store_manager.orders WHERE stock_taken",
        }
    }

    /// Payments has nothing to do with an order's first record, and is to make its payment with the second.
    fn requesting_payment(&self) -> Step<'_> {
        Step {
            service: &self.system.payments,
            database: self.books().payments,
            point: "consumer.committed=abort@2",
            count: "SELECT count(*) FROM payments.payments",
        }
    }

    fn writing_answer(&self) -> Step<'_> {
        Step {
            service: &self.system.payments,
            database: self.books().payments,
            point: "worker.committed=abort",
            count: "SELECT count(*) FROM payments.payments WHERE state = 'pending'",
        }
    }

    /// The payment is committed; neither its caller nor Kafka nor the provider has been told.
    async fn kill_with_payment(&self, kill: &Kill) -> Result<(), LostWindowError> {
        let service = &self.system.payments;
        let payment_id = self.payment_of(kill).await?;
        restart_failing(service, PAYMENT_COMMITTED).await?;
        if pay(service, payment_id, kill).await.is_ok() {
            return Err(LostWindowError::Alive("payments"));
        }
        dies(service).await?;
        service.start().await?;
        Ok(pay(service, payment_id, kill).await?)
    }

    /// The payment of a kill's order.
    async fn payment_of(&self, kill: &Kill) -> Result<Uuid, LostWindowError> {
        // Under its request id the order is found again.
        let order = place(self.system.store_manager.channel(), order(kill)).await?;
        let mut connection = PgConnection::connect(self.books().payments).await?;
        let find = "SELECT payment_id FROM payments.payments WHERE order_id = $1::uuid";
        let find = sqlx::query_scalar(find).bind(&order.order_id);
        Ok(find.fetch_one(&mut connection).await?)
    }

    /// Waits until the payment of each order is known to the order, and not just to payments.
    async fn until_all_can_be_paid(&self) -> Result<(), LostWindowError> {
        self.until_none(
            self.books().orders,
            "orders under way",
            "SELECT count(*) FROM store_manager.orders WHERE state <> 'COMPLETED'",
        )
        .await
    }

    /// Waits until `count` counts nothing; what has not moved by then is for the auditor to find.
    async fn until_none(
        &self,
        url: &str,
        what: &str,
        count: &'static str,
    ) -> Result<(), LostWindowError> {
        let begun = Instant::now();
        loop {
            let found = self::count(url, count).await?;
            if found == 0 {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                let what = format!("no {what}, of which there are {found}");
                return Err(LostWindowError::Never { what, seconds: PATIENCE.as_secs() });
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// What `count` counts in a database.
async fn count(url: &str, count: &'static str) -> Result<i64, LostWindowError> {
    let mut connection = PgConnection::connect(url).await?;
    let counted = sqlx::query_scalar(count).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(counted)
}

/// Pays; a repeat under the same request id is answered as the first time, and passes no commit.
async fn pay(payments: &Service, payment_id: Uuid, kill: &Kill) -> Result<(), Status> {
    let (payment_id, request_id) = (payment_id.to_string(), kill.request_id.to_string());
    let request = ProcessPaymentRequest { payment_id, request_id };
    PaymentServiceClient::new(payments.channel()).process_payment(request).await.map(drop)
}

/// Starts a service anew with a fail point armed, and waits until it is ready.
async fn restart_failing(service: &Service, point: &str) -> Result<(), LostWindowError> {
    service.stop().await?;
    service.start_failing(point).await?;
    Ok(service.until_ready().await?)
}

/// Waits until a service has died at its fail point.
async fn dies(service: &Service) -> Result<(), LostWindowError> {
    let begun = Instant::now();
    while service.exit_status().await.is_none() {
        if begun.elapsed() > PATIENCE {
            let what = format!("{} dies", service.options().program.name());
            return Err(LostWindowError::Never { what, seconds: PATIENCE.as_secs() });
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
