//! What the tests play with: a database, the services as callers see them, the handlers as the consumer calls them, payments
//! as it would answer, and what can be seen.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use lab::stack::Stack;
use messaging::{HandleError, Handler, Record, inbox};
use proto::{
    Currency, Event, Money, OrderId, PaymentId, ProductId, UserId,
    store::{
        catalog::v1::{CreateProductRequest, product_service_server::ProductService},
        orders::v1::{
            CreateOrderRequest, GetOrderRequest, Order, create_order_request::Line, order::State,
            order_service_server::OrderService,
        },
        payments::events::v1::{
            PaymentCancelled, PaymentCreated, PaymentCreationFailed, PaymentEvent, PaymentProcessed,
        },
        stock::v1::{SetStockRequest, stock_service_server::StockService},
    },
};
use runtime::postgres;
use sqlx::{PgPool, postgres::PgPoolOptions};
use store_manager::{
    grpc::{OrdersGrpc, ProductsGrpc, Shared, StockGrpc, UsersGrpc},
    handlers::{Handlers, TOPICS},
    metrics::Metrics,
    service::migrate,
    watches::Watches,
};
use tokio::sync::Mutex;
use tonic::{Request, Status};
use uuid::Uuid;

pub(crate) const ADA: UserId = UserId(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001));
pub(crate) const LAPTOP: ProductId = product(1);
pub(crate) const KEYBOARD: ProductId = product(2);
pub(crate) const GADGET: ProductId = product(3);

const fn product(number: u128) -> ProductId {
    ProductId(Uuid::from_u128(0x0199_0000_0000_7000_9000_0000_0000_0000 + number))
}

