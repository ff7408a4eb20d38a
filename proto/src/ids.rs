//! Ids as types: an order's id cannot be passed where a product's is wanted. All are UUIDs; those made here are UUIDv7.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// A text that is no id: ids are UUIDs of 36 characters, as `01990000-0000-7000-8000-000000000001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID of 36 characters, such as 01990000-0000-7000-8000-000000000001")]
pub struct IdError;

/// Reads a hyphenated UUID of 36 characters in either case, and no other spelling of one.
///
/// # Errors
/// [`IdError`] for anything else.
pub fn parse_uuid(text: &str) -> Result<Uuid, IdError> {
    if text.len() != uuid::fmt::Hyphenated::LENGTH {
        return Err(IdError);
    }
    Uuid::try_parse(text).map_err(|_| IdError)
}

macro_rules! id {
    ($name:ident, $what:literal) => {
        #[doc = concat!("The id of ", $what, ".")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Makes a new id, later in order than those made before.
            #[must_use]
            #[allow(
                clippy::new_without_default,
                reason = "a default id would be another each time"
            )]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_uuid(text).map(Self)
            }
        }
    };
}

id!(OrderId, "an order");
id!(PaymentId, "a payment");
id!(ProductId, "a product");
id!(UserId, "a user");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_spelling_is_an_id() {
        let id = OrderId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in
            ["", "1", "0199000000007000800000000000001", "{01990000-0000-7000-8000-000000000001}"]
        {
            assert_eq!(text.parse::<OrderId>(), Err(IdError), "{text}");
        }
    }
}
