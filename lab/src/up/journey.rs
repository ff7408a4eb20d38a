//! Places one order and draws what becomes of it, as it happens: its states as `WatchOrder` tells them, and its events as
//! they stand on Kafka.

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::Context;
use proto::store::{
    catalog::v1::{ListProductsRequest, Product, product_service_client::ProductServiceClient},
    orders::v1::{
        CreateOrderRequest, GetOrderRequest, Order, WatchOrderRequest, WatchOrderResponse,
        create_order_request::Line, order::State, order_service_client::OrderServiceClient,
    },
    users::v1::{ListUsersRequest, User, user_service_client::UserServiceClient},
};
use tonic::{Streaming, transport::Channel};
use uuid::Uuid;

use super::store::Store;
use crate::{
    output::say,
    tap::{self, TOPICS, Tap, Tapped},
};

/// How long an order may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// After the last state, the event that tells it may still be on its way.
const LAST_EVENT: &str = "SagaCompleted";
/// The product and the customer, of the seed data.
const SKU: &str = "LP12567";
const EMAIL: &str = "alovelace@example.com";
/// Orders, stock and payments: where an order leaves its events.
const ROAD: usize = 3;

/// How the order ended, and what it was made of.
pub(super) struct Ending {
    pub(super) order: Order,
    pub(super) is_completed: bool,
    pub(super) state: String,
    pub(super) reason: String,
}

/// Sends one order through the store.
pub(super) async fn travel(store: &Store) -> anyhow::Result<Ending> {
    let channel = store.store_manager().channel();
    let (user, product) = seeds(&channel).await?;
    let tap = Tap::open(store.brokers(), &TOPICS[..ROAD], tap::From::Now)
        .await
        .context("could not listen to the topics")?;
    let mut orders = OrderServiceClient::new(channel);
    let mut drawing = Drawing::start();
    let order = place(&mut orders, &user, &product).await?;
    say(format!("\n1 × {} for {}: order {}\n", product.name, user.name, order.order_id))?;
    say("     since     delay")?;
    say("    placed    before")?;
    let watched = orders
        .watch_order(WatchOrderRequest { order_id: order.order_id.clone() })
        .await
        .context("WatchOrder")?
        .into_inner();
    tokio::time::timeout(PATIENCE, drawing.follow(&order.order_id, watched, &tap))
        .await
        .with_context(|| format!("the order did not end within {} s", PATIENCE.as_secs()))??;
    say("")?;
    ending(&mut orders, order.order_id).await
}

async fn place(
    orders: &mut OrderServiceClient<Channel>,
    user: &User,
    product: &Product,
) -> anyhow::Result<Order> {
    let request = CreateOrderRequest {
        user_id: user.user_id.clone(),
        lines: vec![Line { product_id: product.product_id.clone(), quantity: 1 }],
        request_id: Uuid::now_v7().to_string(),
    };
    let response = orders.create_order(request).await.context("CreateOrder")?;
    response.into_inner().order.context("CreateOrder answered without an order")
}

/// The order as it is at its end.
async fn ending(
    orders: &mut OrderServiceClient<Channel>,
    order_id: String,
) -> anyhow::Result<Ending> {
    let response = orders.get_order(GetOrderRequest { order_id }).await.context("GetOrder")?;
    let order = response.into_inner().order.context("GetOrder answered without an order")?;
    let reason = order.failure.as_ref().map(|failure| failure.detail.clone()).unwrap_or_default();
    let is_completed = order.state() == State::Completed;
    Ok(Ending { is_completed, state: state_name(order.state()), reason, order })
}

/// Whom and what the seed data offers.
async fn seeds(channel: &Channel) -> anyhow::Result<(User, Product)> {
    let users = UserServiceClient::new(channel.clone())
        .list_users(ListUsersRequest::default())
        .await
        .context("ListUsers")?;
    let search = ListProductsRequest { search: SKU.to_owned(), ..ListProductsRequest::default() };
    let products = ProductServiceClient::new(channel.clone())
        .list_products(search)
        .await
        .context("ListProducts")?;
    let user = users.into_inner().users.into_iter().find(|user| user.email == EMAIL);
    let product = products.into_inner().products.into_iter().find(|product| product.sku == SKU);
    Ok((
        user.context("the seed data has no Ada Lovelace")?,
        product.context("the seed data has no laptop")?,
    ))
}

/// One line a state, one line an event, each with its time.
struct Drawing {
    placed: Instant,
    before: Instant,
}

impl Drawing {
    fn start() -> Self {
        let now = Instant::now();
        Self { placed: now, before: now }
    }

    /// Draws until the states have ended and the last event has been seen.
    async fn follow(
        &mut self,
        order_id: &str,
        mut states: Streaming<WatchOrderResponse>,
        tap: &Tap,
    ) -> anyhow::Result<()> {
        let (mut has_ended, mut is_told) = (false, false);
        while !(has_ended && is_told) {
            tokio::select! {
                state = states.message(), if !has_ended => match state.context("WatchOrder")? {
                    Some(state) => self.state(&state)?,
                    None => has_ended = true,
                },
                event = tap.next() => {
                    let event = event.context("could not read the topics")?;
                    if event.key() == order_id {
                        is_told |= event.event_name() == LAST_EVENT;
                        self.event(&event)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn state(&mut self, reached: &WatchOrderResponse) -> io::Result<()> {
        self.line(&format!("● {}", state_name(reached.state())))?;
        match &reached.failure {
            Some(failure) => self.line(&format!("│   {}", failure.detail)),
            None => Ok(()),
        }
    }

    fn event(&mut self, event: &Tapped) -> io::Result<()> {
        self.line(&format!(
            "│   {:<22} {} / {} / {}",
            event.event_name(),
            event.topic(),
            event.partition(),
            event.offset()
        ))
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        let now = Instant::now();
        let milliseconds = |since: Instant| (now - since).as_secs_f64() * 1_000.0;
        say(format!(
            "{:>7.1} ms {:>+6.1} ms  {text}",
            milliseconds(self.placed),
            milliseconds(self.before)
        ))?;
        self.before = now;
        Ok(())
    }
}

fn state_name(state: State) -> String {
    state.as_str_name().trim_start_matches("STATE_").to_owned()
}
