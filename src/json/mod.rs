//! Request bodies: one strict extractor for JSON.
//!
//! A body is parsed twice: into a value that has no ambiguities (`json/value.rs`), then into the
//! operation's type with errors in the API's own words (`json/read.rs`).

mod field;
mod instant;
mod read;
#[cfg(test)]
mod tests;
mod value;

pub use field::Field;
pub use instant::Instant;

use crate::error::{Code, Problem};
use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use actix_web::{FromRequest, HttpRequest};
use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::timeout_at;

/// Bytes in a body of the store, unless said otherwise.
pub const STORE_BODY_MAX: usize = 64 * 1024;

/// Bytes in a body of orders and cart items.
pub const ORDER_BODY_MAX: usize = 256 * 1024;

/// A slow start is no attack: phones lose packets.
pub const GRACE: Duration = Duration::from_secs(5);

/// What every body has to keep to; put into the app's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonConfig {
    /// Bytes at most; a [`BodyLimit`] on a scope or resource goes before it.
    pub limit: usize,
    /// In which the whole body must have arrived.
    pub timeout: Duration,
    /// After this long a rate must be kept up.
    pub grace: Duration,
    /// Bytes a second to keep up after the grace; 0 asks for none.
    pub rate_min: u64,
}

impl Default for JsonConfig {
    fn default() -> Self {
        Self {
            limit: STORE_BODY_MAX,
            timeout: Duration::from_secs(10),
            grace: GRACE,
            rate_min: 1024,
        }
    }
}

/// Bytes at most in the bodies of one scope or resource; put into its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimit(pub usize);

/// A body that was read: JSON, an object, nothing unknown in it. With `EMPTY`, no body at all is
/// taken for `{}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T, const EMPTY: bool = false> {
    /// What it says.
    pub value: T,
    /// SHA-256 of the JSON value: equal for equal values, however they are spelled.
    pub hash: [u8; 32],
}

/// A body that may be left out.
pub type JsonOrEmpty<T> = Json<T, true>;

impl<T: DeserializeOwned, const EMPTY: bool> Json<T, EMPTY> {
    /// Reads the bytes of a body.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let body = if EMPTY && body.is_empty() { b"{}" } else { body };
        let value = value::parse(body)?;
        Ok(Self { hash: value::hash(&value), value: read::read(&value)? })
    }
}

impl<T: DeserializeOwned, const EMPTY: bool> FromRequest for Json<T, EMPTY> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let mut rules = request.app_data::<JsonConfig>().copied().unwrap_or_default();
        if let Some(&BodyLimit(limit)) = request.app_data() {
            rules.limit = limit;
        }
        let head = check_head(request, rules.limit);
        let mut payload = payload.take();
        Box::pin(async move {
            let body = gather(head, &mut payload, rules, EMPTY).await?;
            Self::parse(&body)
        })
    }
}

/// The whole body, unless the head or what arrives is refused.
async fn gather(
    head: Result<bool, Problem>,
    payload: &mut Payload,
    rules: JsonConfig,
    may_be_empty: bool,
) -> Result<BytesMut, Problem> {
    let is_json = head?;
    if !may_be_empty && !is_json {
        return Err(unsupported());
    }
    let body = collect(payload, rules).await?;
    if !body.is_empty() && !is_json {
        return Err(unsupported());
    }
    Ok(body)
}

/// Judges what the headers tell before a byte of the body is read: whether there is a content
/// type (an empty body may do without), or why the body is refused.
fn check_head(request: &HttpRequest, limit: usize) -> Result<bool, Problem> {
    let headers = request.headers();
    let is_patch = request.method() == Method::PATCH;
    if !headers.get_all(CONTENT_TYPE).all(|value| is_json(value, is_patch)) {
        return Err(unsupported());
    }
    let is_plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).all(is_plain) {
        let detail = "Send the body as it is, without a Content-Encoding.";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match length.and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length > limit as u64 => Err(too_large(limit)),
        _ => Ok(headers.contains_key(CONTENT_TYPE)),
    }
}

/// `application/json`, for PATCH also `application/merge-patch+json`, in UTF-8.
fn is_json(content_type: &HeaderValue, is_patch: bool) -> bool {
    let Ok(text) = content_type.to_str() else { return false };
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let known = media_type.eq_ignore_ascii_case("application/json")
        || is_patch && media_type.eq_ignore_ascii_case("application/merge-patch+json");
    known
        && parts.filter_map(|part| part.split_once('=')).all(|(name, charset)| {
            !name.eq_ignore_ascii_case("charset")
                || charset.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
}

fn unsupported() -> Problem {
    Problem::new(Code::UnsupportedMediaType, "Send the body as application/json in UTF-8.")
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Code::PayloadTooLarge, format!("The body may have at most {limit} bytes."))
}

/// Gathers the body. The server itself would wait forever for one that dribbles in.
async fn collect(payload: &mut Payload, rules: JsonConfig) -> Result<BytesMut, Problem> {
    let start = tokio::time::Instant::now();
    let mut body = BytesMut::new();
    loop {
        let until = start + patience(rules, body.len());
        let chunk = match timeout_at(until, payload.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(None) => return Ok(body),
            Ok(Some(Err(_))) => {
                let detail = "The body ended early or is not well framed.";
                return Err(Problem::new(Code::InvalidRequest, detail));
            }
            Err(_) => {
                let detail = "The body did not arrive in time.";
                return Err(Problem::new(Code::RequestTimeout, detail));
            }
        };
        if body.len() + chunk.len() > rules.limit {
            return Err(too_large(rules.limit));
        }
        body.extend_from_slice(&chunk);
    }
}

/// How long after the start the next bytes may come: until `received` falls below the rate.
fn patience(rules: JsonConfig, received: usize) -> Duration {
    match (received as u64).saturating_mul(1000).checked_div(rules.rate_min) {
        Some(millis) => Duration::from_millis(millis).max(rules.grace).min(rules.timeout),
        None => rules.timeout,
    }
}
