//! Free ports that stay free: taken below the range the system gives to outgoing connections, so that nobody gets one
//! by chance while its server is down, and at random, so that stacks started together do not take the same.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use tokio::{net::TcpSocket, time::Instant};

use super::error::{StackError, could_not};
use crate::output::say;

const LOWEST: u16 = 15_000;
const HIGHEST: u16 = 29_999;
const TRIES: u32 = 1_000;

/// How long an ended connection keeps its port (Linux's `TCP_TIMEWAIT_LEN` is 60 s), and a little.
const FADES_WITHIN: Duration = Duration::from_secs(65);
const LOOK_EVERY: Duration = Duration::from_millis(100);

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
/// The usual ports lie where the system takes those of outgoing connections from. One that such a connection has is waited
/// for: it keeps its port for a minute after its end. From then on `port` is kept from outgoing connections, for as long as
/// this process lives.
///
/// # Errors
/// [`StackError::PortTaken`], with `what` wanted it and a `cure` besides stopping the other.
pub async fn fixed(port: u16, what: &'static str, cure: &'static str) -> Result<u16, StackError> {
    let began = Instant::now();
    let mut is_told = false;
    while keep(port).is_err() {
        if is_listened_on(port) || began.elapsed() > FADES_WITHIN {
            return Err(StackError::PortTaken { port, what, cure });
        }
        if !is_told {
            let waiting =
                format!("waiting for port {port} ({what}), which an outgoing connection has");
            say(waiting).map_err(could_not("say what is waited for"))?;
            is_told = true;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(port)
}

/// Binds a socket to `port` that never listens. Linux gives no such port to an outgoing connection, and lets a server that
/// says `SO_REUSEADDR`, as all of ours do, listen there all the same; elsewhere the socket would keep the server out.
fn keep(port: u16) -> io::Result<()> {
    static KEPT: LazyLock<Mutex<HashMap<u16, TcpSocket>>> = LazyLock::new(Mutex::default);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    if cfg!(target_os = "linux") && !kept.contains_key(&port) {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
        kept.insert(port, socket);
    }
    Ok(())
}

/// Whether a server answers there.
fn is_listened_on(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Whether nobody listens there.
fn is_free(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_port_that_an_outgoing_connection_has_is_waited_for() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let outgoing = TcpSocket::new_v4().unwrap();
        outgoing.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = outgoing.local_addr().unwrap().port();
        // Ends without the minute's wait.
        outgoing.set_zero_linger().unwrap();
        let connection = outgoing.connect(server.local_addr().unwrap()).await.unwrap();

        let mut waiting = pin!(fixed(port, "the test", ""));
        tokio::time::timeout(3 * LOOK_EVERY, &mut waiting).await.unwrap_err();

        drop(connection);
        assert_eq!(waiting.await.unwrap(), port);
    }

    #[tokio::test]
    async fn a_port_that_a_server_has_is_not() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        let error = fixed(port, "the test", "").await.unwrap_err();
        assert!(matches!(error, StackError::PortTaken { .. }), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_fixed_port_is_kept_from_outgoing_connections_and_not_from_its_server() {
        let port = fixed(free().unwrap(), "the test", "").await.unwrap();
        let outgoing = TcpSocket::new_v4().unwrap();
        assert!(outgoing.bind((Ipv4Addr::LOCALHOST, port).into()).is_err());
        for _restart in 0..2 {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
        assert_eq!(fixed(port, "the test", "").await.unwrap(), port, "asked twice");
    }
}
