//! Payments of the tiny store: an order whose stock is taken is charged at once.

use proto::{
    Money,
    store::{
        payments::events::v1::{
            PaymentCreated, PaymentCreationFailed, PaymentEvent, PaymentProcessed,
        },
        stock::events::v1::{StockDecreased, stock_event::Event as Stock},
    },
};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    NaiveError,
    announcement::Announcement,
    consumer::{Announcements, Event, Record},
    flaw::Role,
    store::Store,
};

/// What the provider has said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    payment_id: Uuid,
    accepted: bool,
}

const REFUSAL: &str = "the amount is above the limit";

/// Has the provider charge the order that an event wants paid; `None` for other events. The provider keeps its own books: what it
/// has done is not undone with a transaction of ours. A payment id is charged once; whoever does not know whether a payment was
/// made has no id to ask for, and makes another.
pub(super) async fn charge(store: &Store, record: &Record) -> Result<Option<Charge>, NaiveError> {
    let Event::Stock(Stock::StockDecreased(event)) = &record.event else { return Ok(None) };
    let order_id: Uuid = event.order_id.parse()?;
    let amount = amount(event)?;
    let accepted = amount.amount_minor <= store.decline_above_minor;
    let payment_id = if store.flaw.remembers(Role::Payments) { order_id } else { Uuid::now_v7() };
    let pool = store.pool(Role::Payments);
    if accepted {
        book(pool, payment_id, order_id, amount, "authorised").await?;
        book(pool, payment_id, order_id, amount, "captured").await?;
    } else {
        book(pool, payment_id, order_id, amount, "declined").await?;
    }
    Ok(Some(Charge { payment_id, accepted }))
}

/// An entry in the provider's ledger, unless it has one of the kind for the payment id.
async fn book(
    pool: &PgPool,
    payment_id: Uuid,
    order_id: Uuid,
    amount: Money,
    kind: &'static str,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO simulated_provider.ledger
             (payment_id, order_id, kind, amount_minor, currency, reason)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT DO NOTHING",
    )
    .bind(payment_id)
    .bind(order_id)
    .bind(kind)
    .bind(amount.amount_minor)
    .bind(amount.currency.code())
    .bind((kind == "declined").then_some(REFUSAL))
    .execute(pool)
    .await
    .map(drop)
}

/// Writes the payment down; answers what is to be announced.
pub(super) async fn handle(
    connection: &mut PgConnection,
    record: &Record,
    charge: Option<Charge>,
) -> Result<Announcements, NaiveError> {
    let (Event::Stock(Stock::StockDecreased(event)), Some(charge)) = (&record.event, charge) else {
        return Ok(Vec::new());
    };
    let amount = amount(event)?;
    let link = format!("https://pay.example/{}", charge.payment_id);
    let state = if charge.accepted { "paid" } else { "refused" };
    sqlx::query(
        "INSERT INTO payments.payments (
             payment_id, order_id, user_id, amount_minor, currency, state, payment_link, settled_at,
             correlation_id, causation_id
         ) VALUES ($1, $2, $3, $4, $5, $6, $7, now(), $2, $8)",
    )
    .bind(charge.payment_id)
    .bind(event.order_id.parse::<Uuid>()?)
    .bind(event.user_id.parse::<Uuid>()?)
    .bind(amount.amount_minor)
    .bind(amount.currency.code())
    .bind(state)
    .bind(charge.accepted.then_some(&link))
    .bind(record.event_id)
    .execute(connection)
    .await?;
    Ok(announcements(event, charge, amount, link, record.event_id))
}

fn announcements(
    event: &StockDecreased,
    charge: Charge,
    amount: Money,
    payment_link: String,
    cause: Uuid,
) -> Announcements {
    let (order_id, user_id) = (event.order_id.clone(), event.user_id.clone());
    let payment_id = charge.payment_id.to_string();
    if !charge.accepted {
        let reason = REFUSAL.to_owned();
        let failed = PaymentCreationFailed { order_id, payment_id, reason };
        return vec![Announcement::new::<PaymentEvent>(failed, Some(cause))];
    }
    let created = PaymentCreated {
        order_id: order_id.clone(),
        payment_id: payment_id.clone(),
        user_id: user_id.clone(),
        amount: Some(amount.into()),
        payment_link,
    };
    let processed = PaymentProcessed { order_id, payment_id, user_id, amount: Some(amount.into()) };
    let created = Announcement::new::<PaymentEvent>(created, Some(cause));
    let because = Some(created.id);
    vec![created, Announcement::new::<PaymentEvent>(processed, because)]
}

fn amount(event: &StockDecreased) -> Result<Money, NaiveError> {
    let total = event.total.as_ref().ok_or(NaiveError::Event("a total"))?;
    Money::try_from(total).map_err(|_| NaiveError::Event("an amount"))
}
