//! A server that answers everything at once, except while it stalls.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

/// When it stalls, counted from its first request, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Stall {
    pub after: Duration,
    pub time: Duration,
}

pub struct Stub {
    pub url: String,
    state: Arc<State>,
}

struct State {
    stall: Option<Stall>,
    first: OnceLock<Instant>,
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Stub {
    pub async fn open(stall: Option<Stall>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (first, connections) = (OnceLock::new(), AtomicUsize::new(0));
        let state = Arc::new(State { stall, first, connections, requests: AtomicUsize::new(0) });
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { url, state }
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        let mut length = 0;
        while stream.read_line(&mut line).await.ok().filter(|bytes| *bytes > 0)? > 2 {
            if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().ok()?;
            }
            line.clear();
        }
        stream.read_exact(&mut vec![0; length]).await.ok()?;
        state.requests.fetch_add(1, Ordering::Relaxed);
        let first = *state.first.get_or_init(Instant::now);
        if let Some(Stall { after, time }) = state.stall {
            let stalls = first + after..first + after + time;
            if stalls.contains(&Instant::now()) {
                sleep_until(stalls.end).await;
            }
        }
        let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        stream.write_all(reply).await.ok()?;
    }
}
