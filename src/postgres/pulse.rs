//! Whether the server that takes writes still answers.
//!
//! One whose processes hang keeps its connections open: the kernel acknowledges what is sent, and
//! no time limit of PostgreSQL's own is over. Another may long have taken its place. So somebody
//! asks it all the time, on a connection of their own, and if it says nothing for too long, all
//! connections are closed, and those who need one find the server that answers.

use super::Postgres;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

/// Between two questions.
const BEAT: Duration = Duration::from_secs(1);
/// A question that is not answered twice within this time is the last one.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// Tells connections when their server is given up. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pulse(watch::Sender<()>);

impl Pulse {
    /// One that nobody feels yet.
    pub fn new() -> Self {
        Self(watch::channel(()).0)
    }

    /// Ends when the server is given up to which there was a connection when this was called.
    pub fn stops(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut given_up = self.0.subscribe();
        async move {
            // Fails if nobody is left to give it up.
            if given_up.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Asks the server for ever, and gives it up when it does not answer.
    pub async fn feel(self, postgres: Postgres) {
        loop {
            if let Ok(client) = postgres.connect().await
                && falls_silent(&client).await
            {
                tracing::warn!("the database says nothing; its connections are given up");
                self.0.send_replace(());
            }
            sleep(BEAT).await;
        }
    }
}

/// Asks until there is no answer; false if the connection was lost, which everybody notices.
async fn falls_silent(client: &Client) -> bool {
    'beats: loop {
        sleep(BEAT).await;
        let mut answer = std::pin::pin!(client.simple_query(""));
        // The second time is for an instance that was stopped itself, and has to read first.
        for _ in 0..2 {
            match timeout(PATIENCE, &mut answer).await {
                Ok(Ok(_)) => continue 'beats,
                Ok(Err(_)) => return false,
                Err(_) => {}
            }
        }
        return true;
    }
}
