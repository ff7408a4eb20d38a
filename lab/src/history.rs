//! What callers did and were told, as Jepsen keeps it: each call with its answer, or that nobody knows. The auditor holds it
//! against what is there afterwards. As text it is one JSON object a line.

use std::{fs, io, path::Path, time::SystemTime};

use proto::store::{orders::v1::Order, payments::v1::Payment, stock::v1::Stock};
use serde::{Deserialize, Serialize};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// All calls of a campaign, in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The calls. One that was repeated is there as often as it was made.
    pub invocations: Vec<Invocation>,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// What was asked for.
    pub command: Command,
    /// When the caller called.
    pub began: SystemTime,
    /// When the caller had its answer, or gave up; none if neither had happened when the history was taken.
    pub ended: Option<SystemTime>,
    /// What the caller was told.
    pub answer: Answer,
}

/// What a caller may ask for. Calls with one `request_id` are one request, however often it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// `OrderService/CreateOrder`.
    CreateOrder {
        /// The request's id.
        #[serde(with = "text")]
        request_id: Uuid,
        /// Who orders.
        #[serde(with = "text")]
        user_id: Uuid,
        /// What.
        lines: Vec<Line>,
    },
    /// `OrderService/CancelOrder`.
    CancelOrder {
        /// Which order.
        #[serde(with = "text")]
        order_id: Uuid,
    },
    /// `PaymentService/ProcessPayment`.
    ProcessPayment {
        /// Which payment.
        #[serde(with = "text")]
        payment_id: Uuid,
    },
    /// `StockService/SetStock`.
    SetStock {
        /// The request's id.
        #[serde(with = "text")]
        request_id: Uuid,
        /// Of which product.
        #[serde(with = "text")]
        product_id: Uuid,
        /// How many there shall be.
        quantity: i64,
    },
    /// `StockService/AdjustStock`.
    AdjustStock {
        /// The request's id.
        #[serde(with = "text")]
        request_id: Uuid,
        /// Of which product.
        #[serde(with = "text")]
        product_id: Uuid,
        /// How many more there shall be, or fewer.
        difference: i64,
    },
}

/// A line of an order that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line {
    /// Which product.
    #[serde(with = "text")]
    pub product_id: Uuid,
    /// How many.
    pub quantity: i32,
}

/// What a caller was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Ok(Reply),
    /// It is not done, and will not be.
    Refused {
        /// The gRPC code's name, such as `NotFound`.
        code: String,
        /// The reason of its `ErrorInfo`, such as `PRODUCT_NOT_FOUND`; empty if it has none.
        reason: String,
    },
    /// Nobody knows: it may have been done, or may still be, or not; at most once.
    Unknown,
}

/// What an answer says of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The order as it was then.
    Order {
        /// Its id.
        #[serde(with = "text")]
        order_id: Uuid,
        /// Its state, as `store_manager.orders` has it.
        state: String,
        /// Whether it was paid.
        is_paid: bool,
    },
    /// The payment as it was then.
    Payment {
        /// Its id.
        #[serde(with = "text")]
        payment_id: Uuid,
        /// The order it pays.
        #[serde(with = "text")]
        order_id: Uuid,
        /// Its state, as `payments.payments` has it.
        state: String,
    },
    /// The stock as it was then.
    Stock {
        /// Of which product.
        #[serde(with = "text")]
        product_id: Uuid,
        /// How many were on hand.
        quantity: i64,
        /// How many changes the stock had seen.
        version: i64,
    },
}

impl Answer {
    /// What the result of a call tells: a status is a refusal only where its code says that nothing was done.
    #[must_use]
    pub fn of<T: Into<Reply>>(result: Result<T, Status>) -> Self {
        result.map_or_else(|status| Self::from(&status), |told| Self::Ok(told.into()))
    }
}

impl From<&Status> for Answer {
    fn from(status: &Status) -> Self {
        match status.code() {
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented => Self::Refused {
                code: format!("{:?}", status.code()),
                reason: status.get_details_error_info().map(|info| info.reason).unwrap_or_default(),
            },
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => Self::Unknown,
        }
    }
}

