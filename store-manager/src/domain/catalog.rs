//! Products, their stock, and users.

use proto::{Currency, Money, ProductId, UserId};
use sqlx::types::time::OffsetDateTime;

/// The most that can be set as on hand.
pub(crate) const MAX_QUANTITY: i64 = 1_000_000_000;

/// Something that is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) product_id: ProductId,
    pub(crate) name: String,
    pub(crate) sku: String,
    pub(crate) price: Money,
    pub(crate) created_at: OffsetDateTime,
}

/// How many of a product are on hand, with what people call the product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stock {
    pub(crate) product_id: ProductId,
    pub(crate) quantity: i64,
    pub(crate) version: i64,
    pub(crate) name: String,
    pub(crate) sku: String,
    pub(crate) price: Money,
    pub(crate) updated_at: OffsetDateTime,
}

/// What a user is to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum UserType {
    /// Buys.
    Client,
    /// Works in the store.
    Employee,
    /// Runs the store.
    Manager,
}

/// Somebody the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) user_id: UserId,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) user_type: UserType,
    pub(crate) created_at: OffsetDateTime,
}

/// What a change of stock leads to, or `None` if that is not 0 to [`MAX_QUANTITY`].
pub(crate) fn adjusted(quantity: i64, delta: i64) -> Option<i64> {
    quantity.checked_add(delta).filter(|after| (0..=MAX_QUANTITY).contains(after))
}

/// The sum of quantities times unit prices, or `None` if it is too large.
pub(crate) fn total(
    lines: impl IntoIterator<Item = (i32, i64)>,
    currency: Currency,
) -> Option<Money> {
    let amount_minor = lines.into_iter().try_fold(0_i64, |sum, (quantity, unit_price_minor)| {
        sum.checked_add(unit_price_minor.checked_mul(quantity.into())?)
    })?;
    Some(Money::new(amount_minor, currency))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_stays_in_its_range() {
        assert_eq!(adjusted(2, -2), Some(0));
        assert_eq!(adjusted(2, -3), None);
        assert_eq!(adjusted(MAX_QUANTITY, 1), None);
        assert_eq!(adjusted(1, i64::MAX), None);
        assert_eq!(adjusted(0, i64::MIN), None);
    }

    #[test]
    fn a_total_that_overflows_is_none() {
        assert_eq!(
            total([(1, 5950), (2, 575)], Currency::CAD),
            Some(Money::new(7100, Currency::CAD))
        );
        assert_eq!(total([(2, i64::MAX)], Currency::CAD), None);
        assert_eq!(total([(1, i64::MAX), (1, 1)], Currency::CAD), None);
    }
}
