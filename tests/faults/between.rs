//! What stands between an instance and its database: an address of its own, and a runtime.

use crate::harness::Database;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// A place between an instance and its database.
pub struct Between {
    /// The database, by way of this place.
    pub url: String,
    // Of its own: tests block their threads while a server starts.
    runtime: Option<Runtime>,
}

impl Between {
    /// Carries each connection as `carry` does, to the database's address.
    pub fn and<C>(
        database: &Database,
        carry: impl Fn(TcpStream, SocketAddr) -> C + Send + 'static,
    ) -> Self
    where
        C: Future<Output: Send> + Send + 'static,
    {
        let (head, tail) = database.tcp_url.rsplit_once('@').unwrap();
        let (address, name) = tail.split_once('/').unwrap();
        let upstream: SocketAddr = address.parse().unwrap();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("{head}@{}/{name}", listener.local_addr().unwrap());
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(client, upstream));
            }
        });
        Self { url, runtime: Some(runtime) }
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
