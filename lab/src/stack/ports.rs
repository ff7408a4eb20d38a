//! Free ports that stay free: taken below the range the system gives to outgoing connections, so that nobody gets one
//! by chance while its server is down, and at random, so that stacks started together do not take the same.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, TcpListener},
    sync::{LazyLock, Mutex, PoisonError},
};

use super::error::{StackError, could_not};

const LOWEST: u16 = 15_000;
const HIGHEST: u16 = 29_999;
const TRIES: u32 = 1_000;

/// What this process has been given, so that it is not given to two servers before the first listens.
static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port of the loopback address on which nobody listens, and which nobody here was given before.
///
/// # Errors
/// If none is found.
pub fn free() -> Result<u16, StackError> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    (0..TRIES)
        .map(|_| rand::random_range(LOWEST..=HIGHEST))
        .find(|port| is_free(*port) && given.insert(*port))
        .ok_or_else(|| could_not("find a free port")(std::io::ErrorKind::AddrNotAvailable.into()))
}

/// `port`, if nobody listens there.
///
/// # Errors
/// [`StackError::PortTaken`], with `what` wanted it and a `cure` besides stopping the other.
pub fn fixed(port: u16, what: &'static str, cure: &'static str) -> Result<u16, StackError> {
    if is_free(port) { Ok(port) } else { Err(StackError::PortTaken { port, what, cure }) }
}

/// Whether nobody listens there.
fn is_free(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
}
