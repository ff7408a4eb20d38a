//! I-7: an order costs what its lines do; at most one live payment an order, one for a completed one and none for a cancelled one,
//! its user the order's and its amount the order's total, and that it is paid is announced; at most one charge a payment, and an order, in the provider's
//! ledger, and only what is paid is charged.

use std::collections::{BTreeMap, HashMap, HashSet};

use proto::store::payments::events::v1::payment_event::Event;
use uuid::Uuid;

use crate::audit::{
    Content, Evidence, Findings, LedgerEntry, LedgerKind, Order, OrderState, Payment, PaymentState,
    Row, Snapshot, Violation,
};

type Ledger<'a> = HashMap<Uuid, Vec<&'a LedgerEntry>>;

/// The payments that are too many or wrong, and the charges.
pub(super) fn check(evidence: &Evidence<'_>) -> Findings {
    let snapshot = evidence.snapshot;
    let orders: HashMap<_, _> =
        snapshot.orders.iter().map(|order| (order.order_id, order)).collect();
    let mut ledger = Ledger::new();
    for entry in &snapshot.ledger {
        ledger.entry(entry.payment_id).or_default().push(entry);
    }
    let announced = announced_as_paid(snapshot);
    let mut violations = wrong_totals(snapshot);
    for payment in &snapshot.payments {
        let order = orders.get(&payment.order_id).copied();
        violations.extend(wrong_payment(payment, order));
        if payment.state == PaymentState::Paid
            && !announced.contains(&payment.payment_id)
            && order.is_some_and(|order| !order.is_paid)
        {
            let says = format!(
                "is not paid, and its payment {} is, of which nothing was announced",
                payment.payment_id
            );
            violations.push(Violation::of_order(payment.order_id, says));
        }
        let entries = ledger.get(&payment.payment_id).map(Vec::as_slice).unwrap_or_default();
        violations.extend(wrong_ledger(payment, entries));
    }
    violations.extend(several_live(&snapshot.payments));
    violations.extend(wrong_charges(&snapshot.payments, &snapshot.ledger));
    let charges = captures(&snapshot.ledger).count();
    let counted = vec![
        (snapshot.orders.len(), "orders"),
        (snapshot.payments.len(), "payments"),
        (charges, "charges"),
    ];
    Findings { counted, violations }
}

/// The orders that do not cost what their lines do.
fn wrong_totals(snapshot: &Snapshot) -> Vec<Violation> {
    let mut sums: HashMap<Uuid, i64> = HashMap::new();
    for line in &snapshot.lines {
        *sums.entry(line.order_id).or_default() += i64::from(line.quantity) * line.unit_price_minor;
    }
    let wrong = |order: &Order| {
        let sum = sums.get(&order.order_id).copied().unwrap_or_default();
        let says = || format!("costs {}, and its lines cost {sum}", order.total_minor);
        (sum != order.total_minor).then(|| Violation::of_order(order.order_id, says()))
    };
    snapshot.orders.iter().filter_map(wrong).collect()
}

/// The payments of which it was announced that they are paid.
fn announced_as_paid(snapshot: &Snapshot) -> HashSet<Uuid> {
    let paid = |row: &Row| match row.content() {
        Content::Payment(Event::PaymentProcessed(event)) => event.payment_id.parse().ok(),
        Content::Payment(_)
        | Content::Order(_)
        | Content::Stock(_)
        | Content::Product(_)
        | Content::User(_)
        | Content::Unreadable => None,
    };
    snapshot.outbox.iter().filter_map(paid).collect()
}