/// A migrated and seeded database, and the service's parts over it.
pub(crate) struct Scene {
    pub(crate) database_url: String,
    pub(crate) pool: PgPool,
    pub(crate) orders: OrdersGrpc,
    pub(crate) stock: StockGrpc,
    pub(crate) products: ProductsGrpc,
    pub(crate) users: UsersGrpc,
    handlers: Handlers,
    /// Up to where the outbox has been delivered.
    delivered: Mutex<i64>,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let stack = Stack::shared().await.unwrap();
        let migrated = stack.template("store_manager", async |url| {
            let pool = PgPool::connect(&url).await?;
            migrate(&pool, Currency::CAD).await?;
            pool.close().await;
            Ok::<_, anyhow::Error>(())
        });
        migrated.await.unwrap();
        let database_url = stack.database_from_template("store_manager").await.unwrap();
        let options = PgPoolOptions::new().max_connections(16);
        let pool = options.connect(&database_url).await.unwrap();
        let watches = Watches::default();
        let metrics = Metrics::default();
        let shared = Shared {
            pool: pool.clone(),
            currency: Currency::CAD,
            watches: watches.clone(),
            metrics: metrics.clone(),
        };
        Self {
            database_url,
            pool,
            orders: OrdersGrpc(shared.clone()),
            stock: StockGrpc(shared.clone()),
            products: ProductsGrpc(shared.clone()),
            users: UsersGrpc(shared),
            handlers: Handlers::new(watches, metrics),
            delivered: Mutex::default(),
        }
    }

    pub(crate) async fn order(&self, lines: &[(ProductId, i32)]) -> Result<Order, Status> {
        let answer = self.orders.create_order(Request::new(order_request(lines))).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    /// Places an order of one laptop; nothing is delivered yet.
    pub(crate) async fn placed(&self) -> OrderId {
        id(&self.order(&[(LAPTOP, 1)]).await.unwrap())
    }

    pub(crate) async fn get(&self, order_id: OrderId) -> Order {
        let request = GetOrderRequest { order_id: order_id.to_string() };
        let answer = self.orders.get_order(Request::new(request)).await.unwrap();
        answer.into_inner().order.unwrap()
    }

    pub(crate) async fn state(&self, order_id: OrderId) -> State {
        self.get(order_id).await.state()
    }

    pub(crate) async fn on_hand(&self, product_id: ProductId) -> i64 {
        sqlx::query_scalar("SELECT quantity FROM store_manager.stock WHERE product_id = $1")
            .bind(product_id.0)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// A new product with so many on hand.
    pub(crate) async fn product(&self, price_minor: i64, on_hand: i64) -> ProductId {
        let request = CreateProductRequest {
            name: "A product".to_owned(),
            sku: Uuid::now_v7().to_string(),
            price: Some(Money::new(price_minor, Currency::CAD).into()),
            request_id: String::new(),
        };
        let created = self.products.create_product(Request::new(request)).await.unwrap();
        let product_id = created.into_inner().product.unwrap().product_id;
        if on_hand > 0 {
            let request = SetStockRequest {
                product_id: product_id.clone(),
                quantity: on_hand,
                request_id: String::new(),
            };
            self.stock.set_stock(Request::new(request)).await.unwrap();
        }
        product_id.parse().unwrap()
    }

    /// Handles a record as the consumer does.
    pub(crate) async fn deliver(&self, record: &Record) -> Result<(), HandleError> {
        let mut transaction = postgres::begin(&self.pool).await?;
        if inbox::remember(&mut transaction, record.event_id().unwrap()).await? {
            self.handlers.handle(&mut transaction, record).await?;
        }
        transaction.commit().await?;
        self.handlers.committed(&[record]);
        Ok(())
    }

    /// The same without the inbox: the state alone must do.
    pub(crate) async fn deliver_unremembered(&self, record: &Record) -> Result<(), HandleError> {
        let mut transaction = postgres::begin(&self.pool).await?;
        self.handlers.handle(&mut transaction, record).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Delivers what stands in the outbox and what comes of it, until nothing is left.
    pub(crate) async fn settle(&self) {
        self.settle_each(1).await;
    }

    /// The same, each record so many times, past the inbox.
    pub(crate) async fn settle_each(&self, times: usize) {
        self.each_new(async |record| {
            for _ in 0..times {
                self.deliver_unremembered(&record).await.unwrap();
            }
        })
        .await;
    }

    /// The same, each delivery killed after `polls` and repeated. Answers whether all ended before they were killed.
    pub(crate) async fn settle_killed(&self, polls: usize) -> bool {
        let mut ended = true;
        self.each_new(async |record| ended &= self.deliver_killed(polls, &record).await).await;
        ended
    }

    /// Delivers a record, killed after `polls`, and then again. Answers whether the first delivery ended before.
    pub(crate) async fn deliver_killed(&self, polls: usize, record: &Record) -> bool {
        let ended = killed_after(polls, self.deliver(record)).await.is_some();
        self.deliver(record).await.unwrap();
        ended
    }

    /// Hands over what stands in the outbox and what comes of it, until nothing is left.
    async fn each_new(&self, mut handle: impl AsyncFnMut(Record)) {
        let mut delivered = self.delivered.lock().await;
        loop {
            let announced = self.announced_after(*delivered).await;
            let Some(last) = announced.last() else { return };
            *delivered = last.sequence;
            let read = |announced: &&Announced| TOPICS.contains(&announced.topic.as_str());
            for announced in announced.iter().filter(read) {
                handle(announced.record()).await;
            }
        }
    }

    async fn announced_after(&self, sequence: i64) -> Vec<Announced> {
        sqlx::query_as(
            "SELECT sequence, id, aggregatetype AS topic, aggregateid AS key, type AS event_type, correlationid,
                 causationid, payload
             FROM messaging.outbox WHERE sequence > $1 ORDER BY sequence",
        )
        .bind(sequence)
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// What was announced of an order, in the order of the outbox.
    pub(crate) async fn announced(&self, key: impl ToString) -> Vec<Announced> {
        let mut all = self.announced_after(0).await;
        all.retain(|announced| announced.key == key.to_string());
        all
    }

    pub(crate) async fn announced_names(&self, key: impl ToString) -> Vec<String> {
        self.announced(key).await.iter().map(Announced::name).collect()
    }

    /// The states an order has reached, in their order.
    pub(crate) async fn reached(&self, order_id: OrderId) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT state FROM store_manager.order_states WHERE order_id = $1 ORDER BY state_id",
        )
        .bind(order_id.0)
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// Everything that an input could change, as text.
    pub(crate) async fn everything(&self) -> String {
        sqlx::query_scalar(
            "SELECT concat_ws('; ',
                 (SELECT string_agg(o::text, ',' ORDER BY order_id) FROM store_manager.orders AS o),
                 (SELECT string_agg(s::text, ',' ORDER BY product_id) FROM store_manager.stock AS s),
                 (SELECT string_agg(p::text, ',' ORDER BY product_id) FROM store_manager.products AS p),
                 (SELECT string_agg(u::text, ',' ORDER BY user_id) FROM store_manager.users AS u),
                 (SELECT count(*) FROM store_manager.order_lines),
                 (SELECT count(*) FROM store_manager.order_states),
                 (SELECT count(*) FROM store_manager.order_refusals),
                 (SELECT count(*) FROM messaging.requests WHERE answer IS NOT NULL),
                 (SELECT count(*) FROM messaging.outbox))",
        )
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Removes a product behind the service's back.
    pub(crate) async fn remove(&self, product_id: ProductId) {
        for statement in [
            "DELETE FROM store_manager.stock WHERE product_id = $1",
            "DELETE FROM store_manager.products WHERE product_id = $1",
        ] {
            sqlx::query(statement).bind(product_id.0).execute(&self.pool).await.unwrap();
        }
    }

    /// Puts a removed product back, with so many on hand.
    pub(crate) async fn put_back(&self, product_id: ProductId, on_hand: i64) {
        sqlx::query(
            "INSERT INTO store_manager.products (product_id, name, sku, price_minor, currency)
             VALUES ($1, 'Back', $1::text, 100, 'CAD')",
        )
        .bind(product_id.0)
        .execute(&self.pool)
        .await
        .unwrap();
        sqlx::query("INSERT INTO store_manager.stock (product_id, quantity) VALUES ($1, $2)")
            .bind(product_id.0)
            .bind(on_hand)
            .execute(&self.pool)
            .await
            .unwrap();
    }
}

/// A row of the outbox.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Announced {
    pub(crate) sequence: i64,
    pub(crate) id: Uuid,
    pub(crate) topic: String,
    pub(crate) key: String,
    pub(crate) event_type: String,
    pub(crate) correlationid: Option<String>,
    pub(crate) causationid: Option<String>,
    pub(crate) payload: Vec<u8>,
}

impl Announced {
    pub(crate) fn name(&self) -> String {
        self.event_type.rsplit('.').next().unwrap().to_owned()
    }

    pub(crate) fn decode<E: Event>(&self) -> E {
        E::decode(self.payload.as_slice()).unwrap()
    }

    /// As the relay would publish it.
    pub(crate) fn record(&self) -> Record {
        let correlation_id = self.correlationid.clone().unwrap_or_default();
        record(&self.topic, &self.key, self.id, &self.event_type, &correlation_id, &self.payload)
    }
}

fn record(
    topic: &str,
    key: &str,
    event_id: Uuid,
    event_type: &str,
    correlation_id: &str,
    payload: &[u8],
) -> Record {
    let event_id = event_id.to_string();
    let headers = [
        ("ce_id", event_id.as_str()),
        ("ce_type", event_type),
        ("ce_correlationid", correlation_id),
    ];
    Record {
        topic: topic.to_owned(),
        partition: 0,
        offset: 0,
        key: Some(key.as_bytes().to_vec()),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec())))
            .collect(),
        payload: Some(payload.to_vec()),
    }
}

