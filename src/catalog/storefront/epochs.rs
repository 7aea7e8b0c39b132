//! What holds for one epoch of the catalog may be read from a replica, if that has seen the last
//! change that this instance knows of: so nothing is shown that is older than without a replica.

use super::super::store::shown;
use crate::breaker::Breaker;
use crate::cache::{Loaded, Order};
use crate::error::{Code, Problem};
use crate::metrics;
use crate::postgres::Postgres;
use deadpool_postgres::{Object, Pool};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// To learn how far a replica has come. Whoever waits longer could have read the primary.
const LOOK_MAX: Duration = Duration::from_millis(300);

/// A read of a replica that takes longer is done at the primary instead.
const READ_MAX: Duration = Duration::from_secs(2);

/// Reads keys in one snapshot, which says with its order which epoch it saw.
pub(super) type Read<K> = fn(Object, Vec<K>) -> BoxFuture<'static, Result<Loaded<K>, Problem>>;

/// Where to read what holds for an epoch.
pub(super) struct Epochs {
    primary: Pool,
    replicas: Option<Pool>,
    /// Replicas that do not answer are left alone for a while.
    breaker: Breaker,
    /// The last change that this instance has heard of.
    newest: AtomicU64,
}

impl Epochs {
    pub fn of(postgres: &Postgres) -> Arc<Self> {
        Arc::new(Self {
            primary: postgres.readers.clone(),
            replicas: postgres.replicas.clone(),
            breaker: Breaker::default(),
            newest: AtomicU64::default(),
        })
    }

    /// There is this epoch.
    pub fn heard_of(&self, epoch: Order) {
        self.newest.fetch_max(epoch.0, Ordering::Relaxed);
    }

    /// Reads at a replica that has come far enough, or else at the primary.
    pub async fn read<K: Clone>(
        self: Arc<Self>,
        keys: Vec<K>,
        read: Read<K>,
    ) -> Result<Loaded<K>, Problem> {
        if let Some(replicas) = &self.replicas
            && self.breaker.admits(Instant::now())
        {
            let found = self.read_replica(replicas, keys.clone(), read).await;
            // What takes too long there would take as long here.
            let is_there =
                found.as_ref().map_or_else(|problem| problem.code == Code::Overloaded, |_| true);
            self.breaker.report(is_there, Instant::now());
            metrics::replica_read(match &found {
                Ok(None) => "behind",
                _ if is_there => "used",
                _ => "away",
            });
            match found {
                Ok(None) => (),
                Ok(Some(loaded)) => return Ok(loaded),
                Err(problem) if is_there => return Err(problem),
                Err(problem) => tracing::debug!(%problem, "a replica did not answer"),
            }
        }
        read(self.primary.get().await?, keys).await
    }

    /// Nothing if the replica is behind.
    async fn read_replica<K>(
        &self,
        replicas: &Pool,
        keys: Vec<K>,
        read: Read<K>,
    ) -> Result<Option<Loaded<K>>, Problem> {
        let newest = Order(self.newest.load(Ordering::Relaxed));
        let look = async {
            let client = replicas.get().await?;
            let epoch = shown::epoch(&client).await?;
            Ok::<_, Problem>((client, epoch))
        };
        let (client, epoch) = timeout(LOOK_MAX, look).await.map_err(Problem::internal)??;
        if epoch < newest {
            return Ok(None);
        }
        timeout(READ_MAX, read(client, keys)).await.map_err(Problem::internal)?.map(Some)
    }
}
