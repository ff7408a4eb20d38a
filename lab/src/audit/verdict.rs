//! What the auditor says of each invariant.

use std::fmt;

use serde_json::{Value, json};
use uuid::Uuid;

use super::Snapshot;
use crate::{campaign::Delivery, history::History, invariants::Invariant};

/// How many violations of an invariant are told one by one.
const SHOWN: usize = 10;

/// What an invariant is held against.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What is there.
    pub snapshot: &'a Snapshot,
    /// What callers were told, if that is known: all of them, from the first call that it has.
    pub history: Option<&'a History>,
    /// How often an event may stand on Kafka.
    pub delivery: Delivery,
}

/// What an invariant's function has found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// How much it has looked at, and of what, as `orders`.
    pub counted: Vec<(usize, &'static str)>,
    /// What must not be.
    pub violations: Vec<Violation>,
}

/// Something that must not be, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The order it is about, if it is about one.
    pub order_id: Option<Uuid>,
    /// The sentence.
    pub sentence: String,
}

/// Whether an invariant holds.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Which.
    pub invariant: Invariant,
    /// How much was looked at, and of what.
    pub counted: Vec<(usize, &'static str)>,
    /// What must not be.
    pub violations: Vec<Violation>,
    /// Why it cannot be told though nothing is wrong: what is there no more, in a sentence each.
    pub limits: Vec<String>,
}

impl Violation {
    /// Something about an order: `says` goes on after its id.
    #[must_use]
    pub fn of_order(order_id: Uuid, says: impl fmt::Display) -> Self {
        Self { order_id: Some(order_id), sentence: format!("order {order_id} {says}") }
    }

    /// A whole sentence, which is about `order_id` if that is given.
    #[must_use]
    pub fn new(order_id: Option<Uuid>, sentence: impl Into<String>) -> Self {
        Self { order_id, sentence: sentence.into() }
    }
}

impl Verdict {
    /// Whether nothing is wrong, and all is there that could tell it.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.violations.is_empty() && self.limits.is_empty()
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let counted = self.counted.iter().map(|(count, what)| ((*what).to_owned(), json!(count)));
        let violations = self.violations.iter().map(|Violation { order_id, sentence }| {
            json!({ "order_id": order_id.map(|id| id.to_string()), "sentence": sentence })
        });
        json!({
            "invariant": self.invariant.to_string(),
            "promise": self.invariant.promise(),
            "holds": self.holds(),
            "counted": counted.collect::<serde_json::Map<_, _>>(),
            "violations": violations.collect::<Vec<_>>(),
            "limits": self.limits,
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted: Vec<_> =
            self.counted.iter().map(|(number, what)| count(*number, what)).collect();
        let (invariant, promise) = (self.invariant, self.invariant.promise());
        let counted = counted.join(", ");
        if self.holds() {
            return write!(formatter, "{invariant} {promise}: {counted}");
        }
        if self.violations.is_empty() {
            let limits = self.limits.join("; ");
            return write!(formatter, "{invariant} CANNOT BE TOLD: {promise}: {counted}: {limits}");
        }
        let found = count(self.violations.len(), "violations");
        write!(formatter, "{invariant} DOES NOT HOLD: {promise}: {counted}, {found}")?;
        for violation in self.violations.iter().take(SHOWN) {
            write!(formatter, "\n  {violation}")?;
        }
        match self.violations.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            rest => write!(formatter, "\n  and {rest} more"),
        }
    }
}

/// A number of things: `what` is their plural.
pub(super) fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {}", what.strip_suffix('s').unwrap_or(what)),
        _ => format!("{number} {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(violations: usize) -> Verdict {
        let order_id = Uuid::from_u128(7);
        let counted = vec![(1, "products"), (340, "orders")];
        let violations = vec![Violation::of_order(order_id, "has not ended"); violations];
        Verdict { invariant: Invariant(6), counted, violations, limits: Vec::new() }
    }

    #[test]
    fn a_verdict_says_what_was_counted() {
        assert_eq!(verdict(0).to_string(), "I-6 stock adds up: 1 product, 340 orders");
    }

    #[test]
    fn a_verdict_tells_the_first_violations_and_counts_the_rest() {
        let text = verdict(12).to_string();
        let first = "I-6 DOES NOT HOLD: stock adds up: 1 product, 340 orders, 12 violations\n  \
                     order 00000000-0000-0000-0000-000000000007 has not ended\n";
        assert!(text.starts_with(first), "{text}");
        assert!(text.ends_with("\n  and 2 more") && text.lines().count() == 12, "{text}");
    }

    #[test]
    fn without_all_that_could_tell_nothing_holds() {
        let verdict = Verdict { limits: vec!["topic a begins at 3".to_owned()], ..verdict(0) };
        let text = "I-6 CANNOT BE TOLD: stock adds up: 1 product, 340 orders: topic a begins at 3";
        assert_eq!((verdict.holds(), verdict.to_string().as_str()), (false, text));
        assert_eq!(verdict.json()["limits"][0], "topic a begins at 3");
    }

    #[test]
    fn a_program_is_told_the_same() {
        let value = verdict(1).json();
        assert_eq!((&value["invariant"], &value["holds"]), (&json!("I-6"), &json!(false)));
        assert_eq!(value["counted"]["orders"], 340);
        assert_eq!(value["violations"][0]["order_id"], "00000000-0000-0000-0000-000000000007");
    }
}
