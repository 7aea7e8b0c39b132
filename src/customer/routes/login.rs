//! Logging in, and the sessions of a customer.

use crate::auth::TokenHash;
use crate::contact::Email;
use crate::customer::limits::guessed_as;
use crate::customer::passwords::Passwords;
use crate::customer::store;
use crate::error::{Code, Problem};
use crate::id::SessionId;
use crate::json::Json;
use crate::peer::Peer;
use crate::postgres::Postgres;
use crate::rate_limit::RateLimits;
use crate::session::routes::{Asking, CustomerRef, Former, LoggedIn, fresh_cookie, no_cookie};
use crate::session::{self, NewSession, Session, Sessions, Which};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Who logs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.com", "password": "difference engine"}))]
pub struct LogIn {
    /// The address of the account.
    #[schema(value_type = Email)]
    email: String,
    /// Its password.
    #[schema(max_length = 256, format = Password)]
    password: String,
}

/// A session in which a customer is logged in.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoggedInSession<'a> {
    /// Opens the session to whoever sends it as a bearer token; shown only here.
    #[schema(example = "dbs_nXW1aV8H8TxAx2YcLDVPoFZbH1HHS8jWVJ0Ty0lG2kM")]
    token: &'a str,
    /// Who.
    customer: CustomerRef,
    /// When the session is over unless it is used.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// A session of a customer.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerSession {
    /// The id; it opens nothing.
    id: SessionId,
    /// Whether it is the one that asks.
    current: bool,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it is over unless it is used.
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// The sessions of a customer.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerSessions {
    items: Vec<CustomerSession>,
    /// There is only one page.
    #[schema(value_type = Option<String>, required)]
    next_cursor: Option<()>,
}

/// Log in.
///
/// The token is a new one; that of the session which asked, if any did, is worth nothing any more.
/// What a guest put into the cart is added to the customer's, and their orders are the customer's.
/// A wrong password and an address without an account are the same; who is wrong five times in a
/// row waits before each further try, with `rate_limited`. An `Idempotency-Key` is
/// ignored: each request gets a secret of its own. Keys that the guest used for orders and carts
/// are the customer's from then on, so that a request that is repeated is not carried out again;
/// what a guest is paying is waited for, five seconds at most. A customer has 100 sessions at most:
/// with one more, the oldest is over.
#[utoipa::path(
    post, path = "/v1/session/login", tag = "sessions", request_body = LogIn,
    security((), ("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The session's token",
        body = LoggedInSession<'static>, headers(("Set-Cookie" = String)))),
)]
pub async fn create_login(
    request: HttpRequest,
    Former(former): Former,
    body: Json<LogIn>,
    sessions: web::Data<Sessions>,
    passwords: web::Data<Passwords>,
    postgres: web::Data<Postgres>,
    limits: web::Data<RateLimits>,
) -> Result<HttpResponse, Problem> {
    let LogIn { email, password } = body.value;
    let wrong = || Problem::new(Code::Unauthorized, "The address or the password is wrong.");
    let peer = Peer::of(&request);
    let guess = limits.guess(&guessed_as(&email), peer).await?;
    let login = store::login_of(&postgres.readers, &email).await?;
    let hash = login.as_ref().map(|login| &*login.password_hash);
    let proven = passwords.prove(guess, password, hash).await?;
    let Some((guess, login)) = proven.zip(login) else {
        tracing::info!(address = %peer.0, "a login was refused");
        return Err(wrong());
    };
    guess.succeeded().await;
    let former = former.map(|Asking { session, token }| (token, session));
    let (token, new) = NewSession::with_token();
    let periods = sessions.periods();
    let session = store::log_in(&postgres, &login, former.as_ref(), &new, periods).await?;
    let Session { expires_at, .. } = session.ok_or_else(wrong)?;
    if let Some((former, _)) = former {
        // It is done; the look-up is believed for less than a second.
        if let Err(problem) = sessions.forget(former).await {
            tracing::warn!(%problem, "a session that ended is still remembered");
        }
    }
    let mut response = HttpResponse::Ok();
    if let Some(cookie) = fresh_cookie(&request, &sessions, &token) {
        response.cookie(cookie);
    }
    let customer = CustomerRef::from(login.customer);
    Ok(response.json(LoggedInSession { token: token.expose(), customer, expires_at }))
}

/// Where I am logged in: at most 100 sessions, newest first.
#[utoipa::path(
    get, path = "/v1/customers/me/sessions", tag = "customers",
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The sessions", body = CustomerSessions)),
)]
pub async fn list_customer_sessions(
    me: LoggedIn,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let found = session::list(&postgres.readers, me.customer).await?;
    let items = found.into_iter().map(|Session { id, created_at, expires_at, .. }| {
        CustomerSession { id, current: id == me.session, created_at, expires_at }
    });
    let sessions = CustomerSessions { items: items.collect(), next_cursor: None };
    Ok(HttpResponse::Ok().json(sessions))
}

/// Log out everywhere, here too; on every instance within a second.
#[utoipa::path(
    delete, path = "/v1/customers/me/sessions", tag = "customers",
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 204, description = "Logged out", headers(("Set-Cookie" = String)))),
)]
pub async fn delete_customer_sessions(
    me: LoggedIn,
    sessions: web::Data<Sessions>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let writer = postgres.writers.get().await?;
    let ended = session::log_out(&**writer, me.customer, Which::All).await?;
    let mut response = gone(&sessions, ended).await?;
    response.add_cookie(&no_cookie()).map_err(Problem::internal)?;
    Ok(response)
}

/// Log one of my sessions out.
#[utoipa::path(
    delete, path = "/v1/customers/me/sessions/{id}", tag = "customers",
    params(("id" = SessionId, Path)),
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 204, description = "Logged out")),
)]
pub async fn delete_customer_session(
    me: LoggedIn,
    id: web::Path<String>,
    sessions: web::Data<Sessions>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let unknown = || Problem::not_found("session");
    let id: SessionId = id.parse().map_err(|_| unknown())?;
    let writer = postgres.writers.get().await?;
    let ended = session::log_out(&**writer, me.customer, Which::Only(id)).await?;
    if ended.is_empty() {
        return Err(unknown());
    }
    gone(&sessions, ended).await
}

/// These sessions are over: nobody here finds them again.
pub(super) async fn gone(
    sessions: &Sessions,
    ended: Vec<TokenHash>,
) -> Result<HttpResponse, Problem> {
    for token in ended {
        sessions.forget(token).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}
