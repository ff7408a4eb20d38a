//! The reasons of this service's errors, in the domain `store-manager`. `docs/errors.md` lists them.

/// The domain.
pub const DOMAIN: &str = "store-manager";

/// Fields are wrong, each named.
pub const INVALID_REQUEST: &str = "INVALID_REQUEST";
/// The request id was used with another request.
pub const REQUEST_ID_REUSED: &str = "REQUEST_ID_REUSED";
/// There is no such order.
pub const ORDER_NOT_FOUND: &str = "ORDER_NOT_FOUND";
/// There is no such product.
pub const PRODUCT_NOT_FOUND: &str = "PRODUCT_NOT_FOUND";
/// There is no such user.
pub const USER_NOT_FOUND: &str = "USER_NOT_FOUND";
/// A paid order is not cancelled.
pub const ORDER_ALREADY_PAID: &str = "ORDER_ALREADY_PAID";
/// Another product has the SKU.
pub const SKU_TAKEN: &str = "SKU_TAKEN";
/// Another user has the e-mail address.
pub const EMAIL_TAKEN: &str = "EMAIL_TAKEN";
/// An order that is neither cancelled nor paid has a line of the product.
pub const PRODUCT_IN_USE: &str = "PRODUCT_IN_USE";
/// The user has orders.
pub const USER_HAS_ORDERS: &str = "USER_HAS_ORDERS";
/// The stock would leave its range.
pub const STOCK_OUT_OF_RANGE: &str = "STOCK_OUT_OF_RANGE";
/// As many orders are being watched as may be.
pub const TOO_MANY_WATCHES: &str = "TOO_MANY_WATCHES";
/// The database does not answer, or is busy.
pub const DATABASE_UNAVAILABLE: &str = "DATABASE_UNAVAILABLE";

/// All of them.
pub const ALL: [&str; 13] = [
    INVALID_REQUEST,
    REQUEST_ID_REUSED,
    ORDER_NOT_FOUND,
    PRODUCT_NOT_FOUND,
    USER_NOT_FOUND,
    ORDER_ALREADY_PAID,
    SKU_TAKEN,
    EMAIL_TAKEN,
    PRODUCT_IN_USE,
    USER_HAS_ORDERS,
    STOCK_OUT_OF_RANGE,
    TOO_MANY_WATCHES,
    DATABASE_UNAVAILABLE,
];
