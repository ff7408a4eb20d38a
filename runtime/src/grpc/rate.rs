//! How many rpcs a second one peer address may begin.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};
use tonic::transport::server::TcpConnectInfo;

use super::status::{self, ErrorReason};

/// After so many checks the peers that have been quiet for long are forgotten, so that memory has a bound.
const FORGET_EVERY: u32 = 10_000;

/// What each peer still may do. A second's worth may come at once.
#[derive(Clone, Debug)]
pub(super) struct Rate(Arc<Limits>);

#[derive(Debug)]
struct Limits {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    checks: AtomicU32,
}

impl Rate {
    pub(super) fn per_second(count: NonZeroU32) -> Self {
        let limiter = DefaultKeyedRateLimiter::keyed(Quota::per_second(count));
        let clock = DefaultClock::default();
        Self(Arc::new(Limits { limiter, clock, checks: AtomicU32::new(0) }))
    }

    /// Takes one rpc of `peer`.
    ///
    /// # Errors
    /// How long to wait if it is too early.
    fn take(&self, peer: IpAddr) -> Result<(), Duration> {
        if self.0.checks.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.0.limiter.retain_recent();
        }
        let taken = self.0.limiter.check_key(&peer);
        taken.map_err(|not_until| not_until.wait_time_from(self.0.clock.now()))
    }
}

pub(super) async fn rate(State(rate): State<Rate>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    match rate.take(peer) {
        Ok(()) => next.run(request).await,
        Err(wait) => {
            let reason = ErrorReason::store("RATE_LIMITED");
            let message = "too many requests a second from this address";
            status::into_response(status::resource_exhausted(reason, message, wait))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_over_its_rate_waits_and_others_do_not() {
        let rate = Rate::per_second(NonZeroU32::MIN);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert_eq!(rate.take(one), Ok(()));
        let wait = rate.take(one).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(rate.take(other), Ok(()));
    }
}
