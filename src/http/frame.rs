//! The outermost middleware: what every answer has, whatever happened inside.

use super::connections::Connection;
use super::operations::Operations;
use super::slices::sliced;
use crate::error::{Code, Problem};
use crate::metrics;
use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::uri::Authority;
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, Handler, HttpMessage, web};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use uuid::Uuid;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the answer its request id, its problem body, its security headers and its metrics.
pub async fn frame<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let started = Instant::now();
    let id = request_id(request.headers());
    let connection = request.conn_data::<Rc<Connection>>().cloned();
    connection.iter().for_each(|connection| connection.asked());
    let is_unread = Rc::new(Cell::new(has_body(request.headers())));
    if is_unread.get() {
        let (payload, is_unread) = (Some(request.take_payload()), is_unread.clone());
        let unread = Unread { payload, is_unread };
        request.set_payload(Payload::from(Box::pin(unread) as BoxedBody));
    }
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = match ambiguity(request.headers()) {
        Ok(()) => sliced(next.call(request).await?),
        Err(problem) => request.error_response(problem).map_into_right_body(),
    };
    if let Some(problem) = problem(&response) {
        response = with_problem(response, &problem, &id);
    }
    let operations = response.request().app_data::<web::Data<Operations>>();
    let is_ready =
        operations.is_none_or(|operations| operations.is_ready.load(Ordering::Relaxed));
    if is_unread.get() || !is_ready {
        // The rest of the body is not read, so the connection cannot be used again; or the next
        // request shall find another instance, before this one takes no more.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    let is_page = response.request().path().starts_with("/docs");
    decorate(response.headers_mut(), &id, is_page);
    record(&response, &id, started);
    connection
        .iter()
        .for_each(|connection| connection.answered(response.response().body().size()));
    Ok(response)
}

/// A body that nobody has read to its end yet.
///
/// Chunks that nobody reads would be drained for as long as the client cares to send them. While
/// somebody still holds the body, the server closes the connection after the answer instead.
struct Unread {
    payload: Option<Payload>,
    is_unread: Rc<Cell<bool>>,
}

impl Stream for Unread {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let Some(payload) = &mut self.payload else { return Poll::Ready(None) };
        let next = ready!(payload.poll_next_unpin(context));
        if next.is_none() {
            self.payload = None;
            self.is_unread.set(false);
        }
        Poll::Ready(next)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Some(payload) = self.payload.take() {
            actix_web::rt::spawn(async move {
                tokio::time::sleep(HOLD).await;
                drop(payload);
            });
        }
    }
}

type BoxedBody = Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>;

/// Long enough for the answer to be on its way.
const HOLD: Duration = Duration::from_secs(1);

/// The pattern of a resource's path, in its data.
#[derive(Debug, Clone, Copy)]
pub struct Pattern(pub &'static str);

/// A handler whose panic is the 500 of one request, not the end of its connection.
#[derive(Clone)]
pub struct Guarded<H>(pub H);

impl<H: Handler<Args>, Args: FromRequest + 'static> Handler<Args> for Guarded<H> {
    type Output = Result<H::Output, Problem>;
    type Future = LocalBoxFuture<'static, Self::Output>;

    fn call(&self, args: Args) -> Self::Future {
        let handler = self.0.clone();
        let handled = AssertUnwindSafe(async move { handler.call(args).await }).catch_unwind();
        handled
            .map(|handled| handled.map_err(|_| Problem::internal("a handler panicked")))
            .boxed_local()
    }
}

/// The client's id if it is a sensible one, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sent = headers.get(&REQUEST_ID).filter(|id| {
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    sent.cloned().unwrap_or_else(|| {
        let id = &mut Uuid::encode_buffer();
        let id = Uuid::now_v7().simple().encode_lower(id);
        HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("unknown"))
    })
}

/// Refuses, before any route is looked for, what a proxy in front might understand in another way
/// than we do.
fn ambiguity(headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(header::HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let is_host = host.len() <= 255
        && !host.contains(&b'@')
        && (host.is_empty() || Authority::try_from(host).is_ok());
    let once = [header::AUTHORIZATION, HeaderName::from_static("x-order-token")];
    let twice = once.iter().find(|name| headers.get_all(*name).nth(1).is_some());
    let detail = match (is_host, twice) {
        (true, None) => return Ok(()),
        (false, _) => "`Host` is not the name of a host.".to_owned(),
        (true, Some(name)) => format!("Send `{name}` once."),
    };
    Err(Problem::new(Code::InvalidRequest, detail))
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    length || headers.contains_key(header::TRANSFER_ENCODING)
}

/// The problem behind an error response, also behind one that the framework made.
fn problem<B>(response: &ServiceResponse<B>) -> Option<Problem> {
    let status = response.status();
    if let Some(error) = response.response().error() {
        if let Some(problem) = error.as_error::<Problem>() {
            return Some(problem.clone());
        }
        tracing::debug!(%error, "the framework refused a request");
    } else if !status.is_client_error() && !status.is_server_error()
        || response.headers().contains_key(header::CONTENT_TYPE)
    {
        return None;
    }
    let code = match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::REQUEST_TIMEOUT => Code::RequestTimeout,
        StatusCode::PAYLOAD_TOO_LARGE => Code::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
        status if status.is_client_error() => Code::InvalidRequest,
        _ => Code::Internal,
    };
    Some(Problem::new(code, code.title()))
}

fn with_problem<B: MessageBody + 'static>(
    response: ServiceResponse<EitherBody<B, BoxBody>>,
    problem: &Problem,
    id: &HeaderValue,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let body = problem.body(response.request().path(), id.to_str().unwrap_or_default());
    // Serialising plain structs into memory has no way to fail.
    let bytes = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = response.map_body(|_, _| EitherBody::Right { body: BoxBody::new(bytes) });
    *response.response_mut().status_mut() = problem.code.status();
    let json = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn decorate(headers: &mut HeaderMap, id: &HeaderValue, is_page: bool) {
    headers.insert(REQUEST_ID, id.clone());
    let policy = match is_page {
        true => "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
        false => "default-src 'none'; frame-ancestors 'none'",
    };
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, policy),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // CORS says so to everybody; who may not read has nothing to bring.
    if !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        headers.remove(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
        headers.remove(header::ACCESS_CONTROL_EXPOSE_HEADERS);
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

fn record<B>(response: &ServiceResponse<B>, id: &HeaderValue, started: Instant) {
    let (took, status) = (started.elapsed(), response.status().as_u16());
    let request = response.request();
    let route = request.app_data().map_or("unmatched", |Pattern(pattern)| pattern);
    let method = match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    };
    metrics::http_request(route, method, status, took);
    let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let id = id.to_str().unwrap_or_default();
    let took = took.as_micros();
    // A 503 is no fault of this request: whoever refused has said why, or counts it.
    if status == 500 {
        tracing::warn!(method, route, status, took_us = took, request_id = id, traceparent);
    } else {
        tracing::debug!(method, route, status, took_us = took, request_id = id, traceparent);
    }
}
