//! How many rpcs may go on at once, streams included, until their answers are out.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio::sync::Semaphore;

use super::{
    body,
    status::{self, ErrorReason},
};

const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The free places.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Semaphore>);

impl Places {
    pub(super) fn new(count: u32) -> Self {
        Self(Arc::new(Semaphore::new(usize::try_from(count).unwrap_or(Semaphore::MAX_PERMITS))))
    }
}

/// Whoever finds no free place is refused at once: a queue would only add to everybody's delay.
pub(super) async fn concurrency(
    State(places): State<Places>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(place) = places.0.try_acquire_owned() else {
        let reason = ErrorReason::store("TOO_MANY_REQUESTS_AT_ONCE");
        let message = "the server is busy with as many requests as it takes";
        return status::into_response(status::resource_exhausted(reason, message, RETRY_AFTER));
    };
    let response = next.run(request).await;
    body::on_end(response, move |_| drop(place))
}
