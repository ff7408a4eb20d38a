//! What a run of the model is about.

use super::promises::Sight;

/// One precaution that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// No inbox, and OrderCreated takes the stock whatever the state is.
    RepeatsCount,
    /// The stock is given back when the payment has failed, and again when that is announced.
    RestocksTwice,
    /// A cancel gives the stock back at once: payments is not asked whether it is in time.
    CancelsAlone,
    /// No outbox: the stock is given back, and the process dies before it has published that.
    LosesAnEvent,
    /// Nobody notes that SagaCompleted was announced.
    ForgetsTheEnd,
    /// A cancel is announced as done before payments has decided.
    AnnouncesTooEarly,
    /// The provider does not know a payment by its id: who captures again charges again, twice at most here.
    ChargesAgain,
}

/// How much there is, and how it may go wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Orders, each of one unit of the product.
    pub(super) orders: usize,
    /// Units at the start.
    pub(super) stock: i64,
    /// Whether an event that comes again is recognised by its id. Without, the states have to.
    pub(super) inbox: bool,
    /// What is missing.
    pub(super) flaw: Option<Flaw>,
    /// What must be seen somewhere.
    pub(super) sights: &'static [Sight],
}

impl Bounds {
    /// Whether it is this flaw that the run is about.
    pub(super) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }
}
