//! Finding the one record that Kafka refuses: fewer and fewer are sent at once, until the refused one is alone.

use uuid::Uuid;

/// How carefully the relay sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caution {
    /// How many records may be in flight at once, unless there is no reason for caution.
    rows: Option<usize>,
    /// How many more are sent like this.
    remaining: usize,
    /// The event that is refused by itself, and why.
    culprit: Option<(Uuid, String)>,
}

impl Caution {
    /// How many records may be in flight at once, if that is limited.
    pub(crate) fn rows(&self) -> Option<usize> {
        self.rows
    }

    /// Why this event is not to be sent, if it is known to be refused.
    pub(crate) fn refusal(&self, event_id: Uuid) -> Option<&str> {
        self.culprit
            .as_ref()
            .filter(|(culprit, _)| *culprit == event_id)
            .map(|(_, reason)| reason.as_str())
    }

    /// One of `in_flight` records was refused; Kafka names `event_id`, which is right if it was alone.
    pub(crate) fn refused(&mut self, in_flight: usize, event_id: Uuid, reason: &str) {
        self.remaining = self.remaining.max(in_flight);
        let sent = self.rows.map_or(in_flight, |rows| rows.min(in_flight));
        self.rows = Some((sent / 2).max(1));
        if in_flight <= 1 {
            self.culprit = Some((event_id, reason.to_owned()));
        }
    }

    /// So many records are through.
    pub(crate) fn passed(&mut self, records: usize) {
        self.remaining = self.remaining.saturating_sub(records);
        if self.remaining == 0 {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends 1000 records of which one is refused, and answers how many attempts it took to know which.
    fn attempts_to_find(culprit: u128) -> usize {
        let (mut caution, mut next, mut attempts) = (Caution::default(), 0, 0);
        while caution.refusal(Uuid::from_u128(culprit)).is_none() {
            let rows = caution.rows().unwrap_or(1000).min(1000 - next as usize);
            attempts += 1;
            if (next..next + rows as u128).contains(&culprit) {
                // A batch fails as a whole, under the name of its first.
                caution.refused(rows, Uuid::from_u128(next), "no");
            } else {
                next += rows as u128;
                caution.passed(rows);
            }
        }
        attempts
    }

    #[test]
    fn the_refused_record_is_found_in_few_attempts_wherever_it_stands() {
        for culprit in [0, 1, 499, 500, 998, 999] {
            assert!(attempts_to_find(culprit) <= 25, "{}", attempts_to_find(culprit));
        }
    }

    #[test]
    fn caution_ends_when_all_that_was_in_flight_is_through() {
        let mut caution = Caution::default();
        caution.refused(8, Uuid::nil(), "no");
        assert_eq!(caution.rows(), Some(4));
        caution.passed(4);
        caution.passed(4);
        assert_eq!(caution, Caution::default());
    }
}
