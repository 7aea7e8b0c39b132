//! Real servers for tests, here and of what uses Redis.

use super::Redis;
use crate::embedded::Pair;
use redis::{Cmd, FromRedisValue, cmd};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tokio::runtime::Handle;

/// A Redis of its own, which ends with this value.
pub(crate) struct Servers {
    pub(crate) redis: Redis,
    pair: Pair,
    folder: PathBuf,
}

impl Servers {
    pub(crate) async fn start(name: &str, timeout: Duration) -> Self {
        let name = format!("doorbuster-redis-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let pair = Pair::start(&folder).await.expect("PostgreSQL's programs");
        let url = pair.redis_url.clone().expect("redis-server");
        let redis = Redis::new(&url, timeout, Handle::current()).unwrap();
        Self { redis, pair, folder }
    }

    /// Sends Redis a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.pair.redis_pid.unwrap().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // It may have been killed.
        let pid = self.pair.redis_pid.unwrap().to_string();
        let _ = Command::new("kill").args(["-s", "CONT", &pid]).status();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn ask<T: FromRedisValue + Send + 'static>(redis: &Redis, command: &Cmd) -> Option<T> {
    let command = command.clone();
    redis.ask(|mut connection| async move { command.query_async(&mut connection).await }).await
}

#[tokio::test]
async fn only_who_is_away_or_takes_no_writes_is_left() {
    let Servers { redis, .. } = &Servers::start("left", Duration::from_secs(1)).await;
    let connection = async || ask::<u64>(redis, cmd("CLIENT").arg("ID")).await.unwrap();
    let write = async || ask::<()>(redis, cmd("SET").arg("a").arg("b")).await;
    let first = connection().await;
    write().await.unwrap();
    ask::<()>(redis, cmd("CONFIG").arg("SET").arg("maxmemory").arg(1)).await.unwrap();
    assert_eq!(write().await, None, "there is room for it");
    assert_eq!(connection().await, first, "a server that is full is still the one");
    ask::<()>(redis, cmd("CONFIG").arg("SET").arg("maxmemory").arg(0)).await.unwrap();
    ask::<()>(redis, cmd("REPLICAOF").arg("127.0.0.1").arg(1)).await.unwrap();
    assert_eq!(write().await, None, "a replica takes it");
    assert_ne!(connection().await, first, "another one takes writes by now");
}
