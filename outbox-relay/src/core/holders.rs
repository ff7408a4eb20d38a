//! Which open numbers a transaction may still fill.
//!
//! A number is drawn by a transaction that holds RowExclusiveLock on the table (or a partition) from before it draws
//! until it ends. So whoever is not among the lock's holders *now* will never fill a number that was drawn *before now*.
//! Each living holder therefore blocks one interval of numbers, `(from, to]`:
//!
//! - `from`: the head at the last observation in which it was not seen. Those numbers had been drawn by then, by others.
//! - `to`: a holder that sits idle in its transaction, or is prepared, draws nothing. If it has sat so since an earlier
//!   observation, it fills nothing above the sequence's last value read after that observation.
//!
//! Everything open and not blocked by anybody may be given up, once a snapshot taken after the observation still lacks it.

use std::collections::BTreeMap;

use crate::core::gaps::{Gaps, Run};

/// A transaction that may have drawn numbers and not yet ended, as the database shows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    /// Its virtual transaction id, unique while the server runs.
    pub(crate) id: String,
    /// Its transaction id with the epoch, when it has one that may be read; never that of a savepoint or of another transaction.
    pub(crate) transaction_id: Option<i64>,
    /// Since when it has been idle in its transaction: any token that changes when it does something.
    pub(crate) idle_since: Option<String>,
    /// Whether it is prepared: it fills nothing new, and may continue a transaction seen under another id.
    pub(crate) prepared: bool,
    /// How an operator finds it: `pid 4711` or `prepared transaction 'gid'`.
    pub(crate) name: String,
}

/// A holder and the interval of numbers that it blocks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Living {
    holder: Holder,
    /// It fills nothing at or below this number.
    from: i64,
    /// It fills nothing above this number.
    to: i64,
}

/// What is known of the holders since this connection was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Holders {
    living: BTreeMap<String, Living>,
    /// The head at the last observation.
    observed_head: Option<i64>,
}

impl Holders {
    /// Takes in the holders as read after the snapshot whose head was `head`, with the sequence's last value read after
    /// them, and says which of `gaps` nobody can fill any more.
    ///
    /// They are to be given up only after a later snapshot has been looked through for them.
    pub(crate) fn observe(
        &mut self,
        holders: Vec<Holder>,
        head: i64,
        last_value: i64,
        gaps: &Gaps,
    ) -> Gaps {
        let previous = std::mem::take(&mut self.living);
        for holder in holders {
            let from = self.from(&holder, &previous);
            let to = to(&holder, &previous, last_value);
            self.living.insert(holder.id.clone(), Living { holder, from, to });
        }
        self.observed_head = Some(head);
        let mut settled = gaps.clone();
        self.blocked().for_each(|(_, run)| settled.remove(run));
        settled
    }

    /// What each holder may still fill of the numbers drawn before the last observation, with its transaction id, if it is known.
    pub(crate) fn blocked(&self) -> impl Iterator<Item = (Option<i64>, Run)> + '_ {
        self.living.values().filter(|living| living.from < living.to).map(|living| {
            (living.holder.transaction_id, Run { first: living.from + 1, last: living.to })
        })
    }

    /// The holders that block the number `number`, by name.
    pub(crate) fn blocking(&self, number: i64) -> Vec<String> {
        let mut names: Vec<String> = self
            .living
            .values()
            .filter(|living| living.from < number && number <= living.to)
            .map(|living| living.holder.name.clone())
            .collect();
        names.sort();
        names
    }

    /// The number at and below which `holder` fills nothing.
    fn from(&self, holder: &Holder, previous: &BTreeMap<String, Living>) -> i64 {
        // Before the first observation nothing is known of anybody.
        let unseen = self.observed_head.unwrap_or(i64::MIN);
        if let Some(known) = previous.get(&holder.id) {
            return known.from;
        }
        if !holder.prepared {
            return unseen;
        }
        // A transaction changes its id when it is prepared. It continues one of those seen before, or a new one.
        previous
            .values()
            .filter(|known| !known.holder.prepared && may_be_same(&known.holder, holder))
            .map(|known| known.from)
            .fold(unseen, i64::min)
    }
}