/// A payment that does not fit its order.
fn wrong_payment(payment: &Payment, order: Option<&Order>) -> Option<Violation> {
    let (id, state) = (payment.payment_id, payment.state.name());
    let says = match order {
        None => format!("does not exist and has payment {id}"),
        Some(order) if order.state == OrderState::Cancelled && payment.state.is_live() => {
            format!("is CANCELLED, and its payment {id} is {state}")
        }
        Some(order) if order.state == OrderState::Completed && !payment.state.is_live() => {
            format!("is COMPLETED, and its payment {id} is {state}")
        }
        Some(order)
            if (order.total_minor, &order.currency)
                != (payment.amount_minor, &payment.currency) =>
        {
            let (Payment { amount_minor, currency, .. }, total) = (payment, order.total_minor);
            format!(
                "costs {total} {}, and its payment {id} is of {amount_minor} {currency}",
                order.currency
            )
        }
        Some(order) if order.user_id != payment.user_id => {
            format!("is of user {}, and its payment {id} of {}", order.user_id, payment.user_id)
        }
        Some(_) => return None,
    };
    Some(Violation::of_order(payment.order_id, says))
}

/// A payment with which the provider does not agree.
fn wrong_ledger(payment: &Payment, entries: &[&LedgerEntry]) -> Option<Violation> {
    let has = |kind| entries.iter().any(|entry| entry.kind == kind);
    let (id, state) = (payment.payment_id, payment.state);
    let amount = (payment.amount_minor, &payment.currency);
    let charged = has(LedgerKind::Captured);
    let held = has(LedgerKind::Authorised) && !has(LedgerKind::Voided);
    let says = match state {
        _ if entries.iter().any(|entry| (entry.amount_minor, &entry.currency) != amount) => {
            format!("has payment {id}, of which the provider's ledger has another amount")
        }
        _ if charged && has(LedgerKind::Voided) => {
            format!("has payment {id}, which the provider has charged and set free")
        }
        PaymentState::Paid if !charged => {
            format!("is paid with payment {id}, which the provider has not charged")
        }
        PaymentState::Requested
        | PaymentState::Pending
        | PaymentState::Refused
        | PaymentState::Cancelled
            if charged =>
        {
            format!("was charged for payment {id}, which is {}", state.name())
        }
        PaymentState::Cancelled if held => {
            format!("has payment {id}, which is cancelled, and the provider holds its amount")
        }
        PaymentState::Pending if !held => {
            format!("has payment {id}, which is pending, and the provider does not hold its amount")
        }
        PaymentState::Requested
        | PaymentState::Pending
        | PaymentState::Paid
        | PaymentState::Refused
        | PaymentState::Cancelled => return None,
    };
    Some(Violation::of_order(payment.order_id, says))
}

fn several_live(payments: &[Payment]) -> Vec<Violation> {
    let mut live: BTreeMap<Uuid, usize> = BTreeMap::new();
    for payment in payments.iter().filter(|payment| payment.state.is_live()) {
        *live.entry(payment.order_id).or_default() += 1;
    }
    let several = live.into_iter().filter(|(_, count)| *count > 1);
    several
        .map(|(order_id, count)| {
            Violation::of_order(order_id, format!("has {count} live payments"))
        })
        .collect()
}

/// Charges of a payment or an order that has one already, and of payments that are not known.
fn wrong_charges(payments: &[Payment], ledger: &[LedgerEntry]) -> Vec<Violation> {
    let known: HashSet<_> = payments.iter().map(|payment| payment.payment_id).collect();
    let mut of_orders: BTreeMap<Uuid, usize> = BTreeMap::new();
    captures(ledger).for_each(|entry| *of_orders.entry(entry.order_id).or_default() += 1);
    let several = of_orders.into_iter().filter(|(_, count)| *count > 1);
    let mut violations: Vec<_> = several
        .map(|(order_id, count)| {
            Violation::of_order(order_id, format!("was charged {count} times"))
        })
        .collect();
    let unknown = captures(ledger).filter(|entry| !known.contains(&entry.payment_id));
    violations.extend(unknown.map(|LedgerEntry { order_id, payment_id, .. }| {
        let says = format!("was charged for payment {payment_id}, which does not exist");
        Violation::of_order(*order_id, says)
    }));
    violations
}

fn captures(ledger: &[LedgerEntry]) -> impl Iterator<Item = &LedgerEntry> {
    ledger.iter().filter(|entry| entry.kind == LedgerKind::Captured)
}
