//! Sessions over HTTP, and what other routes learn of who is asking.

use super::actor::Sessions;
use super::session::Session;
use super::{TOKEN, customer_scope, guest_scope, unauthorized};
use crate::auth::{Token, TokenHash, bearer, identified};
use crate::error::{Code, Problem};
use crate::id::{CustomerId, SessionId, ShopperId};
use crate::json::JsonOrEmpty;
use crate::rate_limit::{Ask, RateLimits, Rule};
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use std::future::{Ready, ready};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// The name of the cookie that holds a token.
pub const COOKIE: &str = "doorbuster_session";

/// The origins besides our own whose pages may change something with the cookie.
#[derive(Debug, Clone)]
pub struct CookieOrigins(pub Vec<String>);

/// The customer or guest whose session asks; the route's policy has found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shopper {
    /// Whose the cart and the orders are.
    pub id: ShopperId,
    /// The scope of their idempotency keys.
    pub scope: String,
}

/// The same, if any session asks. A bearer token must be good; a stale cookie counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaybeShopper(pub Option<Shopper>);

/// The session that asks, with what its own routes need.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// The session.
    pub session: Session,
    /// What it was found by.
    pub token: TokenHash,
}

/// The session that asks, if any, for whoever is about to log in: a token that opens nothing
/// counts for nothing.
pub struct Former(pub Option<Asking>);

/// The customer whose session asks; the route's policy has found it.
pub struct LoggedIn {
    /// Who.
    pub customer: CustomerId,
    /// In which session.
    pub session: SessionId,
}

impl LoggedIn {
    /// The scope of the customer's idempotency keys.
    pub fn scope(&self) -> String {
        customer_scope(self.customer)
    }
}

impl From<&Asking> for Shopper {
    fn from(Asking { session, .. }: &Asking) -> Self {
        let scope = match session.customer {
            Some(customer) => customer_scope(customer),
            None => guest_scope(session.id),
        };
        Self { id: session.shopper(), scope }
    }
}

impl Asking {
    /// Looks for the session that asks; `unauthorized` if there is none.
    pub fn find(request: &HttpRequest) -> LocalBoxFuture<'_, Result<Self, Problem>> {
        Box::pin(async { asking(request).await?.ok_or_else(unauthorized) })
    }
}

impl FromRequest for Asking {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identified(request))
    }
}

impl FromRequest for Shopper {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identified::<Asking>(request).map(|asking| Self::from(&asking)))
    }
}

impl FromRequest for MaybeShopper {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(Self(asking(&request).await?.as_ref().map(Shopper::from))) })
    }
}

impl FromRequest for Former {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            match asking(&request).await {
                Err(problem) if problem.code == Code::Unauthorized => Ok(Self(None)),
                asking => asking.map(Self),
            }
        })
    }
}

impl FromRequest for LoggedIn {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let asking = identified::<Asking>(request);
        ready(asking.and_then(|Asking { session, .. }| {
            let guest = || Problem::internal("the policy of the route lets guests in");
            let customer = session.customer.ok_or_else(guest)?;
            Ok(Self { customer, session: session.id })
        }))
    }
}

/// The session of the bearer token, else that of the cookie.
async fn asking(request: &HttpRequest) -> Result<Option<Asking>, Problem> {
    let sessions = request.app_data::<web::Data<Sessions>>();
    let sessions =
        sessions.ok_or_else(|| Problem::internal("the sessions are not registered"))?;
    let find = async |token: Option<Token>| -> Result<Option<Asking>, Problem> {
        let Some(token) = token.map(|token| token.hash()) else { return Ok(None) };
        let Some(session) = sessions.find(token).await? else { return Ok(None) };
        limit(request, session.customer)?;
        Ok(Some(Asking { session, token }))
    };
    if request.headers().contains_key(header::AUTHORIZATION) {
        let token = bearer(request.headers()).and_then(|token| Token::parse(TOKEN, token));
        return find(token).await?.map(Some).ok_or_else(unauthorized);
    }
    let cookie = request.cookie(COOKIE);
    let found = find(cookie.and_then(|cookie| Token::parse(TOKEN, cookie.value()))).await?;
    // Browsers send the cookie by themselves, so a change must come from a page that may ask for
    // it. Where they do not name the origin, SameSite=Lax has kept foreign pages out.
    if found.is_some() && !request.method().is_safe() && !is_own_page(request) {
        let detail = "A page of this origin may not change anything with the session's cookie.";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    Ok(found)
}

/// A customer has a limit in all sessions together.
fn limit(request: &HttpRequest, customer: Option<CustomerId>) -> Result<(), Problem> {
    let limits = request.app_data::<web::Data<RateLimits>>();
    if let Some((limits, customer)) = limits.zip(customer) {
        limits.take_now(Ask { rule: Rule::Customer, of: customer.uuid().as_bytes() })?;
    }
    Ok(())
}

/// Whether the request does not come from a page of a foreign origin.
fn is_own_page(request: &HttpRequest) -> bool {
    let listed = request.app_data::<web::Data<CookieOrigins>>();
    is_own(request.headers(), listed.map_or(&[], |origins| &origins.0))
}

/// Any origin (`*`) may read what is public; that does not make it one of ours.
fn is_own(headers: &HeaderMap, listed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_same_host = origin
        .split_once("://")
        .zip(host)
        .is_some_and(|((_, authority), host)| authority.eq_ignore_ascii_case(host));
    is_same_host || listed.iter().any(|listed| listed == origin)
}

fn cookie(token: &str, max_age: i64) -> Cookie<'_> {
    Cookie::build(COOKIE, token)
        .path("/")
        .http_only(true)
        .secure(true)
        .same_site(SameSite::Lax)
        .max_age(actix_web::cookie::time::Duration::seconds(max_age))
        .finish()
}

