//! Stores that are broken on purpose, each in one way that real ones are: the auditor has to catch every one of them.
//!
//! They are tiny, and share nothing with the services but the contract and the tables: orders, stock and payments in one process
//! (`lab naive-store`) over a real PostgreSQL and a real Kafka, which dies by SIGKILL exactly where it was told to ([`Place`]).
//! [`Flaw::Sound`] is the same without a flaw: nothing may be found wrong with it.
//!
//! The road is the saga's shortest one. An order of which there is always enough on hand is charged at once, with no caller in
//! between; a total above a limit is refused by the provider, and the stock given back.
//!
//! ```text
//! server      CreateOrder      stores the order        OrderCreated
//! orders      OrderCreated     takes the stock         StockDecreased
//! payments    StockDecreased   charges                 PaymentCreated, PaymentProcessed, or PaymentCreationFailed
//! orders      PaymentCreated   completes the order     SagaCompleted
//!             PaymentProcessed notes that it is paid
//!             PaymentCreationFailed gives stock back   StockIncreased
//!             StockIncreased   cancels the order       OrderCancelled
//!             OrderCancelled   ends the saga           SagaCompleted
//! ```

mod announcement;
mod consumer;
mod error;
mod flaw;
mod orders;
mod payments;
mod places;
mod quiet;
mod relay;
mod server;
mod shop;
mod store;

pub use error::NaiveError;
pub use flaw::Flaw;
pub use places::{Armed, Place};
pub use shop::{Hold, NaiveShop};
pub use store::{NaiveOptions, run};

pub(crate) use quiet::published;
