//! Redis: may be lost at any moment and only costs time.
//!
//! What is asked often goes over one shared connection, behind a circuit breaker; whoever has no
//! answer leaves it, and the next one opens another to wherever Redis is by then. Exclusive
//! connections come from a bb8 pool whose `has_broken` is real: the ready-made manager always says
//! "not broken", so a dead connection would stay in the pool.

mod place;
#[cfg(test)]
pub(crate) mod tests;

pub use place::{Connection, Place};

use crate::breaker::Breaker;
use crate::metrics;
use bb8::{ManageConnection, Pool};
use futures_util::future::{self, BoxFuture};
use futures_util::{FutureExt, StreamExt};
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Between two attempts to subscribe.
const SUBSCRIBE_PAUSE: Duration = Duration::from_millis(500);

/// A subscription that has heard nothing for so long asks whether anybody is there, and leaves
/// if it hears nothing for as long again.
const QUIET_MAX: Duration = Duration::from_secs(1);

/// The way to Redis. Cheap to clone.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    place: Arc<Place>,
    timeout: Duration,
    runtime: Handle,
    shared: Arc<Shared>,
    breaker: Breaker,
    exclusive: Pool<Exclusive>,
}

impl Redis {
    /// Connects at the first use, on `runtime`. A URL that cannot be read is an error for the
    /// operator.
    pub fn new(url: &str, timeout: Duration, runtime: Handle) -> Result<Self, String> {
        let place = Place::parse(url, timeout)
            .map_err(|error| format!("redis.url cannot be read: {error}"))?;
        let place = Arc::new(place);
        let shared = Arc::new(Shared { place: place.clone(), open: Mutex::default() });
        let _inside = runtime.enter();
        let exclusive = Pool::builder()
            .max_size(2)
            .connection_timeout(timeout * 2)
            .error_sink(Box::new(bb8::NopErrorSink))
            .build_unchecked(Exclusive { place: place.clone(), timeout });
        let breaker = Breaker::default();
        let runtime = runtime.clone();
        Ok(Self(Arc::new(Inner { place, timeout, runtime, shared, breaker, exclusive })))
    }

    /// Whether Redis answers now.
    pub async fn is_up(&self) -> bool {
        let Ok(mut connection) = self.0.exclusive.get().await else { return false };
        connection.ping().await.is_ok()
    }

    /// Asks over the shared connection; nothing if Redis does not answer in time, or has not
    /// answered the last ones who asked.
    pub async fn ask<T, F, R>(&self, question: F) -> Option<T>
    where
        F: FnOnce(Connection) -> R + Send + 'static,
        R: Future<Output = RedisResult<T>> + Send + 'static,
        T: Send + 'static,
    {
        let Inner { timeout, runtime, shared, breaker, .. } = &*self.0;
        if !breaker.admits(Instant::now()) {
            return None;
        }
        // On the runtime of its own, where a new connection's task then lives.
        let asked = runtime.spawn(shared.clone().ask(question, *timeout));
        let answer = match tokio::time::timeout(*timeout, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(timed_out()),
        };
        let is_open = breaker.report(answer.is_ok(), Instant::now());
        metrics::redis_breaker(is_open);
        answer.inspect_err(|error| tracing::debug!(%error, "Redis did not answer")).ok()
    }

