//! A panic in an rpc ends that rpc only: it is logged and answered as INTERNAL.

use std::{any::Any, panic::AssertUnwindSafe};

use axum::{extract::Request, middleware::Next, response::Response};
use futures::FutureExt as _;
use tonic::Status;
use tracing::error;

use super::{body, status};

pub(super) async fn panics(request: Request, next: Next) -> Response {
    // What the rpc left half done is its own: it is dropped, and its transaction rolled back.
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => body::catch_panic(response, caught),
        Err(panic) => status::into_response(caught(&*panic)),
    }
}

fn caught(panic: &(dyn Any + Send)) -> Status {
    error!(panic = text(panic), "rpc panicked");
    status::internal_without_cause()
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
