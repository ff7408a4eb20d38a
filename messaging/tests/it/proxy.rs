//! A proxy before PostgreSQL that cuts the line after a COMMIT has reached the server and before its answer comes back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

pub(crate) struct Proxy {
    pub(crate) url: String,
    armed: Arc<AtomicBool>,
    cut: Arc<AtomicBool>,
    _task: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(database_url: &str) -> Self {
        let (before, rest) = database_url.rsplit_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{before}@{}/{database}", listener.local_addr().unwrap());
        let (armed, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (server, arm, did) = (server.to_owned(), Arc::clone(&armed), Arc::clone(&cut));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut lines = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&server).await.unwrap();
                lines.spawn(forward(client, server, Arc::clone(&arm), Arc::clone(&did)));
            }
        });
        Self { url, armed, cut, _task: task }
    }

    pub(crate) fn cut_at_the_next_commit(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }
}

async fn forward(
    mut client: TcpStream,
    mut server: TcpStream,
    armed: Arc<AtomicBool>,
    cut: Arc<AtomicBool>,
) {
    let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(1..) = read else { return };
                let bytes = &up[..read.unwrap()];
                server.write_all(bytes).await.unwrap();
                let commit = bytes.windows(6).any(|window| window == b"COMMIT");
                if commit && armed.swap(false, Ordering::SeqCst) {
                    // Time enough for the commit to happen.
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    cut.store(true, Ordering::SeqCst);
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(1..) = read else { return };
                client.write_all(&down[..read.unwrap()]).await.unwrap();
            }
        }
    }
}