    /// Tells `heard` whatever is published on the channel, until the subscription is dropped. It
    /// connects again whenever the connection is lost.
    pub fn subscribe(
        &self,
        channel: String,
        heard: impl Fn(Heard<'_>) + Send + Sync + 'static,
    ) -> Subscription {
        let place = self.0.place.clone();
        Subscription(self.0.runtime.spawn(async move {
            loop {
                if let Err(error) = listen(&place, &channel, &heard).await {
                    tracing::debug!(%error, "no subscription to Redis");
                }
                tokio::time::sleep(SUBSCRIBE_PAUSE).await;
            }
        }))
    }
}

/// What a subscriber is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'m> {
    /// It is connected. What was said before was not heard.
    Connected,
    /// Somebody said this.
    Message(&'m [u8]),
}

/// Ends when it is dropped.
pub struct Subscription(JoinHandle<()>);

impl Drop for Subscription {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Until the connection is lost.
async fn listen(
    place: &Place,
    channel: &str,
    heard: &(impl Fn(Heard<'_>) + Sync),
) -> RedisResult<()> {
    let (mut asking, mut messages) = place.subscriber(channel).await?.split();
    heard(Heard::Connected);
    loop {
        match timeout(QUIET_MAX, messages.next()).await {
            Ok(Some(message)) => heard(Heard::Message(message.get_payload_bytes())),
            Ok(None) => return Ok(()),
            Err(_) => timeout(QUIET_MAX, asking.ping()).await.map_err(|_| timed_out())??,
        }
    }
}

/// The connection that all share.
struct Shared {
    place: Arc<Place>,
    open: Mutex<Open>,
}

/// The connection, if somebody has wanted one, and how many there were before.
#[derive(Default)]
struct Open {
    connection: Option<Opening>,
    earlier: u64,
}

/// A connection that is there, or being opened by a task that outlives whoever began it: they have
/// less time than a failover takes.
type Opening = future::Shared<BoxFuture<'static, Option<Connection>>>;

impl Shared {
    async fn ask<T, F, R>(self: Arc<Self>, question: F, max: Duration) -> RedisResult<T>
    where
        F: FnOnce(Connection) -> R,
        R: Future<Output = RedisResult<T>>,
    {
        let (opening, earlier) = self.connection();
        let connection = timeout(max, opening).await.map_err(|_| timed_out())?;
        let answer = match connection {
            Some(connection) => timeout(max, question(connection)).await,
            None => Ok(Err(timed_out())),
        };
        let answer = answer.unwrap_or_else(|_| Err(timed_out()));
        if answer.as_ref().is_err_and(|error| !is_said_by_the_right_server(error)) {
            self.leave(earlier);
        }
        answer
    }

    fn connection(self: &Arc<Self>) -> (Opening, u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = open.earlier;
        let connect = || {
            let shared = self.clone();
            let opened = tokio::spawn(async move {
                let opened = shared.place.connect().await;
                // Nobody may have waited so long.
                let opened = opened.inspect_err(|error| {
                    tracing::debug!(%error, "no connection to Redis");
                    shared.leave(earlier);
                });
                opened.ok()
            });
            opened.map(|opened| opened.ok().flatten()).boxed().shared()
        };
        (open.connection.get_or_insert_with(connect).clone(), earlier)
    }

    /// Opens another connection for the next one who asks: this one may be dead, or that to a
    /// server that is no primary any more.
    fn leave(&self, earlier: u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.earlier == earlier {
            *open = Open { connection: None, earlier: earlier + 1 };
        }
    }
}

/// Whether another connection would only hear the same: the server is there, is the one that takes
/// writes, and refuses this command.
fn is_said_by_the_right_server(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly};
    match error.kind() {
        ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | Moved | ReadOnly) => false,
        ErrorKind::Server(_) | ErrorKind::Extension => true,
        _ => false,
    }
}

struct Exclusive {
    place: Arc<Place>,
    timeout: Duration,
}

/// A connection that remembers whether it failed.
struct Tracked {
    connection: Connection,
    timeout: Duration,
    is_broken: bool,
}

impl Tracked {
    async fn ping(&mut self) -> Result<(), RedisError> {
        let ping = redis::cmd("PING");
        let answer = timeout(self.timeout, ping.query_async(&mut self.connection));
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
        let connection = self.place.connect().await?;
        Ok(Tracked { connection, timeout: self.timeout, is_broken: false })
    }

    async fn is_valid(&self, connection: &mut Tracked) -> Result<(), RedisError> {
        connection.ping().await
    }

    fn has_broken(&self, connection: &mut Tracked) -> bool {
        connection.is_broken
    }
}
