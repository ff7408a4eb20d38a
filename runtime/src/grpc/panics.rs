//! A panic in an rpc ends that rpc only: it is logged and answered as INTERNAL.

use std::{any::Any, panic::AssertUnwindSafe};

use axum::{extract::Request, middleware::Next, response::Response};
use futures::FutureExt as _;
use tracing::error;

use super::status;

pub(super) async fn panics(request: Request, next: Next) -> Response {
    // What the rpc left half done is its own: it is dropped, and its transaction rolled back.
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|panic| {
        error!(panic = text(&*panic), "rpc panicked");
        status::into_response(status::internal_without_cause())
    })
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
