//! An order, and what its saga does to it. Which of these happens when is decided in [`saga`](super::saga).

use proto::{Money, OrderId, PaymentId, ProductId, UserId};
use sqlx::types::time::OffsetDateTime;

use super::saga::Payment;

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderState {
    /// Set by the command `create_order`: stored, nothing taken.
    DecreasingStock,
    /// Set by the handler `order_created`: all lines are taken.
    CreatingPayment,
    /// Set by the handlers `payment_created` and, where a cancel came too late, `payment_processed`.
    Completed,
    /// Set by the handlers `order_created` (a line was short), `payment_creation_failed`, `payment_cancelled`, and by the
    /// command `cancel_order`.
    Cancelling,
    /// Set by the handlers `stock_decrease_failed`, `stock_increased`, and by the command `cancel_order`.
    Cancelled,
    /// Set by whoever cannot give the stock back: `payment_creation_failed`, `payment_cancelled`.
    NeedsAttention,
}

impl OrderState {
    /// Whether a watch of the order ends here.
    pub fn is_end(self) -> bool {
        match self {
            Self::Completed | Self::Cancelled | Self::NeedsAttention => true,
            Self::DecreasingStock | Self::CreatingPayment | Self::Cancelling => false,
        }
    }
}

/// The kinds of failure of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureReason {
    /// A line asked for more than was on hand.
    InsufficientStock,
    /// The payment provider refused the payment.
    PaymentRefused,
    /// The caller cancelled the order.
    CancelledByCaller,
    /// The stock could not be given back, because a product is gone.
    StockIncreaseFailed,
}

/// Why an order did not become what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: FailureReason,
    /// The same for people.
    pub detail: String,
    pub product_id: Option<ProductId>,
}

impl Failure {
    /// A line asked for more than was on hand.
    pub fn insufficient_stock(product_id: ProductId, available: i64, required: i32) -> Self {
        Self {
            reason: FailureReason::InsufficientStock,
            detail: format!("available={available}, required={required}"),
            product_id: Some(product_id),
        }
    }

    /// The provider refused, in its words.
    pub fn payment_refused(detail: String) -> Self {
        Self { reason: FailureReason::PaymentRefused, detail, product_id: None }
    }

    /// The caller wanted it so.
    pub fn cancelled_by_caller() -> Self {
        let detail = "cancelled by the caller".to_owned();
        Self { reason: FailureReason::CancelledByCaller, detail, product_id: None }
    }

    /// A product is gone, so that its stock cannot be given back.
    pub fn stock_increase_failed(product_id: Option<ProductId>) -> Self {
        let detail = "the stock cannot be given back: the product is gone".to_owned();
        Self { reason: FailureReason::StockIncreaseFailed, detail, product_id }
    }
}

/// A product of an order, as it was when the order was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    pub product_id: ProductId,
    pub quantity: i32,
    pub unit_price_minor: i64,
    pub name: String,
    pub sku: String,
}

/// An order without its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub order_id: OrderId,
    pub user_id: UserId,
    pub state: OrderState,
    pub total: Money,
    /// Whether its quantities are taken out of the stock.
    pub stock_taken: bool,
    pub is_paid: bool,
    pub payment_id: Option<PaymentId>,
    pub payment_link: Option<String>,
    pub failure: Option<Failure>,
    /// Whether SagaCompleted has been announced.
    pub saga_completed: bool,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl Order {
    /// All its lines are taken out of the stock; the payment comes next.
    pub fn take_stock(&mut self) {
        self.state = OrderState::CreatingPayment;
        self.stock_taken = true;
    }

    /// It will not be completed, or perhaps not; what was done is being undone. The first reason is kept.
    pub fn start_cancelling(&mut self, failure: Failure) {
        self.state = OrderState::Cancelling;
        self.failure.get_or_insert(failure);
    }

    /// Its lines are back in the stock.
    pub fn give_stock_back(&mut self, failure: Failure) {
        if let Some(Failure { reason: FailureReason::StockIncreaseFailed, .. }) = self.failure {
            self.failure = None;
        }
        self.start_cancelling(failure);
        self.stock_taken = false;
    }

    /// Its lines cannot go back. It keeps holding them, and somebody has to look.
    pub fn need_attention(&mut self, failure: Failure) {
        self.state = OrderState::NeedsAttention;
        self.failure = Some(failure);
    }

    /// Nothing is held for it any more.
    pub fn cancel(&mut self, failure: Failure) {
        self.state = OrderState::Cancelled;
        self.failure.get_or_insert(failure);
    }

    /// Its payment exists.
    pub fn complete(&mut self, payment: Payment) {
        self.note_payment(payment);
        self.state = OrderState::Completed;
    }

    /// Its payment exists, which changes nothing yet.
    pub fn note_payment(&mut self, payment: Payment) {
        self.payment_id = Some(payment.payment_id);
        self.payment_link = Some(payment.payment_link);
    }

    /// It is paid, so a cancel came too late.
    pub fn pay(&mut self, payment_id: PaymentId) {
        self.state = OrderState::Completed;
        self.payment_id = Some(payment_id);
        self.is_paid = true;
        self.failure = None;
    }

    /// Notes that its saga has ended; `false` if that was announced before.
    #[must_use]
    pub fn end_saga(&mut self) -> bool {
        !std::mem::replace(&mut self.saga_completed, true)
    }
}
