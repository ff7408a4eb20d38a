//! A way between clients and a server that can be disturbed: cut, slowed down, held up, half open, reset.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinSet,
    time::sleep,
};

use super::error::{StackError, could_not};

const CHUNK: usize = 16 * 1024;

/// How a way is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// As if it were not there.
    #[default]
    Open,
    /// Each piece of data takes so long in either direction.
    Slow(Duration),
    /// Nothing gets through, nothing is lost: what waits goes on when the way is open again.
    Held,
    /// What the clients send gets through, what the server answers does not. Those connections never recover.
    HalfOpen,
    /// Connections are reset, and new ones too.
    Cut,
}

/// A way and how often its connections were reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Condition {
    way: Way,
    resets: u64,
}

/// What has come by so far.
#[derive(Debug, Default)]
struct Tally {
    carried: AtomicU64,
    disturbed: AtomicU64,
}

impl Tally {
    fn disturb(&self) {
        self.disturbed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Client,
    Server,
}

/// A way from a port to a server. Dropped, it is closed, and its connections with it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    condition: watch::Sender<Condition>,
    tally: Arc<Tally>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Opens a way from `port` of the loopback address to `server`.
    ///
    /// # Errors
    /// If nobody can listen at the port.
    pub async fn open(port: u16, server: SocketAddr) -> Result<Self, StackError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener =
            TcpListener::bind(address).await.map_err(could_not("listen for a proxy's clients"))?;
        let condition = watch::Sender::default();
        let mut tasks = JoinSet::new();
        let tally = Arc::<Tally>::default();
        tasks.spawn(accept(listener, server, condition.subscribe(), Arc::clone(&tally)));
        Ok(Self { address, condition, tally, _tasks: tasks })
    }

    /// What clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the way so from now on.
    pub fn set(&self, way: Way) {
        self.condition.send_modify(|condition| condition.way = way);
    }

    /// Resets the connections there are; new ones get through.
    pub fn reset(&self) {
        self.condition.send_modify(|condition| condition.resets += 1);
    }

    /// How many connections have reached the server so far.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.tally.carried.load(Ordering::Relaxed)
    }

    /// How often somebody has met the way otherwise than open so far: connections that it broke or kept waiting, and pieces of data that
    /// it delayed or held up.
    #[must_use]
    pub fn disturbed(&self) -> u64 {
        self.tally.disturbed.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    condition: watch::Receiver<Condition>,
    tally: Arc<Tally>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    connections.spawn(carry(client, server, condition.clone(), Arc::clone(&tally)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Carries one connection until it ends or the way breaks it, which either side sees as a reset.
async fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    condition: watch::Receiver<Condition>,
    tally: Arc<Tally>,
) {
    let connect = async {
        if condition.borrow().way == Way::Held {
            tally.disturb();
        }
        passable(condition.clone()).await;
        TcpStream::connect(server).await.ok()
    };
    let mut server = tokio::select! {
        () = broken(condition.clone()) => {
            tally.disturb();
            None
        }
        server = connect => server,
    };
    let is_broken = match &mut server {
        None => true,
        Some(server) => {
            tally.carried.fetch_add(1, Ordering::Relaxed);
            tokio::select! {
                // First: what waits must not slip through when the way opens again.
                biased;
                () = broken(condition.clone()) => {
                    tally.disturb();
                    true
                }
                () = pump_both(&mut client, server, &condition, &tally) => false,
            }
        }
    };
    if is_broken {
        for stream in server.iter().chain([&client]) {
            // Refused only by a connection that is gone already.
            let _ = stream.set_zero_linger();
        }
    }
}

async fn pump_both(
    client: &mut TcpStream,
    server: &mut TcpStream,
    condition: &watch::Receiver<Condition>,
    tally: &Tally,
) {
    for stream in [&*client, &*server] {
        // Refused only by a connection that is gone already.
        let _ = stream.set_nodelay(true);
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let there = pump(Sender::Client, from_client, to_server, condition.clone(), tally);
    let back = pump(Sender::Server, from_server, to_client, condition.clone(), tally);
    tokio::join!(there, back);
}

/// Carries what one side sends, until it has no more to send.
async fn pump(
    sender: Sender,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut condition: watch::Receiver<Condition>,
    tally: &Tally,
) {
    let mut chunk = vec![0; CHUNK];
    let mut waits = false;
    loop {
        let way = condition.borrow_and_update().way;
        if is_shut(way, sender) {
            tokio::select! {
                changed = condition.changed() => if changed.is_err() {
                    return;
                },
                _ = from.peek(&mut chunk), if !waits => {
                    waits = true;
                    tally.disturb();
                }
            }
            continue;
        }
        waits = false;
        let read = tokio::select! {
            _ = condition.changed() => continue,
            read = from.read(&mut chunk) => read.unwrap_or(0),
        };
        if let Way::Slow(delay) = way {
            tally.disturb();
            sleep(delay).await;
        }
        if read == 0 || to.write_all(&chunk[..read]).await.is_err() {
            // The other side is told that nothing more comes, unless it is gone.
            let _ = to.shutdown().await;
            return;
        }
    }
}

fn is_shut(way: Way, sender: Sender) -> bool {
    match way {
        Way::Open | Way::Slow(_) | Way::Cut => false,
        Way::Held => true,
        Way::HalfOpen => sender == Sender::Server,
    }
}

/// Waits until new connections get through.
async fn passable(mut condition: watch::Receiver<Condition>) {
    // It fails only when the proxy is gone, and this task with it.
    let _ = condition.wait_for(|condition| condition.way != Way::Held).await;
}

/// Waits until connections that exist now are broken.
async fn broken(mut condition: watch::Receiver<Condition>) {
    let resets = condition.borrow().resets;
    let mut was_half_open = false;
    loop {
        let now = *condition.borrow_and_update();
        let is_half_open = now.way == Way::HalfOpen;
        if now.way == Way::Cut || now.resets != resets || (was_half_open && !is_half_open) {
            return;
        }
        was_half_open = is_half_open;
        if condition.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::stack::ports;

    const SOON: Duration = Duration::from_millis(100);

    /// A server that answers each connection as it speaks, and a way to it.
    async fn echo() -> (Proxy, JoinSet<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        (Proxy::open(ports::free().unwrap(), server).await.unwrap(), tasks)
    }

    /// What is answered to a word: none if the connection breaks.
    async fn says(stream: &mut TcpStream, word: &[u8]) -> Option<Vec<u8>> {
        stream.write_all(word).await.ok()?;
        let mut answer = vec![0; word.len()];
        stream.read_exact(&mut answer).await.ok()?;
        Some(answer)
    }

    /// Whether a word stays without an answer for a while.
    async fn is_silent(stream: &mut TcpStream, word: &[u8]) -> bool {
        timeout(SOON, says(stream, word)).await.is_err()
    }

    #[tokio::test]
    async fn what_is_held_up_goes_on_when_the_way_is_open_again() {
        let (proxy, _server) = echo().await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut stream, b"one").await.as_deref(), Some(&b"one"[..]));
        proxy.set(Way::Held);
        assert_eq!((proxy.carried(), proxy.disturbed()), (1, 0));
        assert!(is_silent(&mut stream, b"two").await);
        assert_eq!(proxy.disturbed(), 1);
        proxy.set(Way::Open);
        let mut late = [0; 3];
        stream.read_exact(&mut late).await.unwrap();
        assert_eq!(&late, b"two");
    }

    #[tokio::test]
    async fn a_half_open_connection_never_recovers() {
        let (proxy, _server) = echo().await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(says(&mut stream, b"one").await.is_some());
        proxy.set(Way::HalfOpen);
        assert!(is_silent(&mut stream, b"two").await);
        proxy.set(Way::Open);
        assert!(stream.read_exact(&mut [0; 3]).await.is_err());
        let mut another = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut another, b"three").await.as_deref(), Some(&b"three"[..]));
    }

    #[tokio::test]
    async fn a_cut_way_lets_nobody_through_and_a_reset_one_the_next() {
        let (proxy, _server) = echo().await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(says(&mut stream, b"one").await.is_some());
        proxy.reset();
        assert!(stream.read_exact(&mut [0; 3]).await.is_err());
        let mut another = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(says(&mut another, b"two").await.is_some());
        proxy.set(Way::Cut);
        assert_eq!(says(&mut another, b"three").await, None);
        let mut third = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut third, b"four").await, None);
        // Two that were there, and one that never reached the server.
        assert_eq!((proxy.carried(), proxy.disturbed()), (2, 3));
    }

    #[tokio::test]
    async fn a_way_that_nobody_goes_disturbs_nobody() {
        let (proxy, _server) = echo().await;
        for way in [Way::Slow(SOON), Way::Held, Way::HalfOpen, Way::Cut, Way::Open] {
            proxy.set(way);
        }
        proxy.reset();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(says(&mut stream, b"one").await.is_some());
        assert_eq!(proxy.disturbed(), 0);
        proxy.set(Way::Slow(SOON / 10));
        assert!(says(&mut stream, b"two").await.is_some());
        assert_eq!(proxy.disturbed(), 2);
    }
}
