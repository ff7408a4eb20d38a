//! Which rows a replay sends: by time, by number, by topic and key, or by all of them at once.

use std::time::Duration;

use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::core::gaps::Run;
use crate::operator::rows::Entry;

/// Which rows are meant: those that meet every condition given. One must be.
#[derive(Clone, Debug, Default, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Selection {
    /// Only rows created then or later: 2026-11-21T10:00:00Z, or 90s, 15m, 2h, 3d before now.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<OffsetDateTime>,
    /// Only rows created before then.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<OffsetDateTime>,
    /// Only rows of this number or a larger one.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
    from: Option<i64>,
    /// Only rows of this number or a smaller one.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
    to: Option<i64>,
    /// Only rows of this topic.
    #[arg(long)]
    topic: Option<String>,
    /// Only rows of this key.
    #[arg(long, requires = "topic")]
    key: Option<String>,
}

impl Selection {
    /// The numbers among which its rows are, up to `head`.
    pub(crate) fn run(&self, head: i64) -> Run {
        Run { first: self.from.unwrap_or(0), last: self.to.unwrap_or(head).min(head) }
    }

    /// Whether it means this row.
    pub(crate) fn matches(&self, row: &Entry) -> bool {
        self.since.is_none_or(|since| since <= row.created_at)
            && self.until.is_none_or(|until| row.created_at < until)
            && self.from.is_none_or(|from| from <= row.number)
            && self.to.is_none_or(|to| row.number <= to)
            && self.topic.as_ref().is_none_or(|topic| *topic == row.topic)
            && self.key.as_ref().is_none_or(|key| *key == row.key)
    }

    /// Whether it may also mean rows that were there before `oldest`, the oldest that there is.
    pub(crate) fn reaches_before(&self, oldest: &Entry) -> bool {
        self.since.is_none_or(|since| since < oldest.created_at)
            && self.from.is_none_or(|from| from < oldest.number)
    }
}

/// Reads a point in time, or how long ago it was.
fn moment(text: &str) -> Result<OffsetDateTime, String> {
    if let Some(ago) = ago(text) {
        return Ok(OffsetDateTime::now_utc() - ago);
    }
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
        "neither a time such as 2026-11-21T10:00:00Z nor an age such as 15m".to_owned()
    })
}

fn ago(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
    Some(Duration::from_secs(u64::from(count) * seconds))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn row(number: i64, created_at: &str) -> Entry {
        Entry {
            number,
            id: Uuid::nil(),
            topic: "orders".to_owned(),
            key: "a".to_owned(),
            source: "/shop".to_owned(),
            created_at: moment(created_at).unwrap(),
            bytes: 1,
        }
    }

    #[test]
    fn a_time_is_written_out_or_told_as_an_age() {
        assert_eq!(moment("2026-11-21T10:00:00Z").unwrap().unix_timestamp(), 1_795_255_200);
        let hours = OffsetDateTime::now_utc() - moment("2h").unwrap();
        assert!((7_199..7_260).contains(&hours.whole_seconds()), "{hours}");
        for wrong in ["yesterday", "2", "h", "-2h", "2026-11-21"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_row_has_to_meet_every_condition() {
        let row = row(7, "2026-11-21T10:00:00Z");
        let time = |text| Some(moment(text).unwrap());
        let all = Selection {
            since: time("2026-11-21T10:00:00Z"),
            until: time("2026-11-21T10:00:01Z"),
            from: Some(7),
            to: Some(7),
            topic: Some("orders".to_owned()),
            key: Some("a".to_owned()),
        };
        assert!(all.matches(&row));
        for wrong in [
            Selection { since: time("2026-11-21T10:00:00.001Z"), ..all.clone() },
            Selection { until: time("2026-11-21T10:00:00Z"), ..all.clone() },
            Selection { from: Some(8), ..all.clone() },
            Selection { to: Some(6), ..all.clone() },
            Selection { topic: Some("stock".to_owned()), ..all.clone() },
            Selection { key: Some("b".to_owned()), ..all.clone() },
        ] {
            assert!(!wrong.matches(&row), "{wrong:?}");
        }
    }

    #[test]
    fn what_was_dropped_is_meant_only_by_what_reaches_back_so_far() {
        let oldest = row(100, "2026-11-21T10:00:00Z");
        let selection = Selection { topic: Some("orders".to_owned()), ..Selection::default() };
        assert!(selection.reaches_before(&oldest));
        assert!(!Selection { from: Some(100), ..selection.clone() }.reaches_before(&oldest));
        let since = Some(moment("2026-11-21T11:00:00Z").unwrap());
        assert!(!Selection { since, ..selection }.reaches_before(&oldest));
    }
}
