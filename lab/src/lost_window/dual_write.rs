//! The store that commits, and then publishes straight to Kafka.

use std::time::Duration;

use indicatif::ProgressBar;
use proto::store::stock::v1::stock_service_client::StockServiceClient;

use super::{
    Kill, LostWindowError, Moment, Outcome,
    outbox::{order, place, plenty},
    tally::Books,
};
use crate::{
    naive::{Armed, Flaw, NaiveShop, Place},
    stack::Stack,
};

/// Kills it with each order, leaves it in peace, and counts.
pub(super) async fn play(
    stack: &Stack,
    kills: &[Kill],
    bar: &ProgressBar,
) -> Result<Outcome, LostWindowError> {
    let shop = NaiveShop::open(stack, Flaw::DualWrite).await?;
    let books = Books { orders: shop.orders(), payments: shop.payments(), brokers: shop.brokers() };
    shop.start(None).await?;
    StockServiceClient::new(shop.channel()).adjust_stock(plenty()).await?;
    shop.rests().await?;
    shop.kill().await;
    let units = books.units().await?;
    for (number, kill) in kills.iter().enumerate() {
        shop.start(Some(armed(kill))).await?;
        if let Some(before) = number.checked_sub(1).map(|before| &kills[before]) {
            // The caller who has had no answer asks again, and is told that the order is there.
            place(shop.channel(), order(before)).await?;
        }
        let answer = place(shop.channel(), order(kill)).await;
        if kill.moment == Moment::Order && answer.is_ok() {
            return Err(LostWindowError::Alive("naive-store"));
        }
        shop.dies().await?;
        bar.inc(1);
    }
    shop.start(None).await?;
    shop.rests().await?;
    books.judge(units, Duration::ZERO).await
}

/// Here an order has the id of its request.
fn armed(kill: &Kill) -> Armed {
    let place = match kill.moment {
        Moment::Order => Place::OrderCommitted,
        Moment::Event | Moment::Stock => Place::StockCommitted,
        Moment::Request | Moment::Answer | Moment::Payment => Place::PaymentCommitted,
    };
    Armed { place, order_id: kill.request_id }
}
