//! What callers are told: what the store knows as messages of the contract.

use prost_types::Timestamp;
use proto::{
    Money, OrderId,
    store::{
        catalog::v1 as catalog,
        orders::v1::{self as orders, failure::Reason},
        stock::v1 as stock,
        users::v1 as users,
    },
};
use sqlx::types::time::OffsetDateTime;

use crate::{
    domain::{
        catalog::{Product, Stock, User, UserType},
        order::{Failure, FailureReason, Order, OrderLine, OrderState},
    },
    store::order_states::ReachedState,
};

/// An order with its lines.
pub(crate) fn order(order: &Order, lines: &[OrderLine]) -> orders::Order {
    let line = |line: &OrderLine| orders::OrderLine {
        product_id: line.product_id.to_string(),
        quantity: line.quantity,
        unit_price: Some(Money::new(line.unit_price_minor, order.total.currency).into()),
        name: line.name.clone(),
        sku: line.sku.clone(),
    };
    orders::Order {
        order_id: order.order_id.to_string(),
        user_id: order.user_id.to_string(),
        state: orders::order::State::from(order.state).into(),
        total: Some(order.total.into()),
        lines: lines.iter().map(line).collect(),
        payment_id: order.payment_id.map(|id| id.to_string()).unwrap_or_default(),
        payment_link: order.payment_link.clone().unwrap_or_default(),
        is_paid: order.is_paid,
        failure: order.failure.as_ref().map(failure),
        create_time: Some(timestamp(order.created_at)),
        update_time: Some(timestamp(order.updated_at)),
    }
}

/// A state an order has reached.
pub(crate) fn reached_state(
    order_id: OrderId,
    reached: &ReachedState,
) -> orders::WatchOrderResponse {
    orders::WatchOrderResponse {
        order_id: order_id.to_string(),
        state: orders::order::State::from(reached.state).into(),
        reach_time: Some(timestamp(reached.reached_at)),
        failure: reached.failure.as_ref().map(failure),
    }
}

/// A product.
pub(crate) fn product(product: Product) -> catalog::Product {
    catalog::Product {
        product_id: product.product_id.to_string(),
        name: product.name,
        sku: product.sku,
        price: Some(product.price.into()),
        create_time: Some(timestamp(product.created_at)),
    }
}

/// A product's stock.
pub(crate) fn stock(stock: Stock) -> stock::Stock {
    stock::Stock {
        product_id: stock.product_id.to_string(),
        quantity: stock.quantity,
        version: stock.version,
        name: stock.name,
        sku: stock.sku,
        price: Some(stock.price.into()),
        update_time: Some(timestamp(stock.updated_at)),
    }
}

/// A user.
pub(crate) fn user(user: User) -> users::User {
    let user_type = match user.user_type {
        UserType::Client => users::user::Type::Client,
        UserType::Employee => users::user::Type::Employee,
        UserType::Manager => users::user::Type::Manager,
    };
    users::User {
        user_id: user.user_id.to_string(),
        name: user.name,
        email: user.email,
        r#type: user_type.into(),
        create_time: Some(timestamp(user.created_at)),
    }
}

impl From<OrderState> for orders::order::State {
    fn from(state: OrderState) -> Self {
        match state {
            OrderState::DecreasingStock => Self::DecreasingStock,
            OrderState::CreatingPayment => Self::CreatingPayment,
            OrderState::Completed => Self::Completed,
            OrderState::Cancelling => Self::Cancelling,
            OrderState::Cancelled => Self::Cancelled,
            OrderState::NeedsAttention => Self::NeedsAttention,
        }
    }
}

fn failure(failure: &Failure) -> orders::Failure {
    let reason = match failure.reason {
        FailureReason::InsufficientStock => Reason::InsufficientStock,
        FailureReason::PaymentRefused => Reason::PaymentRefused,
        FailureReason::CancelledByCaller => Reason::CancelledByCaller,
        FailureReason::StockIncreaseFailed => Reason::StockIncreaseFailed,
    };
    orders::Failure {
        reason: reason.into(),
        detail: failure.detail.clone(),
        product_id: failure.product_id.map(|id| id.to_string()).unwrap_or_default(),
    }
}

fn timestamp(time: OffsetDateTime) -> Timestamp {
    let nanos = i32::try_from(time.nanosecond()).expect("a second has less than 2^31 nanoseconds");
    Timestamp { seconds: time.unix_timestamp(), nanos }
}
