//! The events that ask something of somebody. Of each, an order has at most one that matters; who announces it knows what it says.

/// An event on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Event {
    OrderCreated,
    OrderCancellationRequested,
    OrderCancelled,
    StockDecreased,
    StockDecreaseFailed,
    StockIncreased,
    PaymentCreated,
    PaymentCreationFailed,
    PaymentProcessed,
    PaymentCancelled,
}

/// What keeps its order: one reader's view of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Lane {
    /// store-manager reads `store.orders.events.v1`.
    OrdersToStore,
    /// payments reads it too.
    OrdersToPayments,
    /// store-manager reads `store.stock.events.v1`.
    StockToStore,
    /// payments reads it too.
    StockToPayments,
    /// store-manager reads `store.payments.events.v1`.
    PaymentsToStore,
}

impl Event {
    /// Where it stands in line: behind the events before it on its topic, as its reader sees them.
    pub(super) fn lane(self) -> Lane {
        match self {
            Self::OrderCreated | Self::OrderCancelled => Lane::OrdersToStore,
            Self::OrderCancellationRequested => Lane::OrdersToPayments,
            Self::StockDecreaseFailed | Self::StockIncreased => Lane::StockToStore,
            Self::StockDecreased => Lane::StockToPayments,
            Self::PaymentCreated
            | Self::PaymentCreationFailed
            | Self::PaymentProcessed
            | Self::PaymentCancelled => Lane::PaymentsToStore,
        }
    }
}