fn may_be_same(before: &Holder, prepared: &Holder) -> bool {
    match (before.transaction_id, prepared.transaction_id) {
        (Some(before), Some(prepared)) => before == prepared,
        (None, _) | (_, None) => true,
    }
}

/// The number above which `holder` fills nothing.
fn to(holder: &Holder, previous: &BTreeMap<String, Living>, last_value: i64) -> i64 {
    if holder.prepared {
        // Some versions keep the id of the session's transaction: what that had drawn was drawn by now.
        return match previous.get(&holder.id) {
            Some(known) if known.holder.prepared => known.to,
            Some(_) | None => last_value,
        };
    }
    let Some(idle_since) = &holder.idle_since else { return i64::MAX };
    match previous.get(&holder.id) {
        // Idle in both observations without a move between them: what it has drawn, it had drawn by the first.
        Some(known) if known.holder.idle_since.as_ref() == Some(idle_since) => known.to,
        Some(_) | None => last_value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(id: &str) -> Holder {
        Holder {
            id: id.to_owned(),
            transaction_id: None,
            idle_since: None,
            prepared: false,
            name: id.to_owned(),
        }
    }

    fn idle(id: &str, since: &str) -> Holder {
        Holder { idle_since: Some(since.to_owned()), ..running(id) }
    }

    fn prepared(id: &str, transaction_id: i64) -> Holder {
        Holder { prepared: true, transaction_id: Some(transaction_id), ..running(id) }
    }

    fn gap(first: i64, last: i64) -> Gaps {
        let mut gaps = Gaps::default();
        gaps.insert(Run { first, last });
        gaps
    }

    #[test]
    fn a_gap_is_settled_when_all_who_were_there_have_ended() {
        let mut holders = Holders::default();
        assert!(holders.observe(vec![running("a"), running("b")], 10, 10, &gap(5, 5)).is_empty());
        assert!(holders.observe(vec![running("b")], 10, 10, &gap(5, 5)).is_empty());
        // c came after the number 5 had been seen missing: it drew a larger one.
        assert_eq!(holders.observe(vec![running("c")], 20, 20, &gap(5, 5)), gap(5, 5));
        assert_eq!(holders.blocking(5), Vec::<String>::new());
        assert_eq!(holders.blocking(15), ["c"]);
    }

    #[test]
    fn a_transaction_idle_for_hours_blocks_only_what_it_can_have_drawn() {
        let mut holders = Holders::default();
        assert!(holders.observe(vec![idle("a", "noon")], 10, 12, &gap(5, 5)).is_empty());
        let mut gaps = gap(5, 5);
        gaps.insert(Run { first: 12, last: 15 });
        let settled = holders.observe(vec![idle("a", "noon")], 20, 20, &gaps);
        assert_eq!(settled, gap(13, 15), "12 was drawn before the first look, 13 after it");
        let settled = holders.observe(vec![idle("a", "one o'clock")], 20, 20, &gaps);
        assert!(settled.is_empty(), "it has moved since, and may have drawn any of them");
    }

    #[test]
    fn a_transaction_that_is_prepared_meanwhile_still_blocks_its_numbers() {
        let mut holders = Holders::default();
        let named = Holder { transaction_id: Some(742), ..running("3/57") };
        assert!(holders.observe(vec![named], 10, 10, &gap(5, 5)).is_empty());
        assert!(holders.observe(vec![prepared("-1/742", 742)], 20, 20, &gap(5, 5)).is_empty());
        assert_eq!(
            holders.observe(vec![prepared("-1/743", 743)], 20, 20, &gap(5, 5)),
            gap(5, 5),
            "742 has ended, and 743 is a transaction that was not there"
        );
    }

    #[test]
    fn a_prepared_transaction_may_continue_one_whose_number_was_not_known() {
        let mut holders = Holders::default();
        assert!(holders.observe(vec![running("3/57")], 10, 10, &gap(5, 5)).is_empty());
        let seen_twice = vec![running("3/57"), prepared("-1/742", 742)];
        assert!(holders.observe(seen_twice, 10, 10, &gap(5, 5)).is_empty());
        assert!(holders.observe(vec![prepared("-1/742", 742)], 20, 20, &gap(5, 5)).is_empty());
    }
}
