//! Redis: may be lost at any moment and only costs time.
//!
//! Exclusive connections come from a bb8 pool whose `has_broken` is real: the ready-made manager
//! always says "not broken", so a dead connection would stay in the pool.

use bb8::{ManageConnection, Pool};
use redis::aio::MultiplexedConnection;
use redis::{Client, RedisError};
use std::time::Duration;

/// The way to Redis. Cheap to clone.
#[derive(Clone)]
pub struct Redis(Pool<Exclusive>);

impl Redis {
    /// Connects at the first use. A URL that cannot be read is an error for the operator.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, String> {
        let client =
            Client::open(url).map_err(|error| format!("redis.url cannot be read: {error}"))?;
        let pool = Pool::builder()
            .max_size(2)
            .connection_timeout(timeout * 2)
            .error_sink(Box::new(bb8::NopErrorSink))
            .build_unchecked(Exclusive { client, timeout });
        Ok(Self(pool))
    }

    /// Whether Redis answers now.
    pub async fn is_up(&self) -> bool {
        let Ok(mut connection) = self.0.get().await else { return false };
        connection.ping().await.is_ok()
    }
}

struct Exclusive {
    client: Client,
    timeout: Duration,
}

/// A connection that remembers whether it failed.
struct Tracked {
    connection: MultiplexedConnection,
    timeout: Duration,
    is_broken: bool,
}

impl Tracked {
    async fn ping(&mut self) -> Result<(), RedisError> {
        let ping = redis::cmd("PING");
        let answer = tokio::time::timeout(self.timeout, ping.query_async(&mut self.connection));
        let answer = answer.await.unwrap_or_else(|_| Err(timed_out()));
        self.is_broken = answer.is_err();
        answer
    }
}

fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

impl ManageConnection for Exclusive {
    type Connection = Tracked;
    type Error = RedisError;

    async fn connect(&self) -> Result<Tracked, RedisError> {
        let opened = self.client.get_multiplexed_async_connection();
        let opened = tokio::time::timeout(self.timeout, opened).await;
        let connection = opened.unwrap_or_else(|_| Err(timed_out()))?;
        Ok(Tracked { connection, timeout: self.timeout, is_broken: false })
    }

    async fn is_valid(&self, connection: &mut Tracked) -> Result<(), RedisError> {
        connection.ping().await
    }

    fn has_broken(&self, connection: &mut Tracked) -> bool {
        connection.is_broken
    }
}
