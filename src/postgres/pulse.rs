//! Whether the server that takes writes still answers.
//!
//! One whose processes hang keeps its connections open: the kernel acknowledges what is sent, and
//! no time limit of PostgreSQL's own is over. Another may long have taken its place. So somebody
//! asks it all the time, on a connection of their own, and if it says nothing for too long, or that
//! connection is lost and another server is found instead, all connections until then are closed,
//! and those who need one find the server that answers.

use super::{Postgres, started};
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
pub(super) struct Pulse(watch::Sender<Beats>);

/// Connections of the pulse, counted: those of others belong to the one of their time.
#[derive(Default)]
struct Beats {
    /// That of now, or the one to come.
    current: u64,
    /// Connections of the times before this one are closed.
    kept_from: u64,
}

impl Pulse {
    /// One that nobody feels yet.
    pub fn new() -> Self {
        Self(watch::Sender::default())
    }

    /// Ends when the server is given up to which there was a connection when this was called.
    pub fn stops(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut beats = self.0.subscribe();
        let mine = beats.borrow().current;
        async move {
            // Fails if nobody is left to give it up.
            if beats.wait_for(|beats| beats.kept_from > mine).await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Asks the server for ever, and gives it up when it does not answer, or another is found
    /// behind a connection that was lost: its processes may hang that others have to do with.
    pub async fn feel(self, postgres: Postgres) {
        let mut last = None;
        loop {
            if let Ok(client) = postgres.connect().await
                && let Ok(Ok(server)) = timeout(PATIENCE, started(&client)).await
            {
                if last.replace(server).is_some_and(|last| last != server) {
                    self.give_up("the database is another one");
                }
                let is_silent = falls_silent(&client).await;
                self.0.send_modify(|beats| beats.current += 1);
                if is_silent {
                    self.give_up("the database says nothing");
                }
            }
            sleep(BEAT).await;
        }
    }

    fn give_up(&self, why: &str) {
        tracing::warn!("{why}; connections from before are given up");
        self.0.send_modify(|beats| beats.kept_from = beats.current);
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
