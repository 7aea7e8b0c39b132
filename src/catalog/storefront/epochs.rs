//! What holds for one epoch of the catalog may be read from a replica that is at the very epoch
//! that this instance knows. It may be behind; or ahead, with a change that the primary has not
//! shown yet, and will never show if it fails now: then the primary is read.

use super::super::store::shown;
use crate::breaker::Breaker;
use crate::cache::{Loaded, Order};
use crate::error::{Code, Problem};
use crate::metrics;
use crate::postgres::{Postgres, unavailable};
use deadpool_postgres::{Object, Pool};
use futures_util::future::BoxFuture;
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// To learn how far a replica has come. Whoever waits longer could have read the primary.
const LOOK_MAX: Duration = Duration::from_millis(300);

/// Reads keys in one snapshot, which says with its order which epoch it saw.
pub(super) type Read<K> = fn(Object, Vec<K>) -> BoxFuture<'static, Result<Loaded<K>, Problem>>;

/// Where to read what holds for an epoch.
pub(super) struct Epochs {
    primary: Pool,
    replicas: Option<Pool>,
    /// Replicas that do not answer are left alone for a while.
    breaker: Breaker,
    /// The newest that this instance has heard of.
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
        self.newest.fetch_max(epoch.0, Relaxed);
    }

    /// Reads at a replica, or after `replica_max` at the primary.
    pub async fn read<K: Clone>(
        self: Arc<Self>,
        keys: Vec<K>,
        replica_max: Duration,
        read: Read<K>,
    ) -> Result<Loaded<K>, Problem> {
        if let Some(replicas) = &self.replicas
            && self.breaker.admits(Instant::now())
        {
            let found =
                timeout(replica_max, self.read_replica(replicas, keys.clone(), read)).await;
            let found = found.unwrap_or_else(|_| Err(unavailable()));
            // What takes too long there would take as long here.
            let is_there = !matches!(&found, Err(problem) if problem.code != Code::Overloaded);
            self.breaker.report(is_there, Instant::now());
            metrics::replica_read(match &found {
                Ok(Found::Behind) => "behind",
                Ok(Found::Ahead) => "ahead",
                _ if is_there => "used",
                _ => "away",
            });
            match found {
                Ok(Found::There(loaded)) => return Ok(loaded),
                Ok(Found::Behind | Found::Ahead) => (),
                Err(problem) if is_there => return Err(problem),
                Err(problem) => tracing::debug!(%problem, "a replica did not answer"),
            }
        }
        let loaded = read(self.primary.get().await?, keys).await?;
        self.heard_of(loaded.order);
        Ok(loaded)
    }

    async fn read_replica<K>(
        &self,
        replicas: &Pool,
        keys: Vec<K>,
        read: Read<K>,
    ) -> Result<Found<K>, Problem> {
        let newest = Order(self.newest.load(Relaxed));
        let look = async {
            let client = replicas.get().await?;
            let epoch = shown::epoch(&client).await?;
            Ok::<_, Problem>((client, epoch))
        };
        let (client, epoch) = timeout(LOOK_MAX, look).await.map_err(|_| unavailable())??;
        let loaded = match epoch.cmp(&newest) {
            Ordering::Less => return Ok(Found::Behind),
            Ordering::Greater => return Ok(Found::Ahead),
            Ordering::Equal => read(client, keys).await?,
        };
        // It may have moved on since.
        Ok(if loaded.order == newest { Found::There(loaded) } else { Found::Ahead })
    }
}

/// What came of asking a replica.
enum Found<K> {
    There(Loaded<K>),
    Behind,
    Ahead,
}
