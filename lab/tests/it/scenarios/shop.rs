//! A whole running system, seen as its callers and its operator see it.

use std::time::Duration;

use lab::{
    processes::Program,
    stack::Stack,
    system::{System, SystemOptions},
    tap::{From, TOPICS, Tap, Tapped},
};
use proto::store::{
    orders::v1::{
        CancelOrderRequest, CreateOrderRequest, GetOrderRequest, ListOrdersRequest, Order,
        create_order_request::Line, order::State, order_service_client::OrderServiceClient,
    },
    payments::v1::{
        GetPaymentRequest, Payment, ProcessPaymentRequest, get_payment_request::Id,
        payment_service_client::PaymentServiceClient,
    },
    stock::v1::{GetStockRequest, SetStockRequest, stock_service_client::StockServiceClient},
};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Status, transport::Channel};

/// How long to wait for what must happen; a machine that is busy with other tests is slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(30);

/// Ada Lovelace.
pub(crate) const ADA: &str = "01990000-0000-7000-8000-000000000001";

/// The id of seeded product `number`.
pub(crate) fn product(number: u8) -> String {
    format!("01990000-0000-7000-9000-{number:012}")
}

pub(crate) struct Shop {
    pub(crate) system: System,
}

impl Shop {
    /// On fresh seed data.
    pub(crate) async fn open() -> Self {
        Self::open_with(SystemOptions::default()).await
    }

    pub(crate) async fn open_with(options: SystemOptions) -> Self {
        let stack = Stack::shared().await.unwrap();
        Self { system: System::start_with(stack, options).await.unwrap() }
    }

    /// With more environment for payments.
    pub(crate) async fn open_with_payments(environment: &[(&str, &str)]) -> Self {
        let environment = environment
            .iter()
            .map(|(name, value)| (Program::Payments, (*name).to_owned(), (*value).to_owned()))
            .collect();
        Self::open_with(SystemOptions { environment, ..SystemOptions::default() }).await
    }

    pub(crate) fn orders(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.system.store_manager.channel())
    }

    pub(crate) fn payments(&self) -> PaymentServiceClient<Channel> {
        PaymentServiceClient::new(self.system.payments.channel())
    }

    pub(crate) async fn place(&self, lines: &[(u8, i32)]) -> Order {
        self.try_place(lines, "").await.unwrap()
    }

    pub(crate) async fn try_place(
        &self,
        lines: &[(u8, i32)],
        request_id: &str,
    ) -> Result<Order, Status> {
        let request = order_of(lines, request_id);
        Ok(self.orders().create_order(request).await?.into_inner().order.unwrap())
    }

    pub(crate) async fn order(&self, order_id: &str) -> Order {
        let request = GetOrderRequest { order_id: order_id.to_owned() };
        self.orders().get_order(request).await.unwrap().into_inner().order.unwrap()
    }

    /// The order, where there is one.
    pub(crate) async fn only_order(&self) -> Order {
        let list = ListOrdersRequest::default();
        let mut orders = self.orders().list_orders(list).await.unwrap().into_inner().orders;
        assert_eq!(orders.len(), 1);
        orders.remove(0)
    }

    pub(crate) async fn cancel(&self, order_id: &str) -> Result<Order, Status> {
        let request =
            CancelOrderRequest { order_id: order_id.to_owned(), request_id: String::new() };
        Ok(self.orders().cancel_order(request).await?.into_inner().order.unwrap())
    }

    /// Waits until the order is in `state`.
    pub(crate) async fn reaches(&self, order_id: &str, state: State) -> Order {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let order = self.order(order_id).await;
            if order.state() == state {
                return order;
            }
            assert!(Instant::now() < deadline, "{order_id} is {:?}, not {state:?}", order.state());
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until the order is paid, which payments announces after it has answered.
    pub(crate) async fn is_paid(&self, order_id: &str) -> Order {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let order = self.order(order_id).await;
            if order.is_paid {
                return order;
            }
            assert!(Instant::now() < deadline, "{order_id} is not paid");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until all the orders have ended, and counts the completed ones.
    pub(crate) async fn all_end(&self, orders: &[Order]) -> usize {
        let mut completed = 0;
        for order in orders {
            let deadline = Instant::now() + PATIENCE;
            loop {
                match self.order(&order.order_id).await.state() {
                    State::Completed => {
                        completed += 1;
                        break;
                    }
                    State::Cancelled | State::NeedsAttention => break,
                    state @ (State::Unspecified
                    | State::DecreasingStock
                    | State::CreatingPayment
                    | State::Cancelling) => {
                        assert!(Instant::now() < deadline, "{} is {state:?}", order.order_id);
                    }
                }
                sleep(LOOK_EVERY).await;
            }
        }
        completed
    }

    pub(crate) async fn stock(&self, number: u8) -> i64 {
        let request = GetStockRequest { product_id: product(number) };
        let mut stock = StockServiceClient::new(self.system.store_manager.channel());
        stock.get_stock(request).await.unwrap().into_inner().stock.unwrap().quantity
    }

    pub(crate) async fn set_stock(&self, number: u8, quantity: i64) {
        let request =
            SetStockRequest { product_id: product(number), quantity, request_id: String::new() };
        let mut stock = StockServiceClient::new(self.system.store_manager.channel());
        stock.set_stock(request).await.unwrap();
    }

    pub(crate) async fn payment_of(&self, order_id: &str) -> Result<Payment, Status> {
        let request = GetPaymentRequest { id: Some(Id::OrderId(order_id.to_owned())) };
        Ok(self.payments().get_payment(request).await?.into_inner().payment.unwrap())
    }

    pub(crate) async fn pay(&self, payment_id: &str) -> Result<Payment, Status> {
        let request =
            ProcessPaymentRequest { payment_id: payment_id.to_owned(), request_id: String::new() };
        Ok(self.payments().process_payment(request).await?.into_inner().payment.unwrap())
    }

    /// Everything that was ever announced.
    pub(crate) async fn tap(&self) -> Tap {
        Tap::open(self.system.kafka().brokers(), &TOPICS, From::Beginning).await.unwrap()
    }

    /// The events of one order, in the order of causes, as many as `names`, which they must be. Kafka may hold an event twice.
    pub(crate) async fn events(&self, order_id: &str, names: &[&str]) -> Vec<Tapped> {
        let tap = self.tap().await;
        let mut events: Vec<Tapped> = Vec::new();
        while events.len() < names.len() {
            let record = timeout(PATIENCE, tap.next()).await;
            let record = record.unwrap_or_else(|_| {
                let seen: Vec<_> = events.iter().map(Tapped::event_name).collect();
                panic!("of {names:?} only {seen:?} came")
            });
            let record = record.unwrap();
            let is_new = events.iter().all(|event| event.header("ce_id") != record.header("ce_id"));
            if record.key() == order_id && is_new {
                events.push(record);
            }
        }
        events.sort_by_key(|event| names.iter().position(|name| *name == event.event_name()));
        let seen: Vec<_> = events.iter().map(Tapped::event_name).collect();
        assert_eq!(seen, names);
        events
    }
}

pub(crate) fn order_of(lines: &[(u8, i32)], request_id: &str) -> CreateOrderRequest {
    let lines = lines
        .iter()
        .map(|(number, quantity)| Line { product_id: product(*number), quantity: *quantity })
        .collect();
    CreateOrderRequest { user_id: ADA.to_owned(), lines, request_id: request_id.to_owned() }
}
