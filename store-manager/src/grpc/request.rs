//! What reading requests shares: fields that are optional ids, times, durations, amounts.

use std::{fmt::Display, str::FromStr};

use prost_types::{Duration, Timestamp};
use proto::{Currency, Money, google};
use runtime::grpc::request::{InvalidRequest, Violations};
use sqlx::types::time::OffsetDateTime;
use tonic::Request;

use crate::commands::Asked;

/// 0001-01-01 and 9999-12-31, the ends of what a `google.protobuf.Timestamp` may be.
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;
const NANOS_PER_SECOND: i32 = 1_000_000_000;
/// What a `google.protobuf.Duration` may be at most.
const LONGEST_SECONDS: i64 = 315_576_000_000;

/// The request as it was asked. `id` is where its id stands, which is taken out.
pub(super) fn asked<Q: Clone>(
    violations: &mut Violations,
    rpc: &'static str,
    request: &Request<Q>,
    id: impl FnOnce(&mut Q) -> &mut String,
) -> Option<Asked<Q>> {
    let mut fields = request.get_ref().clone();
    let text = std::mem::take(id(&mut fields));
    let request_id = violations.request_id(request.metadata(), &text)?;
    Some(Asked { rpc, request_id, request: fields })
}

/// An id that may be missing: `Some(None)`.
pub(super) fn optional_id<T: FromStr<Err: Display>>(
    violations: &mut Violations,
    field: &str,
    text: &str,
) -> Option<Option<T>> {
    match text {
        "" => Some(None),
        text => violations.check(field, text.parse()).map(Some),
    }
}

/// A text that has something to read in it.
pub(super) fn label(
    violations: &mut Violations,
    field: &str,
    text: &str,
    most: usize,
) -> Option<String> {
    let text = violations.text(field, text, 1..=most)?;
    if text.trim().is_empty() {
        violations.add(field, "must not be blank");
        return None;
    }
    Some(text)
}

/// An amount above zero in the store's currency.
pub(super) fn price(
    violations: &mut Violations,
    field: &str,
    money: Option<&google::r#type::Money>,
    currency: Currency,
) -> Option<Money> {
    let Some(money) = money else {
        violations.add(field, "is required");
        return None;
    };
    let price = violations.check(field, Money::try_from(money))?;
    if price.currency != currency {
        violations.add(field, format!("must be in {currency}"));
        return None;
    }
    if price.amount_minor <= 0 {
        violations.add(field, "must be above zero");
        return None;
    }
    Some(price)
}

/// A time that may be missing: `Some(None)`.
pub(super) fn optional_time(
    violations: &mut Violations,
    field: &str,
    time: Option<Timestamp>,
) -> Option<Option<OffsetDateTime>> {
    let Some(Timestamp { seconds, nanos }) = time else { return Some(None) };
    let in_range =
        (FIRST_SECOND..=LAST_SECOND).contains(&seconds) && (0..NANOS_PER_SECOND).contains(&nanos);
    let time = in_range
        .then(|| i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos))
        .and_then(|nanos| OffsetDateTime::from_unix_timestamp_nanos(nanos).ok());
    if time.is_none() {
        violations.add(
            field,
            "must be a time from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z",
        );
        return None;
    }
    Some(time)
}

/// The time that is a duration ago; the duration may be missing: `Some(None)`.
pub(super) fn optional_time_ago(
    violations: &mut Violations,
    field: &str,
    duration: Option<Duration>,
) -> Option<Option<OffsetDateTime>> {
    let Some(Duration { seconds, nanos }) = duration else { return Some(None) };
    if !(0..=LONGEST_SECONDS).contains(&seconds) || !(0..NANOS_PER_SECOND).contains(&nanos) {
        violations.add(field, "must be a duration of 0 to 315576000000 seconds");
        return None;
    }
    let ago = std::time::Duration::new(seconds.unsigned_abs(), nanos.unsigned_abs());
    let oldest = OffsetDateTime::from_unix_timestamp(FIRST_SECOND)
        .expect("the first second of the year 1 is a time");
    let time = OffsetDateTime::now_utc().checked_sub(ago.try_into().unwrap_or_default());
    Some(Some(time.unwrap_or(oldest).max(oldest)))
}

/// The one id that is all of a request.
pub(super) fn id<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, InvalidRequest> {
    let mut violations = Violations::default();
    let id = violations.check(field, text.parse());
    violations.finish(|| id)
}
