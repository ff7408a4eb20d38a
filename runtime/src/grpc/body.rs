//! What happens while an answer's body goes out: its trailers are changed, its end is noticed, or it is ended early.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{Error, body::Body, response::Response};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use tonic::{Code, Status};

type Polled = Poll<Option<Result<Frame<Bytes>, Error>>>;

/// Changes the trailers of an answer with `change`.
pub(super) fn map_trailers(
    response: Response,
    change: impl Fn(&mut HeaderMap) + Send + Unpin + 'static,
) -> Response {
    response.map(|inner| Body::new(MapTrailers { inner, change }))
}

/// Calls `end` with the answer's code once the answer is out; with CANCELLED if the caller goes before.
pub(super) fn on_end(
    response: Response,
    end: impl FnOnce(Code) + Send + Unpin + 'static,
) -> Response {
    match code(response.headers()) {
        Some(code) => {
            end(code);
            response
        }
        None => response.map(|inner| Body::new(OnEnd { inner, end: Some(end) })),
    }
}

/// Ends the answer with the status of `stop` when that is ready before the answer is out.
pub(super) fn until(response: Response, stop: BoxFuture<'static, Status>) -> Response {
    if code(response.headers()).is_some() {
        return response;
    }
    response.map(|inner| Body::new(Until { inner, stop: Some(stop) }))
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

/// Ends the answer with the status of `caught` when the work behind its body panics.
pub(super) fn catch_panic(response: Response, caught: fn(&(dyn Any + Send)) -> Status) -> Response {
    response.map(|inner| Body::new(CatchPanic { inner: Some(inner), caught }))
}

struct CatchPanic {
    /// `None` once it panicked.
    inner: Option<Body>,
    caught: fn(&(dyn Any + Send)) -> Status,
}

impl HttpBody for CatchPanic {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        // A body that panicked is never polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(inner).poll_frame(context)));
        polled.unwrap_or_else(|panic| {
            self.inner = None;
            Poll::Ready(Some(trailers(&(self.caught)(&*panic))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }
}

fn trailers(status: &Status) -> Result<Frame<Bytes>, Error> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers).map_err(Error::new)?;
    Ok(Frame::trailers(trailers))
}

struct MapTrailers<F> {
    inner: Body,
    change: F,
}

impl<F: Fn(&mut HeaderMap) + Unpin> HttpBody for MapTrailers<F> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let mut polled = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &mut polled
            && let Some(trailers) = frame.trailers_mut()
        {
            (self.change)(trailers);
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

struct OnEnd<F: FnOnce(Code)> {
    inner: Body,
    end: Option<F>,
}

impl<F: FnOnce(Code) + Unpin> HttpBody for OnEnd<F> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let polled = ready!(Pin::new(&mut self.inner).poll_frame(context));
        let ended = match &polled {
            Some(Ok(frame)) => {
                frame.trailers_ref().map(|trailers| code(trailers).unwrap_or(Code::Unknown))
            }
            Some(Err(_)) | None => Some(Code::Unknown),
        };
        if let Some(code) = ended
            && let Some(end) = self.end.take()
        {
            end(code);
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

impl<F: FnOnce(Code)> Drop for OnEnd<F> {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end(Code::Cancelled);
        }
    }
}

struct Until {
    inner: Body,
    /// `None` once the body was ended early.
    stop: Option<BoxFuture<'static, Status>>,
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let Some(mut stop) = self.stop.take() else { return Poll::Ready(None) };
        if let Poll::Ready(polled) = Pin::new(&mut self.inner).poll_frame(context) {
            self.stop = Some(stop);
            return Poll::Ready(polled);
        }
        let Poll::Ready(status) = stop.as_mut().poll(context) else {
            self.stop = Some(stop);
            return Poll::Pending;
        };
        // The work behind the body ends with it.
        self.inner = Body::empty();
        Poll::Ready(Some(trailers(&status)))
    }

    fn is_end_stream(&self) -> bool {
        self.stop.is_none() || self.inner.is_end_stream()
    }
}
