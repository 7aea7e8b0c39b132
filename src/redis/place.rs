//! Where Redis is: one server, the primary that Sentinels name, or the servers of a cluster.

use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline};
use redis::{ErrorKind, RedisError, RedisFuture, RedisResult, Value};
use std::time::Duration;

const SENTINEL: &str = "redis+sentinel://";
const CLUSTER: &str = "redis+cluster://";

/// Each Sentinel that says nothing costs a second.
const CONNECT_MAX: Duration = Duration::from_secs(4);

/// Where Redis is, and whom to ask about it.
pub struct Place {
    kind: Kind,
    /// Longest time to connect, and to wait for one answer.
    timeout: Duration,
}

enum Kind {
    Server(Client),
    Sentinels(Sentinels),
    /// The client, and each server of the URL for subscriptions: any of them hears all messages.
    Cluster(Box<ClusterClient>, Vec<Client>),
}

/// Those who know which server is the primary of a service.
struct Sentinels {
    servers: Vec<ConnectionInfo>,
    service: String,
    /// How to connect to the primary.
    primary: SentinelNodeConnectionInfo,
}

impl Sentinels {
    /// Asked again for each connection, because it may be another one by then; and by each for
    /// itself, because one that says nothing takes a second.
    async fn primary(&self) -> RedisResult<Client> {
        let Self { servers, service, primary } = self;
        let kind = SentinelServerType::Master;
        let (servers, primary) = (servers.clone(), Some(primary.clone()));
        SentinelClient::build(servers, service.clone(), primary, kind)?.async_get_client().await
    }
}

/// A connection to where Redis is. Cheap to clone.
#[derive(Clone)]
pub enum Connection {
    /// … to one server.
    Server(MultiplexedConnection),
    /// … to whichever server of a cluster holds the keys.
    Cluster(ClusterConnection),
}

impl Place {
    /// Reads a URL; hosts of several are separated by commas, and passwords are for Redis:
    /// - `redis://:password@host:6379/0`, or `redis+unix:///path`;
    /// - `redis+sentinel://:password@host:26379,host:26379/service/0`;
    /// - `redis+cluster://:password@host:6379,host:6379`.
    pub fn parse(url: &str, timeout: Duration) -> Result<Self, RedisError> {
        let kind = if let Some(rest) = url.strip_prefix(SENTINEL) {
            let url = Several::parse(rest);
            let (service, database) = url.path.split_once('/').unwrap_or((url.path, "0"));
            if service.is_empty() {
                return Err(unreadable("it names no service of the Sentinels"));
            }
            let sentinels = url.servers("", "")?;
            let primary = url.servers(url.credentials, database)?.swap_remove(0);
            let primary = SentinelNodeConnectionInfo::default()
                .set_redis_connection_info(primary.redis_settings().clone());
            Kind::Sentinels(Sentinels { servers: sentinels, service: service.into(), primary })
        } else if let Some(rest) = url.strip_prefix(CLUSTER) {
            let url = Several::parse(rest);
            if !url.path.is_empty() {
                return Err(unreadable("a cluster has one database only"));
            }
            let servers = url.servers(url.credentials, "0")?;
            let client = ClusterClientBuilder::new(servers.clone())
                .retries(1)
                .connection_timeout(timeout)
                .response_timeout(timeout)
                .build()?;
            let each = servers.into_iter().map(Client::open).collect::<RedisResult<_>>()?;
            Kind::Cluster(Box::new(client), each)
        } else {
            Kind::Server(Client::open(url)?)
        };
        Ok(Self { kind, timeout })
    }

    /// A new connection to where it is now.
    pub async fn connect(&self) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let opened = async {
            let client = match &self.kind {
                Kind::Server(client) => client.clone(),
                Kind::Sentinels(sentinels) => sentinels.primary().await?,
                Kind::Cluster(client, _) => {
                    return client.get_async_connection().await.map(Connection::Cluster);
                }
            };
            let opened = client.get_multiplexed_async_connection_with_config(&config).await;
            opened.map(Connection::Server)
        };
        in_time(opened).await
    }

    /// A connection that hears what is published on the channel.
    pub async fn subscriber(&self, channel: &str) -> RedisResult<PubSub> {
        let subscribe = async |server: &Client| {
            let mut subscriber = server.get_async_pubsub().await?;
            subscriber.subscribe(channel).await?;
            Ok(subscriber)
        };
        let servers = match &self.kind {
            Kind::Server(client) => std::slice::from_ref(client),
            Kind::Sentinels(sentinels) => {
                let opened = async { subscribe(&sentinels.primary().await?).await };
                return in_time(opened).await;
            }
            Kind::Cluster(_, servers) => servers,
        };
        let mut failure = unreadable("it names no server");
        for server in servers {
            match in_time(subscribe(server)).await {
                Ok(subscriber) => return Ok(subscriber),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

/// A server, or a Sentinel, that says nothing is given up.
async fn in_time<T>(opened: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let opened = tokio::time::timeout(CONNECT_MAX, opened).await;
    opened.unwrap_or_else(|_| Err(super::timed_out()))
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// A URL of several hosts, without its scheme.
struct Several<'u> {
    credentials: &'u str,
    hosts: &'u str,
    path: &'u str,
}

impl<'u> Several<'u> {
    fn parse(rest: &'u str) -> Self {
        let (credentials, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        Self { credentials, hosts, path }
    }

    /// Each of the hosts, with these credentials and this database.
    fn servers(&self, credentials: &str, database: &str) -> RedisResult<Vec<ConnectionInfo>> {
        let at = if credentials.is_empty() { "" } else { "@" };
        let url = |host| format!("redis://{credentials}{at}{host}/{database}");
        self.hosts.split(',').map(|host| url(host).into_connection_info()).collect()
    }
}

fn unreadable(why: &'static str) -> RedisError {
    (ErrorKind::InvalidClientConfig, why).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Place, RedisError> {
        Place::parse(url, Duration::from_millis(100))
    }

    #[test]
    fn a_url_names_one_server_or_sentinels_and_their_service_or_a_cluster() {
        assert!(matches!(parse("redis://:secret@a:6379/1").unwrap().kind, Kind::Server(_)));
        assert!(matches!(parse("redis+unix:///run/redis.sock").unwrap().kind, Kind::Server(_)));
        let sentinels = parse("redis+sentinel://:secret@a:26379,b:26379/shop/1").unwrap();
        assert!(matches!(sentinels.kind, Kind::Sentinels(_)));
        let Kind::Cluster(_, servers) = parse("redis+cluster://a:1,b:2").unwrap().kind else {
            panic!("it is a cluster");
        };
        assert_eq!(servers.len(), 2);
    }

    #[test]
    fn a_url_that_says_too_little_or_too_much_is_refused() {
        for url in [
            "redis+sentinel://a:26379",
            "redis+sentinel://a:26379/",
            "redis+sentinel:///shop",
            "redis+sentinel://a:26379/shop/one",
            "redis+sentinel://a:26379,/shop",
            "redis+cluster://",
            "redis+cluster://a:6379/1",
            "redis+cluster://a:port",
            "http://a:6379",
            "a:6379",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
