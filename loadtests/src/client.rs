//! One keep-alive HTTP/1.1 connection to one instance, opened when it is needed and again
//! after an error.

use crate::record::Answer;
use crate::route;
use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderMap, IF_NONE_MATCH, RETRY_AFTER,
};
use hyper::{Method, http};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The address of one instance: `http://127.0.0.1:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    url: Arc<str>,
    /// Host and port, for the socket and the Host header.
    authority: String,
}

impl FromStr for Base {
    type Err = anyhow::Error;

    fn from_str(url: &str) -> anyhow::Result<Self> {
        let url = url.trim_end_matches('/');
        let uri: http::Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        let path_is_empty = matches!(uri.path(), "" | "/");
        match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(host)) if path_is_empty => {
                let authority = format!("{host}:{}", uri.port_u16().unwrap_or(80));
                Ok(Self { url: url.into(), authority })
            }
            _ => bail!("{url}: expected http://host:port, without a path"),
        }
    }
}

impl Base {
    /// Its port, if it is an address of this machine.
    pub fn local_port(&self) -> Option<u16> {
        let (host, port) = self.authority.rsplit_once(':')?;
        let host = host.trim_matches(['[', ']']);
        let is_local = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        is_local.then(|| port.parse().ok())?
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// What to send, to whichever instance.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query, beginning with a slash.
    pub path: String,
    /// Method and path without what differs from request to request, for the report.
    pub route: Arc<str>,
    /// The `Idempotency-Key`.
    pub key: Option<String>,
    /// The credential of `Authorization: Bearer`.
    pub bearer: Option<String>,
    /// The ETag of an answer at hand, for `If-None-Match`.
    pub if_none_match: Option<String>,
    /// The JSON body; empty for none.
    pub body: Bytes,
}

impl Request {
    /// Reads `path`.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Bytes::new())
    }

    /// Posts a JSON body under an idempotency key.
    pub fn post(path: impl Into<String>, key: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { key: Some(key.into()), ..Self::new(Method::POST, path, body) }
    }

    /// Sends a JSON body, or nothing, without a key.
    pub fn new(method: Method, path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        let path = path.into();
        let route = route::label(&method, &path).into();
        Self { method, path, route, body: body.into(), ..Self::default() }
    }

    /// The same, in somebody's name.
    pub fn by(self, bearer: &str) -> Self {
        Self { bearer: Some(bearer.to_owned()), ..self }
    }

    fn to_http(&self, authority: &str) -> Result<http::Request<Full<Bytes>>, http::Error> {
        let mut request =
            http::Request::builder().method(&self.method).uri(&self.path).header(HOST, authority);
        if let Some(key) = &self.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(bearer) = &self.bearer {
            request = request.header(AUTHORIZATION, format!("Bearer {bearer}"));
        }
        if let Some(tag) = &self.if_none_match {
            request = request.header(IF_NONE_MATCH, tag);
        }
        if !self.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(self.body.clone()))
    }
}

/// Why there is no answer.  Only after [`Failure::Connect`] is it certain that the instance
/// has not seen the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be opened.
    Connect,
    /// The connection broke before the whole answer was there.
    Lost,
    /// The answer took too long.
    Timeout,
}

/// A connection to one instance.
pub struct Connection {
    base: Base,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// Not opened yet.
    pub fn new(base: Base) -> Self {
        Self { base, sender: None }
    }

    /// Closes it; the next request opens another one.
    pub fn close(&mut self) {
        self.sender = None;
    }

    /// Sends a request and reads the whole answer, in at most `limit`.
    pub async fn send(&mut self, request: &Request, limit: Duration) -> Result<Answer, Failure> {
        // Taken out, so that a connection whose answer never came is not used again.
        let mut sender = match self.sender.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => timeout(limit, self.open()).await.map_err(|_| Failure::Connect)??,
        };
        let answer = timeout(limit, exchange(&mut sender, request, &self.base))
            .await
            .map_err(|_| Failure::Timeout)??;
        self.sender = Some(sender);
        Ok(answer)
    }

    async fn open(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let stream = TcpStream::connect(&self.base.authority).await;
        let stream = stream.map_err(|_| Failure::Connect)?;
        stream.set_nodelay(true).map_err(|_| Failure::Connect)?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|_| Failure::Connect)?;
        // Its error is the error of the request on it; it ends when the sender is dropped.
        tokio::spawn(connection);
        Ok(sender)
    }
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    request: &Request,
    base: &Base,
) -> Result<Answer, Failure> {
    let request = request.to_http(&base.authority).map_err(|_| Failure::Lost)?;
    sender.ready().await.map_err(|_| Failure::Lost)?;
    let response = sender.send_request(request).await.map_err(|_| Failure::Lost)?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|_| Failure::Lost)?.to_bytes();
    Ok(Answer {
        from: base.url.clone(),
        status: head.status.as_u16(),
        replayed: text(&head.headers, "idempotent-replayed") == Some("true"),
        retry_after_seconds: text(&head.headers, RETRY_AFTER.as_str())
            .and_then(|seconds| seconds.parse().ok()),
        etag: text(&head.headers, ETAG.as_str()).map(str::to_owned),
        stale: text(&head.headers, "doorbuster-stale") == Some("true"),
        // A copy: hyper's bytes would keep its whole read buffer alive with every answer.
        body: Bytes::copy_from_slice(&body),
    })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_scheme_host_and_port() {
        let base: Base = "http://localhost:8080/".parse().unwrap();
        assert_eq!(
            (base.to_string().as_str(), &*base.authority),
            ("http://localhost:8080", "localhost:8080")
        );
        assert_eq!("http://shop".parse::<Base>().unwrap().authority, "shop:80");
        let port = |url: &str| url.parse::<Base>().unwrap().local_port();
        assert_eq!(port("http://127.0.0.1:8080"), Some(8_080));
        assert_eq!((port("http://[::1]:81"), port("http://localhost")), (Some(81), Some(80)));
        assert_eq!((port("http://shop:80"), port("http://10.0.0.1:80")), (None, None));
        for wrong in ["https://shop", "shop:8080", "http://shop/v1", "", "http://"] {
            assert!(wrong.parse::<Base>().is_err(), "{wrong}");
        }
    }
}
