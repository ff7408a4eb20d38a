//! The states in the tables of orders, of payments and of the provider, word for word.

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderState {
    /// Stored.
    DecreasingStock,
    /// Its stock is taken.
    CreatingPayment,
    /// Its payment exists.
    Completed,
    /// What was done is being undone.
    Cancelling,
    /// Nothing is held for it any more.
    Cancelled,
    /// It could not be undone.
    NeedsAttention,
}

/// How far a payment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum PaymentState {
    /// The provider has not answered.
    Requested,
    /// Accepted.
    Pending,
    /// Paid.
    Paid,
    /// Refused.
    Refused,
    /// Cancelled.
    Cancelled,
}

/// What a provider notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum LedgerKind {
    /// The amount is held.
    Authorised,
    /// It is not held.
    Declined,
    /// It is charged.
    Captured,
    /// It is free again.
    Voided,
}

impl OrderState {
    /// Whether nothing more happens by itself.
    #[must_use]
    pub fn is_end(self) -> bool {
        match self {
            Self::Completed | Self::Cancelled | Self::NeedsAttention => true,
            Self::DecreasingStock | Self::CreatingPayment | Self::Cancelling => false,
        }
    }

    /// As everybody writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DecreasingStock => "DECREASING_STOCK",
            Self::CreatingPayment => "CREATING_PAYMENT",
            Self::Completed => "COMPLETED",
            Self::Cancelling => "CANCELLING",
            Self::Cancelled => "CANCELLED",
            Self::NeedsAttention => "NEEDS_ATTENTION",
        }
    }
}

impl PaymentState {
    /// Whether it is, or can still be, paid.
    #[must_use]
    pub fn is_live(self) -> bool {
        match self {
            Self::Requested | Self::Pending | Self::Paid => true,
            Self::Refused | Self::Cancelled => false,
        }
    }

    /// As everybody writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }
}
