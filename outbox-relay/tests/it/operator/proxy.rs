//! A proxy that pools transactions, in little: every client shares two sessions, and a transaction gets whichever is free.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// A connection to the server, past its greeting.
struct Session {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
}

/// Starts one before the server at `server`, and answers its port. It ends with the test.
pub(crate) async fn start(server: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let pool: Arc<Mutex<Vec<Session>>> = Arc::default();
    let accepting = async move {
        let mut clients = tokio::task::JoinSet::new();
        loop {
            let (client, _) = listener.accept().await.unwrap();
            clients.spawn(serve(client, server.clone(), Arc::clone(&pool)));
        }
    };
    drop(tokio::task::spawn_local(accepting));
    port
}

/// Serves one client: greets it as the server does, then lends it a session for each transaction.
async fn serve(client: TcpStream, server: String, pool: Arc<Mutex<Vec<Session>>>) -> Option<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let startup = startup(&mut from_client).await?;
    let server = TcpStream::connect(server).await.ok()?;
    let (read, mut write) = server.into_split();
    write.write_all(&startup).await.ok()?;
    let mut session = Session { read, write };
    relay_answer(&mut session, &mut to_client).await?;
    pool.lock().await.push(session);
    loop {
        let first = message(&mut from_client).await?;
        if first[0] == b'X' {
            return None;
        }
        let mut lent = lend(&pool).await;
        lent.write.write_all(&first).await.ok()?;
        // A statement ends with Query or Sync; the transaction when the server says that it is idle.
        let mut kind = first[0];
        loop {
            let is_asked = kind == b'Q' || kind == b'S';
            if is_asked && relay_answer(&mut lent, &mut to_client).await? == b'I' {
                break;
            }
            let next = message(&mut from_client).await?;
            kind = next[0];
            lent.write.write_all(&next).await.ok()?;
        }
        pool.lock().await.push(lent);
    }
}

/// The session that was given back last, as proxies have it.
async fn lend(pool: &Mutex<Vec<Session>>) -> Session {
    loop {
        if let Some(session) = pool.lock().await.pop() {
            return session;
        }
        tokio::task::yield_now().await;
    }
}

/// The client's first message that is no question about TLS.
async fn startup(client: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let length = client.read_u32().await.ok()?;
    let mut rest = vec![0; length as usize - 4];
    client.read_exact(&mut rest).await.ok()?;
    Some([length.to_be_bytes().as_slice(), &rest].concat())
}

/// A message with its kind and length.
async fn message(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let kind = from.read_u8().await.ok()?;
    let length = from.read_u32().await.ok()?;
    let mut rest = vec![0; length as usize - 4];
    from.read_exact(&mut rest).await.ok()?;
    Some([[kind].as_slice(), &length.to_be_bytes(), &rest].concat())
}

/// Passes on what the server says until it is ready, and answers in which state it is.
async fn relay_answer(session: &mut Session, client: &mut OwnedWriteHalf) -> Option<u8> {
    loop {
        let message = message(&mut session.read).await?;
        client.write_all(&message).await.ok()?;
        if message[0] == b'Z' {
            return message.get(5).copied();
        }
    }
}
