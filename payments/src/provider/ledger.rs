//! The rules of the simulated provider's ledger, without I/O: which entry a call adds to those there are.

/// What the provider has done for a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It holds the amount.
    Authorised,
    /// It refused to, and why.
    Declined(String),
    /// It charged what it held.
    Captured,
    /// It let go what it held, and holds nothing ever after.
    Voided,
}

impl Entry {
    /// The word for it in the ledger's table.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Authorised => "authorised",
            Self::Declined(_) => "declined",
            Self::Captured => "captured",
            Self::Voided => "voided",
        }
    }

    /// Reads an entry from the table's words.
    #[must_use]
    pub fn parse(kind: &str, reason: Option<String>) -> Option<Self> {
        match (kind, reason) {
            ("authorised", None) => Some(Self::Authorised),
            ("declined", Some(reason)) => Some(Self::Declined(reason)),
            ("captured", None) => Some(Self::Captured),
            ("voided", None) => Some(Self::Voided),
            _ => None,
        }
    }
}

/// Why a void that came before anything else makes the provider refuse.
pub const VOIDED_FIRST: &str = "the payment was voided before it was authorised";

/// The answer to an authorisation, and what that adds to `entries`: the first answer there was, and nothing; else what `judge`
/// says, which is not asked again.
pub fn authorise(entries: &[Entry], judge: impl FnOnce() -> Entry) -> (Entry, Option<Entry>) {
    match first_answer(entries) {
        Some(answer) => (answer, None),
        None => {
            let answer = judge();
            (answer.clone(), Some(answer))
        }
    }
}

fn first_answer(entries: &[Entry]) -> Option<Entry> {
    entries.iter().find_map(|entry| match entry {
        Entry::Authorised => Some(Entry::Authorised),
        Entry::Declined(reason) => Some(Entry::Declined(reason.clone())),
        // The first entry is a void: had it held anything, that entry would have come before.
        Entry::Voided => Some(Entry::Declined(VOIDED_FIRST.to_owned())),
        Entry::Captured => None,
    })
}

/// What a capture adds to `entries`; `None` if it is there already.
///
/// # Errors
/// If nothing is held: nobody may ask for that.
pub fn capture(entries: &[Entry]) -> Result<Option<Entry>, String> {
    if entries.contains(&Entry::Captured) {
        return Ok(None);
    }
    if !entries.contains(&Entry::Authorised) || entries.contains(&Entry::Voided) {
        return Err(String::from("capture of a payment that is not held"));
    }
    Ok(Some(Entry::Captured))
}

/// What a void adds to `entries`; `None` if there is nothing to let go any more.
///
/// # Errors
/// If it is charged already: nobody may ask for that.
pub fn void(entries: &[Entry]) -> Result<Option<Entry>, String> {
    if entries.contains(&Entry::Captured) {
        return Err(String::from("void of a payment that is captured"));
    }
    let free = entries.iter().any(|entry| matches!(entry, Entry::Voided | Entry::Declined(_)));
    Ok((!free).then_some(Entry::Voided))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declined() -> Entry {
        Entry::Declined(String::from("too much"))
    }

    #[test]
    fn an_authorisation_is_answered_as_the_first_time() {
        let asked = |entries: &[Entry]| authorise(entries, declined);
        assert_eq!(asked(&[]), (declined(), Some(declined())));
        assert_eq!(asked(&[Entry::Authorised]), (Entry::Authorised, None));
        assert_eq!(asked(&[Entry::Authorised, Entry::Voided]), (Entry::Authorised, None));
        assert_eq!(asked(&[Entry::Authorised, Entry::Captured]), (Entry::Authorised, None));
        assert_eq!(authorise(&[declined()], || Entry::Authorised), (declined(), None));
        let refused = authorise(&[Entry::Voided], || Entry::Authorised);
        assert!(matches!(refused, (Entry::Declined(_), None)));
    }

    #[test]
    fn only_what_is_held_is_charged_and_only_once() {
        assert_eq!(capture(&[Entry::Authorised]), Ok(Some(Entry::Captured)));
        assert_eq!(capture(&[Entry::Authorised, Entry::Captured]), Ok(None));
        for entries in [vec![], vec![declined()], vec![Entry::Authorised, Entry::Voided]] {
            assert!(capture(&entries).is_err(), "{entries:?}");
        }
    }

    #[test]
    fn what_is_charged_is_never_voided() {
        assert_eq!(void(&[]), Ok(Some(Entry::Voided)), "it is never held afterwards");
        assert_eq!(void(&[Entry::Authorised]), Ok(Some(Entry::Voided)));
        assert_eq!(void(&[Entry::Authorised, Entry::Voided]), Ok(None));
        assert_eq!(void(&[declined()]), Ok(None));
        assert!(void(&[Entry::Authorised, Entry::Captured]).is_err());
    }
}