impl From<Order> for Reply {
    fn from(order: Order) -> Self {
        let state = order.state().as_str_name().trim_start_matches("STATE_").to_owned();
        Self::Order { order_id: id(&order.order_id), state, is_paid: order.is_paid }
    }
}

impl From<Payment> for Reply {
    fn from(payment: Payment) -> Self {
        let state = payment.state().as_str_name().trim_start_matches("STATE_").to_lowercase();
        let order_id = id(&payment.order_id);
        Self::Payment { payment_id: id(&payment.payment_id), order_id, state }
    }
}

impl From<Stock> for Reply {
    fn from(stock: Stock) -> Self {
        let Stock { quantity, version, .. } = stock;
        Self::Stock { product_id: id(&stock.product_id), quantity, version }
    }
}

impl History {
    /// Writes it as JSON lines.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = String::new();
        for invocation in &self.invocations {
            text.push_str(&serde_json::to_string(invocation)?);
            text.push('\n');
        }
        fs::write(path, text)
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// If the file cannot be read, or a line is no invocation; says which line.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let parsed = lines.map(|(number, line)| {
            let wrong = |error| io::Error::other(format!("line {}: {error}", number + 1));
            serde_json::from_str(line).map_err(wrong)
        });
        Ok(Self { invocations: parsed.collect::<io::Result<_>>()? })
    }
}

/// What a service answers is an id; anything else is the nil id, which nothing has.
fn id(text: &str) -> Uuid {
    text.parse().unwrap_or_default()
}

/// Ids as the text that they are everywhere else.
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use uuid::Uuid;

    pub(super) fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Uuid, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn invocation(command: Command, answer: Answer) -> Invocation {
        let began = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        Invocation { command, began, ended: Some(began), answer }
    }

    #[test]
    fn a_history_is_read_as_it_was_written() {
        let [request_id, order_id, product_id] = [1, 2, 3].map(Uuid::from_u128);
        let lines = vec![Line { product_id, quantity: 2 }];
        let placed = Reply::Order { order_id, state: "COMPLETED".to_owned(), is_paid: true };
        let refused = Answer::Refused { code: "NotFound".to_owned(), reason: String::new() };
        let create = Command::CreateOrder { request_id, user_id: order_id, lines };
        let set = Command::SetStock { request_id, product_id, quantity: 7 };
        let history = History {
            invocations: vec![
                invocation(create, Answer::Ok(placed)),
                invocation(Command::CancelOrder { order_id }, Answer::Unknown),
                Invocation { ended: None, ..invocation(set, refused) },
            ],
        };
        let path = std::env::temp_dir().join(format!("history-{}", Uuid::now_v7()));
        history.write(&path).unwrap();
        let read = History::read(&path);
        fs::write(&path, "{}\n").unwrap();
        let wrong = History::read(&path);
        fs::remove_file(&path).unwrap();
        assert_eq!(read.unwrap(), history);
        assert!(wrong.unwrap_err().to_string().starts_with("line 1: "));
    }

    #[test]
    fn only_a_code_that_says_so_is_a_refusal() {
        let refused = Answer::of::<Order>(Err(Status::failed_precondition("paid")));
        assert_eq!(
            refused,
            Answer::Refused { code: "FailedPrecondition".to_owned(), reason: String::new() }
        );
        for status in [Status::unavailable(""), Status::internal(""), Status::deadline_exceeded("")]
        {
            assert_eq!(Answer::of::<Order>(Err(status)), Answer::Unknown);
        }
    }

    #[test]
    fn a_reply_has_the_states_of_the_tables() {
        use proto::store::{orders::v1::order, payments::v1::payment};
        let order = Order { state: order::State::CreatingPayment.into(), ..Order::default() };
        let payment = Payment { state: payment::State::Paid.into(), ..Payment::default() };
        let states = [Reply::from(order), Reply::from(payment)].map(|reply| match reply {
            Reply::Order { state, .. } | Reply::Payment { state, .. } => state,
            Reply::Stock { .. } => String::new(),
        });
        assert_eq!(states, ["CREATING_PAYMENT", "paid"]);
    }
}
