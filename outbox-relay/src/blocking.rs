//! Work that blocks its thread, done where that is allowed.

/// Does the work on a thread for that, and answers what it answers. It is done even if nobody waits for it any more; its panic goes on
/// here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
