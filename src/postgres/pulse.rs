//! Whether the server that takes writes still answers.
//!
//! One whose processes hang keeps its connections open: the kernel acknowledges what is sent, and
//! no time limit of PostgreSQL's own is over. Another may long have taken its place. So somebody
//! asks it all the time, on a connection of their own, and if it says nothing for too long, all
//! connections are closed, and those who need one find the server that answers. If that connection
//! is lost, and another server answers the next, all connections to others are closed, too.

use super::{Postgres, Server, set_up};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

/// Between two questions.
const BEAT: Duration = Duration::from_secs(1);
/// A question that is not answered twice within this time is the last one.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// Tells connections when their server is given up: the one that answers, or nothing while none
/// does. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pulse(watch::Sender<Option<Server>>);

impl Pulse {
    /// One that nobody feels yet.
    pub fn new() -> Self {
        Self(watch::Sender::default())
    }

    /// For a connection that is not open yet.
    pub fn watch(&self) -> Watch {
        Watch(self.0.subscribe())
    }

    /// Asks the server for ever, and gives it up when it does not answer, or another one does: its
    /// processes may hang that others have to do with.
    pub async fn feel(self, postgres: Postgres) {
        loop {
            if let Ok(client) = postgres.connect().await
                && let Ok(Ok(server)) = timeout(PATIENCE, set_up(&client)).await
            {
                let before = self.0.send_replace(Some(server.clone()));
                if before.is_some_and(|before| before != server) {
                    tracing::warn!("another database answers; connections to others are closed");
                }
                if falls_silent(&client).await {
                    tracing::warn!("the database says nothing; its connections are closed");
                    self.0.send_replace(None);
                }
            }
            sleep(BEAT).await;
        }
    }
}

/// What a connection hears of the pulse since before it was opened.
pub(super) struct Watch(watch::Receiver<Option<Server>>);

impl Watch {
    /// Ends when the server of the connection is given up, once it is known.
    pub async fn stops(mut self, server: oneshot::Receiver<Server>) {
        let Ok(server) = server.await else { return std::future::pending().await };
        // Fails if nobody is left to give it up.
        while self.0.changed().await.is_ok() {
            if self.0.borrow_and_update().as_ref() != Some(&server) {
                return;
            }
        }
        std::future::pending().await
    }
}

/// Asks until there is no answer; false if the connection was lost.
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
