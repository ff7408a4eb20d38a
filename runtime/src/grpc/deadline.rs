//! The deadline of an rpc: the caller's `grpc-timeout`, or the server's default where it is not a stream. Also what ends rpcs at a
//! shutdown: streams as soon as draining begins, the others when the drain timeout is over.

use std::{future::pending, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use futures::future::BoxFuture;
use http::HeaderMap;
use tokio::{
    task_local,
    time::{Instant, sleep_until},
};
use tonic::Status;

use super::{body, methods::Methods, status};
use crate::Shutdown;

pub use crate::postgres::set_statement_timeout;

/// tonic itself gives up at the caller's deadline, with a status that has no reason: ours comes just before.
const MARGIN: Duration = Duration::from_millis(5);

task_local! {
    static DEADLINE: Option<Instant>;
}

/// What is left of the current rpc's deadline; `None` outside of rpcs and in streams without one.
#[must_use]
pub fn remaining() -> Option<Duration> {
    let deadline = DEADLINE.try_with(|deadline| *deadline).ok().flatten();
    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

/// What decides when rpcs end.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    pub(super) methods: Methods,
    pub(super) default_timeout: Duration,
    /// Requested when the server begins to drain.
    pub(super) drain: Shutdown,
    /// Requested when the drain timeout is over.
    pub(super) abort: Shutdown,
}

pub(super) async fn deadline(State(ends): State<Ends>, request: Request, next: Next) -> Response {
    let streaming = ends.methods.at(request.uri().path()).streaming;
    let default_timeout = (!streaming).then_some(ends.default_timeout);
    let asked = timeout(request.headers()).map(|asked| asked.saturating_sub(MARGIN));
    let deadline = asked.or(default_timeout).and_then(|left| Instant::now().checked_add(left));
    let mut stop = stop(ends, streaming, deadline);
    let response = DEADLINE.scope(deadline, next.run(request));
    tokio::select! {
        biased;
        // First: at a tiny deadline tonic's own answer, CANCELLED, is ready at the same time.
        status = &mut stop => status::into_response(status),
        response = response => body::until(response, stop),
    }
}

fn stop(ends: Ends, streaming: bool, deadline: Option<Instant>) -> BoxFuture<'static, Status> {
    Box::pin(async move {
        tokio::select! {
            () = passed(deadline) => status::deadline_exceeded(),
            () = ends.abort.requested() => status::shutting_down(),
            () = ends.drain.requested(), if streaming => status::shutting_down(),
        }
    })
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// Reads `grpc-timeout`: one to eight digits and a unit. A malformed one counts as none, as for tonic.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 60 * 60)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Duration> {
        timeout(&HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]))
    }

    #[test]
    fn the_units_of_grpc_timeout_are_known() {
        assert_eq!(parse("2H"), Some(Duration::from_secs(7_200)));
        assert_eq!(parse("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parse("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(parse("82m"), Some(Duration::from_millis(82)));
        assert_eq!(parse("7u"), Some(Duration::from_micros(7)));
        assert_eq!(parse("0n"), Some(Duration::ZERO));
    }

    #[test]
    fn a_malformed_timeout_counts_as_none() {
        for text in ["", "S", "5", "-1S", "+1S", "100000000S", "1.5S", "1x"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn outside_of_rpcs_nothing_is_left_to_wait_for() {
        assert_eq!(remaining(), None);
        let deadline = Some(Instant::now() + Duration::from_secs(9));
        let left = DEADLINE.scope(deadline, async { remaining() }).await.unwrap();
        assert!(left > Duration::from_secs(8) && left <= Duration::from_secs(9), "{left:?}");
    }
}
