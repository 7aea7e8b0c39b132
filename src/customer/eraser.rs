//! The eraser looks for what came after customers who are gone. It runs on every instance; each
//! erasure is taken by one of them at a time.

use super::store::erasure;
use crate::error::Problem;
use crate::postgres::Postgres;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Erasures of one look.
const ROUND_MAX: i64 = 20;

/// The running eraser.
pub struct Eraser(JoinHandle<()>);

impl Eraser {
    /// Starts it on the runtime of the database connections.
    pub fn start(postgres: &Postgres) -> Self {
        let (runtime, postgres) = (postgres.runtime().clone(), postgres.clone());
        Self(runtime.spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                if let Err(problem) = round(&postgres).await {
                    tracing::warn!(%problem, "a look at erasures failed; the next one follows");
                }
            }
        }))
    }

    /// Stops it between two steps; whoever looks next goes on.
    pub fn stop(self) {
        self.0.abort();
    }
}

async fn round(postgres: &Postgres) -> Result<(), Problem> {
    for erasure in erasure::take_due(&postgres.writers, ROUND_MAX).await? {
        // It comes again; the others do not wait for it.
        if let Err(problem) = erasure::finish(&postgres.writers, &erasure).await {
            tracing::warn!(%problem, "an erasure failed");
        }
    }
    Ok(())
}
