//! What a campaign has come to, and whether that is good.

use std::fmt;

use serde_json::{Value, json};

use super::{Coverage, Report};

/// So many rounds in a row that cannot be played to their end are the end of a campaign.
const IN_VAIN: usize = 3;

/// What a campaign has come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    coverage: Coverage,
    rounds: usize,
    bad: usize,
    /// How many of the last rounds, without a break, could not be played to their end.
    in_vain: usize,
    /// Whether it was stopped before its last round was over.
    pub(super) is_stopped: bool,
}

impl Tally {
    /// Another round is over.
    pub(super) fn add(&mut self, report: &Report) {
        self.coverage.merge(&report.coverage);
        self.rounds += 1;
        self.bad += usize::from(!report.is_good());
        self.in_vain = if report.audited().is_some() { 0 } else { self.in_vain + 1 };
    }

    /// Whether something keeps rounds from being played at all.
    pub(super) fn is_in_vain(&self) -> bool {
        self.in_vain >= IN_VAIN
    }

    /// What is wrong with the campaign, which had to have every fault if it `covers`.
    pub(super) fn trouble(&self, covers: bool) -> Option<String> {
        let Self { coverage, rounds, bad, is_stopped, .. } = self;
        let (rounds, bad, is_stopped) = (*rounds, *bad, *is_stopped);
        let not_reached = if covers { coverage.not_reached() } else { Vec::new() };
        if self.is_in_vain() {
            Some(format!("given up: the last {} rounds could not be played", self.in_vain))
        } else if bad > 0 {
            Some(format!("{bad} of {rounds} rounds are bad"))
        } else if is_stopped && rounds == 0 {
            Some("stopped before a round was over".to_owned())
        } else if is_stopped && covers {
            Some("stopped before every fault had its round".to_owned())
        } else if !not_reached.is_empty() {
            let names = not_reached.join(", ");
            Some(format!("never reached, play them with --fault: {names}"))
        } else {
            None
        }
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let Self { coverage, rounds, bad, is_stopped, .. } = self;
        json!({ "coverage": coverage.json(), "rounds": rounds, "bad": bad, "stopped": is_stopped })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { coverage, rounds, bad, is_stopped, .. } = self;
        let ended = if *is_stopped { "stopped: " } else { "" };
        write!(formatter, "{coverage}{ended}rounds played: {rounds}, bad: {bad}")
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Struck,
            report::{Outcome, tests::report},
        },
        *,
    };

    #[test]
    fn a_campaign_is_good_if_no_round_is_bad_and_it_has_shown_what_it_was_to_show() {
        let trouble = |rounds, bad, is_stopped, covers| {
            let tally = Tally { rounds, bad, is_stopped, ..Tally::default() };
            tally.trouble(covers).is_some()
        };
        assert!(!trouble(2, 0, false, false));
        assert!(!trouble(2, 0, true, false));
        assert!(trouble(0, 0, true, false), "nothing was played");
        assert!(trouble(2, 0, true, true), "what it was to cover is not covered");
        assert!(trouble(2, 1, false, false) && trouble(2, 1, true, false));
    }

    #[test]
    fn a_campaign_is_given_up_only_when_several_rounds_in_a_row_cannot_be_played() {
        let broken_off = Report { outcome: Outcome::BrokenOff("no Java".to_owned()), ..report() };
        let mut tally = Tally::default();
        for report in [&broken_off, &broken_off, &report(), &broken_off, &broken_off] {
            tally.add(report);
            assert!(!tally.is_in_vain());
        }
        tally.add(&broken_off);
        assert!(tally.is_in_vain());
        let trouble = tally.trouble(false).unwrap();
        assert_eq!(trouble, "given up: the last 3 rounds could not be played");
    }

    #[test]
    fn a_campaign_that_had_to_have_every_fault_names_those_that_it_never_reached() {
        let mut tally = Tally { rounds: 2, ..Tally::default() };
        let all = tally.coverage.not_reached();
        let (missed, reached) = all.split_first().unwrap();
        for fault in reached {
            tally.coverage.add(fault, &Struck::Yes("once".to_owned()), None);
        }
        assert_eq!(
            tally.trouble(true).unwrap(),
            format!("never reached, play them with --fault: {missed}")
        );
        assert_eq!(tally.trouble(false), None);
        tally.coverage.add(missed, &Struck::Yes("once".to_owned()), None);
        assert_eq!(tally.trouble(true), None);
    }
}
