//! The events this service announces, made of what it knows.

use proto::{
    Money, OrderId, ProductId, UserId, google,
    store::{
        orders::events::v1::{
            self as orders, OrderEvent, failure::Reason, saga_completed::Outcome,
        },
        products::events::v1::{self as products, ProductEvent},
        stock::events::v1::{self as stock, StockEvent},
        users::events::v1::{self as users, UserEvent},
    },
};

use crate::domain::{
    catalog::{Product, User, UserType},
    order::{Failure, FailureReason, Order, OrderLine},
    stock::{Change, Shortage},
};

/// An order was placed.
pub(crate) fn order_created(order: &Order, lines: &[OrderLine]) -> OrderEvent {
    let line = |line: &OrderLine| orders::OrderLine {
        product_id: line.product_id.to_string(),
        quantity: line.quantity,
        unit_price: Some(Money::new(line.unit_price_minor, order.total.currency).into()),
    };
    orders::OrderCreated {
        order_id: order.order_id.to_string(),
        user_id: order.user_id.to_string(),
        lines: lines.iter().map(line).collect(),
        total: total(order),
    }
    .into()
}

/// What an order asked for that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The user.
    User(UserId),
    /// A product.
    Product(ProductId),
}

impl Unknown {
    fn failure(self) -> orders::Failure {
        match self {
            Self::User(_) => orders::Failure {
                reason: Reason::UserNotFound.into(),
                detail: "the user is not known".to_owned(),
                product_id: String::new(),
            },
            Self::Product(product_id) => orders::Failure {
                reason: Reason::ProductNotFound.into(),
                detail: "the product is not known".to_owned(),
                product_id: product_id.to_string(),
            },
        }
    }
}

/// An order could not be placed.
pub(crate) fn order_creation_failed(
    order_id: OrderId,
    user_id: UserId,
    unknown: Unknown,
) -> OrderEvent {
    orders::OrderCreationFailed {
        order_id: order_id.to_string(),
        user_id: user_id.to_string(),
        failure: Some(unknown.failure()),
    }
    .into()
}

/// The saga of an order that could not be placed has ended.
pub(crate) fn saga_refused(order_id: OrderId, unknown: Unknown) -> OrderEvent {
    orders::SagaCompleted {
        order_id: order_id.to_string(),
        outcome: Outcome::Failed.into(),
        failure: Some(unknown.failure()),
    }
    .into()
}

/// The caller wants an order cancelled.
pub(crate) fn order_cancellation_requested(order: &Order) -> OrderEvent {
    orders::OrderCancellationRequested {
        order_id: order.order_id.to_string(),
        user_id: order.user_id.to_string(),
        total: total(order),
    }
    .into()
}

/// An order was cancelled.
pub(crate) fn order_cancelled(order: &Order) -> OrderEvent {
    orders::OrderCancelled {
        order_id: order.order_id.to_string(),
        failure: order.failure.as_ref().map(failure),
    }
    .into()
}

/// The saga of an order has ended: well if the order has no failure.
pub(crate) fn saga_completed(order: &Order) -> OrderEvent {
    let outcome = if order.failure.is_none() { Outcome::Succeeded } else { Outcome::Failed };
    orders::SagaCompleted {
        order_id: order.order_id.to_string(),
        outcome: outcome.into(),
        failure: order.failure.as_ref().map(failure),
    }
    .into()
}

/// The stock of an order was taken.
pub(crate) fn stock_decreased(order: &Order, changes: &[Change]) -> StockEvent {
    stock::StockDecreased {
        order_id: order.order_id.to_string(),
        user_id: order.user_id.to_string(),
        total: total(order),
        lines: changes.iter().map(stock_line).collect(),
    }
    .into()
}

/// The stock of an order could not be taken.
pub(crate) fn stock_decrease_failed(order_id: OrderId, shortage: &Shortage) -> StockEvent {
    stock::StockDecreaseFailed {
        order_id: order_id.to_string(),
        line: Some(stock::StockLine {
            product_id: shortage.product_id.to_string(),
            quantity: 0,
            quantity_after: shortage.available,
            stock_version: shortage.version,
        }),
        available: shortage.available,
        required: shortage.required.into(),
    }
    .into()
}

/// The stock of an order was given back.
pub(crate) fn stock_increased(order_id: OrderId, changes: &[Change]) -> StockEvent {
    stock::StockIncreased {
        order_id: order_id.to_string(),
        lines: changes.iter().map(stock_line).collect(),
    }
    .into()
}

/// The stock of an order could not be given back.
pub(crate) fn stock_increase_failed(order_id: OrderId, gone: &[ProductId]) -> StockEvent {
    stock::StockIncreaseFailed {
        order_id: order_id.to_string(),
        product_ids: gone.iter().map(ToString::to_string).collect(),
    }
    .into()
}

/// The quantity on hand was set or adjusted by a person.
pub(crate) fn stock_set(change: &Change) -> StockEvent {
    stock::StockSet { line: Some(stock_line(change)) }.into()
}

/// A product was added.
pub(crate) fn product_created(product: &Product) -> ProductEvent {
    products::ProductCreated {
        product_id: product.product_id.to_string(),
        name: product.name.clone(),
        sku: product.sku.clone(),
        price: Some(product.price.into()),
    }
    .into()
}

/// A product was removed.
pub(crate) fn product_deleted(product_id: ProductId) -> ProductEvent {
    products::ProductDeleted { product_id: product_id.to_string() }.into()
}

/// A user was added.
pub(crate) fn user_created(user: &User) -> UserEvent {
    let user_type = match user.user_type {
        UserType::Client => users::UserType::Client,
        UserType::Employee => users::UserType::Employee,
        UserType::Manager => users::UserType::Manager,
    };
    users::UserCreated {
        user_id: user.user_id.to_string(),
        name: user.name.clone(),
        email: user.email.clone(),
        r#type: user_type.into(),
    }
    .into()
}

/// A user was removed.
pub(crate) fn user_deleted(user_id: UserId) -> UserEvent {
    users::UserDeleted { user_id: user_id.to_string() }.into()
}

fn total(order: &Order) -> Option<google::r#type::Money> {
    Some(order.total.into())
}

fn stock_line(change: &Change) -> stock::StockLine {
    stock::StockLine {
        product_id: change.product_id.to_string(),
        quantity: change.quantity,
        quantity_after: change.quantity_after,
        stock_version: change.version_after,
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
