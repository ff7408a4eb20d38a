//! Money as whole minor units of one currency. Never a float; `google.type.Money` on the wire.

use std::{fmt, str::FromStr};

use crate::google::r#type;

/// An ISO 4217 currency with two decimal places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The Canadian dollar, the store's own unless configured otherwise.
    pub const CAD: Self = Self(*b"CAD");

    /// The three letters.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII letters are let in")
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match text.as_bytes() {
            &[a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(MoneyError::Currency),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

/// A `google.type.Money` that is no amount of ours, or a sum that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The currency is not three capital letters.
    #[error("the currency is not an ISO 4217 code")]
    Currency,
    /// The nanos are no whole cents, out of range, or of another sign than the units.
    #[error("the nanos are not a whole number of cents of the same sign as the units")]
    Nanos,
    /// The amount is too large.
    #[error("the amount is too large")]
    Overflow,
}

const MINOR_PER_UNIT: i64 = 100;
const NANOS_PER_MINOR: i32 = 10_000_000;

/// An amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    /// The amount in minor units (cents).
    pub amount_minor: i64,
    /// Of which currency.
    pub currency: Currency,
}

impl Money {
    /// So many minor units of `currency`.
    #[must_use]
    pub const fn new(amount_minor: i64, currency: Currency) -> Self {
        Self { amount_minor, currency }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let amount = self.amount_minor.unsigned_abs();
        let minor_per_unit = MINOR_PER_UNIT.unsigned_abs();
        let (units, minor) = (amount / minor_per_unit, amount % minor_per_unit);
        write!(formatter, "{sign}{units}.{minor:02} {}", self.currency)
    }
}

impl From<Money> for r#type::Money {
    fn from(money: Money) -> Self {
        let minor = i32::try_from(money.amount_minor % MINOR_PER_UNIT)
            .expect("a remainder of 100 fits in 32 bits");
        Self {
            currency_code: money.currency.to_string(),
            units: money.amount_minor / MINOR_PER_UNIT,
            nanos: minor * NANOS_PER_MINOR,
        }
    }
}

impl TryFrom<&r#type::Money> for Money {
    type Error = MoneyError;

    fn try_from(money: &r#type::Money) -> Result<Self, MoneyError> {
        let currency = money.currency_code.parse()?;
        let signs_differ =
            (money.units > 0 && money.nanos < 0) || (money.units < 0 && money.nanos > 0);
        if signs_differ
            || money.nanos % NANOS_PER_MINOR != 0
            || money.nanos.unsigned_abs() > 999_999_999
        {
            return Err(MoneyError::Nanos);
        }
        let amount_minor = money
            .units
            .checked_mul(MINOR_PER_UNIT)
            .and_then(|minor| minor.checked_add(i64::from(money.nanos / NANOS_PER_MINOR)))
            .ok_or(MoneyError::Overflow)?;
        Ok(Self { amount_minor, currency })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_amount_survives_the_wire(amount_minor: i64) {
            let money = Money::new(amount_minor, Currency::CAD);
            prop_assert_eq!(Money::try_from(&r#type::Money::from(money)), Ok(money));
        }

        #[test]
        fn no_wire_amount_panics(units: i64, nanos: i32, currency_code: String) {
            let _ = Money::try_from(&r#type::Money { currency_code, units, nanos });
        }
    }

    #[test]
    fn fractions_of_a_cent_are_refused() {
        let money = r#type::Money { currency_code: "CAD".to_owned(), units: 1, nanos: 1 };
        assert_eq!(Money::try_from(&money), Err(MoneyError::Nanos));
    }

    #[test]
    fn an_amount_reads_as_people_write_it() {
        assert_eq!(Money::new(-575, Currency::CAD).to_string(), "-5.75 CAD");
    }
}