/// A new event about an order, as the relay would publish it.
pub(crate) fn event<E: Event>(event: &E) -> Record {
    let key = event.key().unwrap();
    let event_type = event.event_type().unwrap();
    record(E::TOPIC, key, Uuid::now_v7(), &event_type, key, &event.encode_to_vec())
}

/// The payment that an order has in these tests.
pub(crate) fn payment_id(order_id: OrderId) -> PaymentId {
    PaymentId(Uuid::from_u128(order_id.0.as_u128() ^ 1))
}

pub(crate) fn payment_created(order_id: OrderId) -> Record {
    event(&PaymentEvent::from(PaymentCreated {
        order_id: order_id.to_string(),
        payment_id: payment_id(order_id).to_string(),
        user_id: ADA.to_string(),
        amount: Some(Money::new(199_999, Currency::CAD).into()),
        payment_link: format!("https://pay.example/{}", payment_id(order_id)),
    }))
}

pub(crate) fn payment_creation_failed(order_id: OrderId) -> Record {
    event(&PaymentEvent::from(PaymentCreationFailed {
        order_id: order_id.to_string(),
        payment_id: payment_id(order_id).to_string(),
        reason: "declined".to_owned(),
    }))
}

pub(crate) fn payment_processed(order_id: OrderId) -> Record {
    event(&PaymentEvent::from(PaymentProcessed {
        order_id: order_id.to_string(),
        payment_id: payment_id(order_id).to_string(),
        user_id: ADA.to_string(),
        amount: Some(Money::new(199_999, Currency::CAD).into()),
    }))
}

pub(crate) fn payment_cancelled(order_id: OrderId) -> Record {
    event(&PaymentEvent::from(PaymentCancelled {
        order_id: order_id.to_string(),
        payment_id: payment_id(order_id).to_string(),
    }))
}

pub(crate) fn order_request(lines: &[(ProductId, i32)]) -> CreateOrderRequest {
    let line = |&(product_id, quantity): &(ProductId, i32)| Line {
        product_id: product_id.to_string(),
        quantity,
    };
    CreateOrderRequest {
        user_id: ADA.to_string(),
        lines: lines.iter().map(line).collect(),
        request_id: String::new(),
    }
}

pub(crate) fn id(order: &Order) -> OrderId {
    order.order_id.parse().unwrap()
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
