//! Places orders: at a steady rate, whether or not the answers keep up, or as fast as a number of callers can.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use proto::store::{
    orders::v1::{
        CreateOrderRequest, create_order_request::Line, order_service_client::OrderServiceClient,
    },
    stock::v1::{SetStockRequest, stock_service_client::StockServiceClient},
};
use tokio::time::{Instant as TokioInstant, sleep_until};
use tonic::transport::Channel;

const USER: &str = "01990000-0000-7000-8000-000000000001";
const PRODUCTS: [&str; 4] = [
    "01990000-0000-7000-9000-000000000001",
    "01990000-0000-7000-9000-000000000002",
    "01990000-0000-7000-9000-000000000003",
    "01990000-0000-7000-9000-000000000004",
];
const PLENTY: i64 = 1_000_000_000;

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A call was refused.
    #[error("store-manager refused a call")]
    Refused(#[from] tonic::Status),
    /// Kafka could not be read.
    #[error("the orders' topic cannot be read")]
    Kafka(#[from] rdkafka::error::KafkaError),
    /// Sagas did not complete in time.
    #[error("{missing} sagas did not complete in time")]
    NotCompleted {
        /// How many.
        missing: usize,
    },
}

/// An order that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) order_id: String,
    pub(super) called_at: Instant,
}

/// A connection that places orders.
#[derive(Clone, Debug)]
pub(super) struct Load {
    channel: Channel,
}

impl Load {
    pub(super) fn new(channel: Channel) -> Self {
        Self { channel }
    }

    /// Puts enough of each product on hand that no order is short.
    pub(super) async fn fill_stock(&self) -> Result<(), BenchError> {
        let mut stock = StockServiceClient::new(self.channel.clone());
        for product_id in PRODUCTS {
            let request = SetStockRequest {
                product_id: product_id.to_owned(),
                quantity: PLENTY,
                request_id: String::new(),
            };
            stock.set_stock(request).await?;
        }
        Ok(())
    }

    /// Places an order every `1 / rate` seconds, and counts the wait for a late answer as latency.
    pub(super) async fn at_rate(&self, rate: u32, seconds: u32) -> Result<Vec<Placed>, BenchError> {
        let start = TokioInstant::now();
        let orders = u64::from(rate) * u64::from(seconds);
        stream::iter(0..orders)
            .then(|number| async move {
                let due = start
                    + Duration::from_secs(1) * u32::try_from(number).unwrap_or(u32::MAX) / rate;
                sleep_until(due).await;
                (number, due.into_std())
            })
            .map(|(number, due)| self.place(number, due))
            .buffer_unordered(usize::MAX >> 4)
            .try_collect()
            .await
    }

    /// Places `orders` with `callers` at a time.
    pub(super) async fn with_callers(
        &self,
        callers: u32,
        orders: u32,
    ) -> Result<Vec<Placed>, BenchError> {
        stream::iter(0..u64::from(orders))
            .map(|number| self.place(number, Instant::now()))
            .buffer_unordered(callers as usize)
            .try_collect()
            .await
    }

    async fn place(&self, number: u64, called_at: Instant) -> Result<Placed, BenchError> {
        let product = PRODUCTS[usize::try_from(number).unwrap_or(0) % PRODUCTS.len()];
        let request = CreateOrderRequest {
            user_id: USER.to_owned(),
            lines: vec![Line { product_id: product.to_owned(), quantity: 1 }],
            request_id: String::new(),
        };
        let answer = OrderServiceClient::new(self.channel.clone()).create_order(request).await?;
        let order_id = answer.into_inner().order.unwrap_or_default().order_id;
        Ok(Placed { order_id, called_at })
    }
}
