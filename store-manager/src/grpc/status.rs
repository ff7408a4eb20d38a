//! Which code and which reason each failure is told with; the only place that picks them.

use std::{error::Error, time::Duration};

use messaging::{
    failure::{Class, classify},
    requests::RequestError,
};
use proto::{OrderId, ProductId, UserId};
use runtime::grpc::{
    request::InvalidRequest,
    status::{self, ErrorReason, FieldViolation, PreconditionViolation},
};
use sqlx::error::DatabaseError;
use tonic::Status;
use tracing::error;

use super::reason;
use crate::{
    commands::{
        AdjustStockError, CancelOrderError, CreateOrderError, CreateProductError, CreateUserError,
        DeleteProductError, DeleteUserError, SetStockError,
    },
    watches::TooManyWatches,
};

const ORDER: &str = "store.orders.v1.Order";
const PRODUCT: &str = "store.catalog.v1.Product";
const USER: &str = "store.users.v1.User";
const RETRY_AFTER: Duration = Duration::from_secs(1);
const QUERY_CANCELED: &str = "57014";

/// Wrong fields, all of them.
pub(super) fn invalid(InvalidRequest(violations): InvalidRequest) -> Status {
    status::invalid_argument(because(reason::INVALID_REQUEST), violations)
}

pub(super) fn create_order(error: CreateOrderError) -> Status {
    match error {
        CreateOrderError::UnknownUser(user_id) => user_not_found(user_id),
        CreateOrderError::UnknownProduct(product_id) => product_not_found(product_id),
        CreateOrderError::Currency(line) => wrong_field(
            format!("lines[{line}].product_id"),
            "is sold in another currency than the store's",
        ),
        CreateOrderError::TotalTooLarge => wrong_field("lines", "the total is too large"),
        CreateOrderError::Request(error) => request(error),
        CreateOrderError::Store(error) => store(&error),
    }
}

pub(super) fn cancel_order(error: CancelOrderError) -> Status {
    match error {
        CancelOrderError::NoSuchOrder(order_id) => order_not_found(order_id),
        CancelOrderError::AlreadyPaid(order_id) => precondition(
            because(reason::ORDER_ALREADY_PAID).metadata("order_id", order_id),
            order_id.to_string(),
            format!("order {order_id} is paid"),
        ),
        CancelOrderError::Request(error) => request(error),
        CancelOrderError::Store(error) => store(&error),
    }
}

pub(super) fn set_stock(error: SetStockError) -> Status {
    match error {
        SetStockError::NoSuchProduct(product_id) => product_not_found(product_id),
        SetStockError::Request(error) => request(error),
        SetStockError::Store(error) => store(&error),
    }
}

pub(super) fn adjust_stock(error: AdjustStockError) -> Status {
    match error {
        AdjustStockError::NoSuchProduct(product_id) => product_not_found(product_id),
        AdjustStockError::OutOfRange { product_id, quantity, quantity_delta } => precondition(
            because(reason::STOCK_OUT_OF_RANGE)
                .metadata("product_id", product_id)
                .metadata("quantity", quantity)
                .metadata("quantity_delta", quantity_delta),
            product_id.to_string(),
            format!("{quantity} on hand, changed by {quantity_delta}, is not 0 to 1 000 000 000"),
        ),
        AdjustStockError::Request(error) => request(error),
        AdjustStockError::Store(error) => store(&error),
    }
}

pub(super) fn create_product(error: CreateProductError) -> Status {
    match error {
        CreateProductError::SkuTaken(sku) => {
            let reason = because(reason::SKU_TAKEN).metadata("sku", &sku);
            status::already_exists(reason, PRODUCT, sku)
        }
        CreateProductError::Request(error) => request(error),
        CreateProductError::Store(error) => store(&error),
    }
}

pub(super) fn delete_product(error: DeleteProductError) -> Status {
    match error {
        DeleteProductError::NoSuchProduct(product_id) => product_not_found(product_id),
        DeleteProductError::InUse(product_id) => precondition(
            because(reason::PRODUCT_IN_USE).metadata("product_id", product_id),
            product_id.to_string(),
            format!("an order that is neither cancelled nor paid has product {product_id}"),
        ),
        DeleteProductError::Request(error) => request(error),
        DeleteProductError::Store(error) => store(&error),
    }
}

pub(super) fn create_user(error: CreateUserError) -> Status {
    match error {
        CreateUserError::EmailTaken(email) => {
            let reason = because(reason::EMAIL_TAKEN).metadata("email", &email);
            status::already_exists(reason, USER, email)
        }
        CreateUserError::Request(error) => request(error),
        CreateUserError::Store(error) => store(&error),
    }
}

pub(super) fn delete_user(error: DeleteUserError) -> Status {
    match error {
        DeleteUserError::NoSuchUser(user_id) => user_not_found(user_id),
        DeleteUserError::HasOrders(user_id) => precondition(
            because(reason::USER_HAS_ORDERS).metadata("user_id", user_id),
            user_id.to_string(),
            format!("user {user_id} has orders"),
        ),
        DeleteUserError::Request(error) => request(error),
        DeleteUserError::Store(error) => store(&error),
    }
}

pub(super) fn order_not_found(order_id: OrderId) -> Status {
    let reason = because(reason::ORDER_NOT_FOUND).metadata("order_id", order_id);
    status::not_found(reason, ORDER, order_id)
}

pub(super) fn product_not_found(product_id: ProductId) -> Status {
    let reason = because(reason::PRODUCT_NOT_FOUND).metadata("product_id", product_id);
    status::not_found(reason, PRODUCT, product_id)
}

pub(super) fn user_not_found(user_id: UserId) -> Status {
    let reason = because(reason::USER_NOT_FOUND).metadata("user_id", user_id);
    status::not_found(reason, USER, user_id)
}

pub(super) fn too_many_watches(error: &TooManyWatches) -> Status {
    let reason = because(reason::TOO_MANY_WATCHES);
    status::resource_exhausted(reason, error.to_string(), RETRY_AFTER)
}

/// The database failed: whether to try again is all that the caller is told.
pub(super) fn store(source: &sqlx::Error) -> Status {
    let code = source.as_database_error().and_then(DatabaseError::code);
    if code.is_some_and(|code| code == QUERY_CANCELED) {
        return status::deadline_exceeded();
    }
    match classify(source) {
        Class::Transient | Class::Contention => {
            error!(error = source as &dyn Error, "the database does not answer or is busy");
            let message = "the database does not answer or is busy; try again";
            status::unavailable(because(reason::DATABASE_UNAVAILABLE), message, RETRY_AFTER)
        }
        Class::Suspect | Class::Permanent => status::internal(source),
    }
}

fn request(error: RequestError) -> Status {
    match error {
        RequestError::Reused => {
            let violation = FieldViolation::new("request_id", "was used with another request");
            status::invalid_argument(because(reason::REQUEST_ID_REUSED), vec![violation])
        }
        RequestError::Store(error) => store(&error),
        error @ RequestError::Answer(_) => status::internal(&error),
    }
}

fn wrong_field(field: impl Into<String>, description: &str) -> Status {
    invalid(InvalidRequest(vec![FieldViolation::new(field, description)]))
}

fn precondition(reason: ErrorReason, subject: String, message: String) -> Status {
    let violation = PreconditionViolation::new("STATE", subject, &message);
    status::failed_precondition(reason, message, vec![violation])
}

fn because(reason: &'static str) -> ErrorReason {
    ErrorReason::new(reason::DOMAIN, reason)
}