/// The cookie of a session that has just begun, unless the request comes from a foreign page: it
/// could exchange its visitor's session for another one.
pub fn fresh_cookie<'t>(
    request: &HttpRequest,
    sessions: &Sessions,
    token: &'t Token,
) -> Option<Cookie<'t>> {
    let max_age = i64::try_from(sessions.periods().absolute.as_secs()).unwrap_or(i64::MAX);
    is_own_page(request).then(|| cookie(token.expose(), max_age))
}

/// Takes the cookie of a session that is over away.
pub fn no_cookie() -> Cookie<'static> {
    cookie("", 0)
}

/// Nothing is needed to begin a session.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct StartSession {}

/// A session that has begun.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartedSession<'a> {
    /// Opens the session to whoever sends it as a bearer token; shown only here.
    #[schema(example = "dbs_nXW1aV8H8TxAx2YcLDVPoFZbH1HHS8jWVJ0Ty0lG2kM")]
    token: &'a str,
    /// When the session is over unless it is used.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// The session that asks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionBody {
    /// The id; it opens nothing.
    id: SessionId,
    /// Who has logged in; nobody, if it is a guest's.
    #[schema(required)]
    customer: Option<CustomerRef>,
    /// When the session began.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it is over unless it is used.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// A customer, by id.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerRef {
    /// The id.
    id: CustomerId,
}

impl From<CustomerId> for CustomerRef {
    fn from(id: CustomerId) -> Self {
        Self { id }
    }
}

/// Begin a session as a guest.
///
/// The token is shown once. It also comes as a cookie, unless the request comes from a page of an
/// origin that is neither ours nor configured. An `Idempotency-Key` is ignored: each request gets
/// a secret of its own.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "sessions", request_body = Option<StartSession>,
    responses((status = 201, description = "The session's token", body = StartedSession<'static>,
        headers(("Set-Cookie" = String)))),
)]
pub async fn create_session(
    request: HttpRequest,
    _: JsonOrEmpty<StartSession>,
    sessions: web::Data<Sessions>,
) -> Result<HttpResponse, Problem> {
    let (token, session) = sessions.create().await?;
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, "/v1/session"));
    if let Some(cookie) = fresh_cookie(&request, &sessions, &token) {
        response.cookie(cookie);
    }
    let expires_at = session.expires_at;
    Ok(response.json(StartedSession { token: token.expose(), expires_at }))
}

/// Who am I.
#[utoipa::path(
    get, path = "/v1/session", tag = "sessions",
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The session", body = SessionBody)),
)]
pub async fn get_session(Asking { session, .. }: Asking) -> HttpResponse {
    let Session { id, customer, created_at, expires_at } = session;
    let customer = customer.map(CustomerRef::from);
    HttpResponse::Ok().json(SessionBody { id, customer, created_at, expires_at })
}

/// Log out: the token is worth nothing any more, on every instance within a second.
#[utoipa::path(
    delete, path = "/v1/session", tag = "sessions",
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 204, description = "Logged out", headers(("Set-Cookie" = String)))),
)]
pub async fn delete_session(
    asking: Asking,
    sessions: web::Data<Sessions>,
) -> Result<HttpResponse, Problem> {
    sessions.end(asking.token).await?;
    Ok(HttpResponse::NoContent().cookie(no_cookie()).finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn only_our_own_pages_and_those_listed_may_use_the_cookie() {
        let listed = ["https://shop.example".to_owned(), "*".to_owned()];
        let is_own = |origin: Option<&str>| {
            let request =
                TestRequest::default().insert_header((header::HOST, "api.example:8080"));
            let request = match origin {
                Some(origin) => request.insert_header((header::ORIGIN, origin)),
                None => request,
            };
            super::is_own(request.to_http_request().headers(), &listed)
        };
        for own in ["http://api.example:8080", "https://API.example:8080", "https://shop.example"]
        {
            assert!(is_own(Some(own)), "{own}");
        }
        assert!(is_own(None), "no browser's page");
        for foreign in ["https://api.example", "https://evil.example", "null", ""] {
            assert!(!is_own(Some(foreign)), "{foreign}");
        }
    }
}
